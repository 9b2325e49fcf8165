"""Frames, margins, references, sizes and counts."""

import boxes_for_qa as boxes
import numpy as np
import pytest

from hispatial_jax.qa import draft, generate, level2, level3
from hispatial_jax.qa import scene as scenes

Scene = scenes.Scene.from_record


def test_noise_grows_with_depth_and_with_doubt():
  things = [
    boxes.thing(0, "red box", (0, 0, 5)),
    boxes.thing(1, "cup", (1, 0, 0.5)),
  ]
  exact, guess = (Scene(boxes.record(*things, kind=k)) for k in ("gt", "mono"))
  np.testing.assert_allclose(exact.s, [0.05, 0.01])
  np.testing.assert_allclose(guess.s, [0.15, 0.015])
  assert exact.sigma[0, 1] == pytest.approx(np.hypot(0.05, 0.01))


def test_level_frame_of_a_tilted_camera():
  down, r_wc = boxes.frame(25, 3)
  note = boxes.thing(0, "red box", (0, 0, 5))
  record = boxes.record(note)
  record["objects"]["gravity"] = down.tolist()
  np.testing.assert_allclose(
    Scene(record).c_w[0], r_wc @ note["c_c"], atol=1e-5
  )


@pytest.mark.parametrize(
  ("gap", "sign"), [(0.55, 1), (-0.55, -1), (0.30, 0), (0.0, 0)]
)
def test_axis_relation_needs_gap_and_little_overlap(gap, sign):
  a = boxes.thing(0, "red box", (gap, 0, 2))
  b = boxes.thing(1, "blue box", (0, 0, 2))
  scene = Scene(boxes.record(a, b))
  assert scene.right_of[0, 1] == sign
  assert scene.right_of[1, 0] == -sign


def test_small_gaps_are_dead_even_between_small_things():
  size = (0.02, 0.02, 0.02)
  a = boxes.thing(0, "red dot", (0.09, 0, 2), size)
  b = boxes.thing(1, "blue dot", (0, 0, 2), size)
  assert not Scene(boxes.record(a, b)).right_of.any()


def test_noise_widens_the_dead_zone():
  a = boxes.thing(0, "red box", (1.0, 0, 14), (0.2, 0.2, 0.2))
  b = boxes.thing(1, "blue box", (0.5, 0, 14), (0.2, 0.2, 0.2))
  assert Scene(boxes.record(a, b)).right_of[0, 1] == 1
  assert Scene(boxes.record(a, b, kind="mono")).right_of[0, 1] == 0


def test_readings_must_agree():
  """Farther right in metres, yet more to the left in the picture."""
  a = boxes.thing(0, "red box", (1.5, 0, 9))
  b = boxes.thing(1, "blue box", (0.8, 0, 2))
  assert Scene(boxes.record(a, b)).right_of[0, 1] == 0


def test_height_by_gravity_must_agree_with_the_picture():
  down, _ = boxes.frame(35, 0)
  a = boxes.thing(0, "red box", (0, 0.0, 6))
  b = boxes.thing(1, "blue box", (0, 0.7, 3))
  flat = boxes.record(a, b)
  assert Scene(flat).below[1, 0] == 1
  flat["objects"]["gravity"] = down.tolist()
  assert Scene(flat).below[1, 0] == 0


def test_depth_and_range_must_agree():
  a = boxes.thing(0, "red box", (3.0, 0, 3.0))
  b = boxes.thing(1, "blue box", (0.0, 0, 3.8))
  assert Scene(boxes.record(a, b)).farther[1, 0] == 0
  c = boxes.thing(2, "green box", (0.0, 0, 5.5))
  assert Scene(boxes.record(a, c)).farther[1, 0] == 1


