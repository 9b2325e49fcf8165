"""What is drawn: determinism, options, weights, records that lack things."""

import collections
import json
import re
import time

import boxes_for_qa as boxes
import numpy as np
import pytest

from hispatial_jax.qa import generate
from hispatial_jax.qa import scene as scenes


def test_a_draw_depends_on_id_and_seed_only():
  record = boxes.make(0)
  first = generate.draw(record, 5, 8)
  assert first == generate.draw(dict(record, image="anything"), 5, 8)
  assert first != generate.draw(record, 6, 8)
  assert first != generate.draw(record | {"id": "other"}, 5, 8)
  scene = scenes.Scene.from_record(record)
  generate.draw(scene, 9, 30)  # what was drawn before does not matter
  assert first == generate.draw(scene, 5, 8)


def test_order_of_records_does_not_matter():
  records = [boxes.make(k) for k in range(6)]
  forth = {r["id"]: generate.draw(r, 1, 8) for r in records}
  back = {r["id"]: generate.draw(r, 1, 8) for r in records[::-1]}
  assert forth == back


def test_fewer_are_the_beginning_of_more():
  record = boxes.make(2)
  assert generate.draw(record, 1, 4) == generate.draw(record, 1, 12)[:4]


def test_annotations_that_went_through_json_draw_the_same():
  record = boxes.make(4)
  copy = record | {"objects": json.loads(json.dumps(record["objects"]))}
  assert generate.draw(record, 0, 12) == generate.draw(copy, 0, 12)


def test_every_task_and_format_occurs():
  found = {
    (qa.task, qa.format)
    for k in range(60)
    for qa in generate.draw(boxes.make(k), 0, 30)
  }
  assert found == {
    (name, form)
    for name, task in generate.REGISTRY.items()
    for form in task.formats
  }


def test_levels():
  assert set(generate.TASKS.values()) == {0, 1, 2, 3}
  for qa in generate.draw(boxes.make(1), 0, 30):
    assert qa.level == generate.TASKS[qa.task]


def test_no_question_twice_in_a_draw():
  for k in range(40):
    pairs = generate.draw(boxes.make(k), 0, 40)
    assert len({qa.question for qa in pairs}) == len(pairs)
    keys = [
      (qa.task, qa.meta["formula"], frozenset(qa.meta["ids"]))
      for qa in pairs
      if qa.task in ("distance", "left_right", "above_below", "size_height")
    ]
    assert len(set(keys)) == len(keys)


def test_nothing_leaks_from_the_dead_zone():
  """Shrinks the room until no difference is clear: nothing is compared."""
  record = boxes.make(5)
  for note in record["objects"]["objects"]:
    for key in ("c_c", "q_c"):
      note[key] = (np.array(note[key]) * 0.01 + [0, 0, 3.0]).tolist()
  tasks = ["left_right", "above_below", "nearer_farther", "counting"]
  for seed in range(30):
    assert not generate.draw(record, seed, 8, tasks=tasks)


def test_tasks_formats_and_weights_are_obeyed():
  record = boxes.make(0)
  only = generate.draw(record, 0, 20, tasks=["distance", "left_right"])
  assert {qa.task for qa in only} == {"distance", "left_right"}
  only = generate.draw(record, 0, 20, formats=["yes_no"])
  assert {qa.format for qa in only} == {"yes_no"}
  none = {f"level{k}": 0.0 for k in (1, 2, 3)}
  only = generate.draw(record, 0, 20, weights=none)
  assert {qa.level for qa in only} == {0}
  levels = collections.Counter()
  shares = {"level0": 0.4, "level1": 0.2, "level2": 0.2, "level3": 0.2}
  for seed in range(200):
    levels.update(
      q.level for q in generate.draw(record, seed, 1, weights=shares)
    )
  assert 55 < levels[0] < 105


def test_unknown_names_are_all_told():
  with pytest.raises(ValueError, match=r"'distanse' \(did you mean 'distance'"):
    generate.draw(boxes.make(0), 0, 1, tasks=["distanse", "left_right"])
  with pytest.raises(ValueError, match="formats"):
    generate.draw(boxes.make(0), 0, 1, formats=["essay"])
  with pytest.raises(ValueError, match=r"'size'.*'color'"):
    generate.draw(boxes.make(0), 0, 1, weights={"size": 1, "color": 1})


@pytest.mark.parametrize(
  "record",
  [
    {"id": "bare"},
    {"id": "empty", "objects": {}},
    {
      "id": "none",
      "objects": {"gravity": [0, 1, 0], "kind": "gt", "objects": []},
    },
    {
      "id": "sky",
      "depth_m": np.full((20, 30), np.inf, np.float32),
      "intrinsics": np.eye(3, dtype=np.float32),
    },
    {"id": "rgb", "depth_m": None, "intrinsics": None, "objects": {}},
  ],
  ids=lambda record: record["id"],
)
def test_records_that_support_nothing_give_nothing(record):
  assert generate.draw(record, 0, 8) == []


def test_one_lonely_object_gives_level_one():
  record = boxes.record(boxes.thing(0, "red box", (0, 0, 3)))
  pairs = generate.draw(record, 0, 50)
  assert {qa.level for qa in pairs} == {1}
  assert len(pairs) == 3


def test_pixel_grid_keeps_tokens_few():
  tokens = set()
  for k in range(30):
    pairs = generate.draw(
      boxes.make(k), 0, 8, tasks=["pixel_xyz", "depth_order"], pixel_grid=8
    )
    assert pairs
    tokens |= {t for qa in pairs for t in re.findall(r"<loc\d+>", qa.question)}
  assert len(tokens) == 8


def test_points_may_replace_depth():
  record = boxes.make(0)
  depth = record["depth_m"].astype(float)
  size = len(depth)
  u = (np.arange(size) + 0.5) / size - 0.5
  f = float(record["intrinsics"][0, 0])
  rays = np.stack([*np.meshgrid(u / f, u / f), np.ones_like(depth)], -1)
  points = rays * depth[..., None]
  tasks = ["pixel_xyz", "depth_order"]
  with_depth = generate.draw(record, 0, 8, tasks=tasks)
  bare = record | {"depth_m": None, "intrinsics": None}
  with_points = generate.draw(bare, 0, 8, tasks=tasks, points=points)
  texts = [
    [(qa.question, qa.answer) for qa in d] for d in (with_depth, with_points)
  ]
  assert texts[0] == texts[1]


def test_depths_of_level_zero_are_spread():
  """Near and far get their share, whatever fills the picture."""
  near = 0
  record = boxes.make(0)
  record["depth_m"][:] = 8.0
  record["depth_m"][:30, :30] = 1.0
  for seed in range(200):
    (qa,) = generate.draw(record, seed, 1, tasks=["pixel_xyz"])
    near += qa.meta["values"]["xyz"][2] < 2
  assert 70 < near < 130


def test_speed():
  """A draw of eight, the scene's tables included, in a few milliseconds."""
  records = [boxes.make(k) for k in range(30)]
  start = time.perf_counter()
  count = sum(len(generate.draw(r, 0, 8)) for r in records)
  assert count == 240
  assert time.perf_counter() - start < 30 * 0.03  # ten times slack
