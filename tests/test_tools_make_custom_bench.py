"""A custom benchmark from toy scenes: files, truths, points."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest

from hispatial_jax.benchmarks import hispatial_custom
from hispatial_jax.data import sources
from hispatial_jax.evaluators import examples
from hispatial_jax.pp import points
from hispatial_jax.qa import trio

_PATH = pathlib.Path(__file__).parent.parent / "tools" / "make_custom_bench.py"


def _main(*argv):
  spec = importlib.util.spec_from_file_location("make_custom_bench", _PATH)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.main([str(x) for x in argv])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
  out = tmp_path_factory.mktemp("custom")
  argv = ("toyworld", "--out", out, "--count", 9, "--size", 56)
  assert _main(*argv) == 0
  return out, hispatial_custom.load(out)


def _scene(example):
  source = sources.ToyWorld(train=0, val=36, size=56)
  return source.make(example.key.split("/")[1])


def test_a_third_of_each_task(made):
  _, found = made
  tasks = [example.category["task"] for example in found]
  assert len(found) == 9
  assert {tasks.count(task) for task in hispatial_custom.TASKS} == {3}
  levels = {(e.category["task"], e.category["level"]) for e in found}
  assert [level for _, level in sorted(levels)] == [2, 1, 3]


def test_the_points_are_those_of_the_scene(made):
  _, found = made
  for example in found[:3]:
    record = _scene(example)
    np.testing.assert_array_equal(examples.picture(example), record["image"])
    depth, matrix = examples.measured(example)
    got = points.points(depth, matrix, 28)
    wanted = points.points(record["depth_m"], record["intrinsics"], 28)
    # Millimetres, along rays of at most 45 degrees.
    np.testing.assert_allclose(got, wanted, atol=1e-3)


def test_truths_follow_from_the_annotations(made):
  _, found = made
  for example in found:
    things = {
      f"the {o['name']}": o for o in _scene(example)["objects"]["objects"]
    }
    named = sorted(
      (ref for ref in things if ref in example.question),
      key=example.question.index,
    )
    centres = [np.array(things[ref]["c_c"]) for ref in named]
    widths = [_width(things[ref]) for ref in named]
    if "camera" in example.question:
      assert example.truth == pytest.approx(things[named[0]]["range"], abs=1e-3)
    elif "direction" in example.question:
      vector = centres[1] - centres[0]
      vector /= np.linalg.norm(vector)
      np.testing.assert_allclose(example.truth, vector, atol=1e-3)
    elif "shelf" in example.question:
      assert example.truth == pytest.approx(sum(widths), abs=1e-3)
    elif "straight" in example.question:
      legs = np.linalg.norm(np.diff(centres, axis=0), axis=1)
      assert example.truth == pytest.approx(legs.sum(), abs=1e-3)
    else:
      gap = float(example.question.split(" meters")[0].split()[-1])
      assert example.truth == ("yes" if widths[0] < gap else "no")


def _width(thing):
  right, _, forward = thing["obb"]["size"]
  fronted = thing["obb"].get("yaw_deg") is not None
  fronted &= thing.get("symmetry", "1") in ("none", "1")
  return right if fronted else max(right, forward)


def test_the_same_record_gives_the_same_items():
  record = sources.ToyWorld(train=0, val=1, size=56).make("toy-00000000")
  first = trio.draw(record)
  assert first == trio.draw(record)
  seeds = {json.dumps(trio.draw(record, seed)) for seed in range(8)}
  assert len(seeds) > 1
  assert trio.draw({"id": "x", "objects": {}}) == []


def test_bad_input_is_one_line(made, tmp_path, capsys):
  out, _ = made
  cases = {
    "holds a benchmark already": ("toyworld", "--out", out),
    "expected 3 or more": ("toyworld", "--out", tmp_path, "--count", 2),
    "no pictures at": (tmp_path / "none", "--out", tmp_path / "a"),
  }
  for says, argv in cases.items():
    assert _main(*argv) == 2
    assert says in capsys.readouterr().err


def test_depth_without_a_camera_is_said(made, tmp_path):
  out, _ = made
  lines = (out / "custom_bench.jsonl").read_text().splitlines()
  item = json.loads(lines[0])
  (tmp_path / "images").symlink_to(out / "images")
  del item["intrinsics"]
  (tmp_path / "custom_bench.jsonl").write_text(json.dumps(item) + "\n")
  with pytest.raises(ValueError, match="intrinsics 3x3"):
    hispatial_custom.load(tmp_path)