@pytest.mark.parametrize(
  ("names", "unique"),
  [
    (("red chair", "blue chair"), (True, True)),
    (("red chair", "red chair"), (False, False)),
    (("chair", "red chair"), (False, True)),
    (("red chair", None), (True, None)),
    ((None, "table"), (None, True)),
  ],
)
def test_references_mean_one_thing(names, unique):
  notes = [
    boxes.thing(k, name or "green chair", (k, 0, 3)) | {"name": name}
    for k, name in enumerate(names)
  ]
  refs = Scene(boxes.record(*notes)).refs
  expected = [f"the {n}" if u else None for n, u in zip(names, unique)]  # noqa: B905
  assert refs == expected


def test_an_unnamed_twin_makes_a_name_useless():
  twin = boxes.thing(1, "chair", (1, 0, 3)) | {"name": None, "color": "red"}
  scene = Scene(boxes.record(boxes.thing(0, "red chair", (0, 0, 3)), twin))
  assert scene.refs == [None, None]


@pytest.mark.parametrize("flaw", [{"trunc": True}, {"vis": 0.7}])
def test_cut_and_hidden_things_have_no_size(flaw):
  record = boxes.record(boxes.thing(0, "red box", (0, 0, 3), **flaw))
  assert not generate.draw(record, 0, 5, tasks=["size_height", "size_width"])


def test_lengths_too_short_to_answer_are_not_asked():
  small = boxes.thing(0, "red box", (0, 0, 3), (0.5, 0.04, 0.5))
  record = boxes.record(small)
  assert not generate.draw(record, 0, 5, tasks=["size_height"])
  assert generate.draw(record, 0, 5, tasks=["size_width"])


def test_width_is_across_a_front_or_else_the_longer_side():
  size = (0.3, 0.5, 0.9)
  car = boxes.thing(0, "red car", (0, 0, 3), size, yaw_deg=30.0)
  box = boxes.thing(1, "blue box", (2, 0, 3), size)
  np.testing.assert_allclose(Scene(boxes.record(car, box)).width, [0.3, 0.9])


def test_size_comparison_needs_a_ratio():
  def record(second):
    return boxes.record(
      boxes.thing(0, "red box", (0, 0, 3), (0.5, 1.0, 0.5)),
      boxes.thing(1, "blue box", (1, 0, 3), (0.5, second, 0.5)),
    )

  def taller(second):
    return level2.exceeds(Scene(record(second)), "height")[1, 0]

  assert not taller(1.09)
  assert taller(1.15)
  assert not level2.exceeds(Scene(record(1.0)), "volume").any()


def test_counting_wants_every_instance_decided():
  chairs = [
    boxes.thing(k, f"{c} chair", (x, 0, 4), (0.3, 0.8, 0.3))
    for k, (c, x) in enumerate((("red", -1.5), ("blue", 1.5), ("old", 2.2)))
  ]
  lamp = boxes.thing(9, "tall lamp", (0, 0, 4), (0.3, 1.5, 0.3))
  found = level3.counts(Scene(boxes.record(*chairs, lamp)))
  assert ("chair", 0, 1, 3, 2, 3) in found
  assert ("chair", 0, -1, 3, 1, 3) in found
  chairs[2]["c_c"][0] = 0.05  # neither left nor right of the lamp
  found = level3.counts(Scene(boxes.record(*chairs, lamp)))
  assert not [f for f in found if f[1] == 0]
  chairs[2]["c_c"][0], chairs[2]["vis"] = 2.2, 0.2  # may be overlooked
  assert not level3.counts(Scene(boxes.record(*chairs, lamp)))


def test_a_record_without_gravity_keeps_what_needs_none():
  record = boxes.make(3)
  record["objects"]["gravity"] = None
  tasks = {qa.task for s in range(9) for qa in generate.draw(record, s, 30)}
  level = {"above_below", "orientation", "perspective", "perspective_facing"}
  assert not tasks & level
  assert {"left_right", "distance", "pixel_xyz"} <= tasks


def test_qa_as_dict_is_what_records_store():
  (qa,) = generate.draw(boxes.make(0), 0, 1)
  keys = ["question", "answer", "level", "task", "format", "meta"]
  assert list(qa.as_dict()) == keys
  assert isinstance(qa, draft.QA)
