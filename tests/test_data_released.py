"""Released shards: how keys merge, and how depth and cameras are read."""

import pathlib
import pickle

import numpy as np
import pytest
import released_fakes
import torch

from hispatial_jax.data import pictures, records, released, tars
from hispatial_jax.pp import codec

_GOLDEN = pathlib.Path(__file__).parent / "golden" / "hispatial_data"


def test_keys_of_ca1m_merge_whatever_their_case_and_order(tmp_path):
  one, two = released_fakes.ca1m(), released_fakes.ca1m()
  files = [("s/A_1", {end: one.pop(end)}) for end in list(one)[:2]]
  files += [("s/b_depth_2", two), ("s/a_1", one)]
  files += [("s/b_depth_2", {"_meta.json": b"{}"})]
  source = released.Shards(
    released_fakes.write(tmp_path / "x.tar", files), "ca1m"
  )
  assert source.splits == {"train": ["x.tar/s/A_1", "x.tar/s/b_depth_2"]}
  assert source.problems == []
  for name in source.splits["train"]:
    assert source.make(name)["qa"][0]["meta"] == released_fakes.CA1M_ITEM


def test_depth_of_ca1m_of_other_floats(tmp_path):
  depth = released_fakes.depth().astype(np.float64)
  depth[0, :5] = [-1, np.nan, np.inf, -np.inf, 31]
  half = released_fakes.depth().astype(">f2")
  path = released_fakes.write(
    tmp_path / "x.tar",
    [
      ("a", released_fakes.ca1m(depth_npy=released_fakes.npy(depth))),
      ("b", released_fakes.ca1m(depth_npy=released_fakes.npy(half.T.copy().T))),
    ],
  )
  source = released.Shards(path, "ca1m")
  found = source.make("x.tar/a")["depth_m"]
  assert found.dtype == np.float32
  assert found[0, :5].tolist() == [0, 0, np.inf, 0, 31]
  np.testing.assert_array_equal(
    source.make("x.tar/b")["depth_m"], half.astype(np.float32)
  )


def test_sources_are_named_by_key_folder_or_argument(tmp_path):
  wild = released_fakes.wild()
  for folder, key, want in (
    ("a", "o365_1", "o365"),
    ("b", "COYO-7", "coyo"),
    ("my_coyo/c", "77", "coyo"),
    ("o365/sub", "x", "o365"),
    ("d", "1", "wild"),
  ):
    (tmp_path / folder).mkdir(parents=True)
    path = released_fakes.write(tmp_path / folder / "x.tar", [(key, wild)])
    (name,) = released.Shards(path).splits["train"]
    assert released.Shards(path).make(name)["source"] == want
    mine = released.Shards(path, name="mine")
    assert mine.make(name)["source"] == "mine"
  assert mine.describe() != released.Shards(path).describe()


def test_numpy_in_questions_becomes_plain(tmp_path):
  item = released_fakes.WILD_ITEM | {
    "object": {"raw": {"raw_bbox": np.array([1.5, 2, 3, 4], np.float32)}},
    "size": (np.float64(2), torch.tensor(3.0), np.nan),
  }
  content = {"a_list": [item, None], "metadata_list": [7], "b_list": None}
  files = released_fakes.wild(pt=released_fakes.saved(content))
  path = released_fakes.write(tmp_path / "x.tar", [("1", files)])
  record = released.Shards(path).make("x.tar/1")
  (row,) = records.decode(records.encode(record))["qa"]
  assert row["meta"]["object"]["raw"]["raw_bbox"] == [1.5, 2.0, 3.0, 4.0]
  assert row["meta"]["size"] == [2.0, 3.0, None]
  assert record["notes"] == []


def test_a_camera_is_fitted_where_none_is_stored(tmp_path):
  points = released_fakes.points()
  lost = np.full_like(points, np.nan)
  none = np.zeros(points.shape[:2], bool)
  moge = released_fakes.moge
  files = {
    "fitted": moge(intrinsics=None),
    "masked": moge(
      intrinsics=None, points=torch.tensor(lost), mask=torch.tensor(none)
    ),
  }
  path = released_fakes.write(
    tmp_path / "x.tar",
    [(k, released_fakes.general(pt=v)) for k, v in files.items()],
  )
  source = released.Shards(path, "general")
  found = source.make("x.tar/fitted")
  np.testing.assert_allclose(
    found["intrinsics"], released_fakes.CAMERA, atol=1e-6
  )
  assert found["notes"] == []
  masked = source.make("x.tar/masked")
  assert np.isinf(masked["depth_m"]).all()
  assert masked["notes"][0][0] == "assumed_camera"
  records.encode(masked)


def test_points_off_the_rays_are_unknown_and_noted(tmp_path):
  points = released_fakes.points()
  points[2, 3, 0] += 0.1
  moge = released_fakes.moge(points=torch.tensor(points))
  path = released_fakes.write(
    tmp_path / "x.tar", [("1", released_fakes.general(pt=moge))]
  )
  record = released.Shards(path, "general").make("x.tar/1")
  assert np.argwhere(record["depth_m"] == 0).tolist() == [[2, 3]]
  (note,) = record["notes"]
  assert note == (
    "off_rays",
    "x.tar/1: 1 of 48 points are off the camera's rays",
  )


def test_a_turned_picture_stays_as_its_depth_is(tmp_path):
  exif = (
    b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
  )
  jpeg = released_fakes.jpeg()
  turned = (
    jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + jpeg[2:]
  )
  assert codec.read_image(turned).shape[:2] == (
    released_fakes.W,
    released_fakes.H,
  )
  path = released_fakes.write(
    tmp_path / "x.tar", [("1", released_fakes.wild(jpg=turned))]
  )
  record = released.Shards(path).make("x.tar/1")
  assert record["image"] == jpeg
  records.encode(record)


def test_the_source_pickles_small_and_divides(tmp_path):
  files = released_fakes.general()
  path = released_fakes.write(
    tmp_path / "x.tar", [(str(i), files) for i in range(60)]
  )
  source = released.Shards(path, "general", 0.25)
  splits = source.splits
  assert 5 < len(splits["val"]) < 30
  data = pickle.dumps(source)
  assert len(data) < 400
  again = pickle.loads(data)
  assert again.splits == splits
  assert again.make("x.tar/7")["id"] == "x.tar/7"


def test_open_source_tells_the_kind_from_the_members(tmp_path):
  for kind in released.MEMBERS:
    path = _GOLDEN / f"{kind}-000000.tar"
    found = pictures.open_source(str(path), val=0.5)
    assert found == released.Shards(str(path), kind, 0.5)
    folder = tmp_path / kind / "part-0"
    folder.mkdir(parents=True)
    (folder / "a.tar").write_bytes(b"")
    (folder / "b.tar").write_bytes(path.read_bytes())
    for given in (str(tmp_path / kind), str(folder / "*.tar")):
      assert pictures.open_source(given).kind == kind
  ours = [("1", {".jpg": released_fakes.jpeg(), ".json": b"{}"})]
  path = released_fakes.write(tmp_path / "ours.tar", ours)
  assert type(pictures.open_source(path)) is tars.TarShards
  with pytest.raises(
    ValueError, match="kind 'wilde' is none of 'wild', 'ca1m'"
  ):
    released.Shards(path, "wilde")
  with pytest.raises(FileNotFoundError, match=r"no \.tar file"):
    released.Shards(str(tmp_path / "none.tar"))
