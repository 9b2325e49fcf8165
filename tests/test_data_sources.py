"""Sources give records, the same for the same id, and say what is wrong."""

import json
import pickle

import cv2
import data_fakes
import numpy as np
import pytest

from hispatial_jax.data import records, sources
from hispatial_jax.pp import codec


def test_toy_world_splits_never_meet():
  toy = sources.ToyWorld(train=3, val=2, seed=1)
  assert toy.splits == {
    "train": ["toy-01100000", "toy-01100001", "toy-01100002"],
    "val": ["toy-01000000", "toy-01000001"],
  }
  assert sources.ToyWorld(train=1).splits == {"train": ["toy-00100000"]}


def test_toy_world_makes_records():
  toy = pickle.loads(pickle.dumps(sources.ToyWorld(train=1, size=32)))
  (name,) = toy.splits["train"]
  one, two = toy.make(name), toy.make(name)
  assert one["id"] == name
  assert one["image"].shape == (32, 32, 3)
  np.testing.assert_array_equal(one["depth_m"], two["depth_m"])
  back = records.decode(records.encode(one))
  assert back["objects"]["kind"] == "gt"
  assert back["objects"]["objects"]


def test_toy_world_lists_all_that_is_wrong():
  with pytest.raises(ValueError, match=r"train -1.*val 100001.*seed 99.*size"):
    sources.ToyWorld(train=-1, val=100_001, seed=99, size=8)


def _write(folder, lines):
  path = folder / "pictures.jsonl"
  path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
  return sources.Folders(str(path))


@pytest.fixture
def folder(tmp_path):
  raw = data_fakes.record()
  cv2.imwrite(str(tmp_path / "a.jpg"), raw["image"][..., ::-1])
  np.save(tmp_path / "a.npy", raw["depth_m"])
  depth = np.where(np.isfinite(raw["depth_m"]), raw["depth_m"], 0)
  millimetres = (depth * 1000).astype(np.uint16)
  (tmp_path / "mm.png").write_bytes(codec.write_png(millimetres))
  codes, near, far = codec.encode_depth(raw["depth_m"])
  (tmp_path / "log.png").write_bytes(codec.write_png(codes))
  return tmp_path, near, far


def test_folders_read_depth_in_three_ways(folder):
  path, near, far = folder
  line = {"image": "a.jpg", "intrinsics": data_fakes.INTRINSICS}
  qa = data_fakes.record()["qa"]
  own = _write(
    path,
    [
      {**line, "id": "npy", "depth": "a.npy", "qa": qa},
      {**line, "id": "mm", "depth": "mm.png", "depth_scale": 0.001},
      {**line, "id": "log", "depth": "log.png", "near": near, "far": far},
      {"id": "rgb", "image": "a.jpg", "split": "val"},
    ],
  )
  assert own.splits == {"train": ["npy", "mm", "log"], "val": ["rgb"]}
  want = data_fakes.record()["depth_m"][1:]
  for name, tolerance in (("npy", 6e-5), ("mm", 1.1e-3), ("log", 2e-4)):
    back = records.decode(records.encode(own.make(name)))
    np.testing.assert_allclose(back["depth_m"][1:], want, rtol=tolerance)
  assert own.make("npy")["qa"] == qa
  back = records.decode(records.encode(own.make("rgb")))
  assert np.isnan(back["depth_m"]).all()


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"image": "none.jpg"}, r"no file .*none.jpg"),
    ({"image": "a.npy"}, "'x'.*expected JPEG, PNG"),
    ({"depth": "mm.png"}, "needs depth_scale"),
    ({"depth": "a.jpg", "depth_scale": 1}, "no uint16 PNG"),
    ({"intrinsics": None}, "without intrinsics"),
  ],
)
def test_what_is_wrong_with_a_record_is_said(folder, change, message):
  line = {"id": "x", "image": "a.jpg", "depth": "a.npy"}
  line |= {"intrinsics": data_fakes.INTRINSICS, **change}
  source = _write(folder[0], [line])
  with pytest.raises((ValueError, OSError), match=message):
    records.encode(source.make("x"))


def test_lines_that_are_no_records_are_all_listed(tmp_path):
  path = tmp_path / "bad.jsonl"
  path.write_text('{"id": "a"}\n{"id": "a"}\nnonsense\n\n{"image": "b"}\n')
  with pytest.raises(ValueError, match=r"line 2: .*line 3: .*line 5: "):
    sources.Folders(str(path))
