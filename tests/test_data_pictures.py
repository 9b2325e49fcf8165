"""Pictures are found wherever they lie; what cannot be read is counted."""

import io
import json
import pathlib
import pickle
import tarfile

import cv2
import data_fakes
import numpy as np
import pytest

from hispatial_jax.data import (
  pictures,
  records,
  scannet,
  sources,
  tar_index,
  tars,
  tum,
)
from hispatial_jax.pp import codec, given


def _jpeg(number=0):
  image = np.full((8, 12, 3), number * 20 % 256, np.uint8)
  return cv2.imencode(".jpg", image)[1].tobytes()


def _png(image):
  return cv2.imencode(".png", image)[1].tobytes()


def _write(folder, **files):
  """Files by path, as bytes."""
  for name, data in files.items():
    path = pathlib.Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _tar(path, members, form=tarfile.USTAR_FORMAT):
  """A tar of [(name, bytes)]."""
  with tarfile.open(path, "w", format=form) as tar:
    for name, data in members:
      member = tarfile.TarInfo(name)
      member.size = len(data)
      tar.addfile(member, io.BytesIO(data))
  return path


def test_a_folder_of_pictures(tmp_path):
  _write(
    tmp_path,
    **{
      "b/2.PNG": _png(np.zeros((2, 3, 3), np.uint8)),
      "b/c/1.jpeg": _jpeg(1),
      "a.jpg": _jpeg(2),
      "note.txt": b"no picture",
      ".cache/x.jpg": _jpeg(3),
      "._a.jpg": b"of macOS",
    },
  )
  source = pictures.ImageFolder(str(tmp_path))
  assert source.splits == {"train": ["a.jpg", "b/2.PNG", "b/c/1.jpeg"]}
  record = source.make("b/c/1.jpeg")
  assert record["image"] == _jpeg(1)
  assert (record["depth_m"], record["intrinsics"]) == (None, None)
  back = records.decode(records.encode(source.make("b/2.PNG")))
  assert back["image"].shape == (2, 3, 3)
  before = source.describe()
  assert json.loads(json.dumps(before)) == before
  _write(tmp_path, **{"a.jpg": _jpeg(2) + b"\0"})
  assert pictures.ImageFolder(str(tmp_path)).describe() != before


def test_sources_pickle_small(tmp_path):
  for number in range(200):
    _write(tmp_path, **{f"{number:05d}.jpg": b"x"})
  lines = [json.dumps({"id": str(i), "image": "00000.jpg"}) for i in range(200)]
  (tmp_path / "x.jsonl").write_text("\n".join(lines))
  _tar(tmp_path / "x.tar", [(f"{i}.jpg", b"x") for i in range(200)])
  for source in (
    pictures.ImageFolder(str(tmp_path)),
    sources.Folders(str(tmp_path / "x.jsonl")),
    tars.TarShards(str(tmp_path / "x.tar")),
  ):
    (ids,) = source.splits.values()
    assert len(ids) == 200
    data = pickle.dumps(source)
    assert len(data) < 400
    again = pickle.loads(data)
    assert again.make(ids[7])["image"] == b"x"
    assert again.splits == source.splits


def test_the_validation_share_goes_by_name():
  ids = [f"{i}.jpg" for i in range(4000)]
  found = sources.divide(ids, 0.1)
  assert sorted(found["train"] + found["val"]) == sorted(ids)
  assert 340 < len(found["val"]) < 460  # 400 expected, 3 sigma are 57
  fewer = sources.divide(ids[::2], 0.1)
  assert set(fewer["val"]) == set(found["val"]) & set(ids[::2])
  with pytest.raises(ValueError, match="val 1 "):
    sources.divide(ids, 1)


_QA = data_fakes.record()["qa"]


def test_tar_shards(tmp_path):
  objects = {"gravity": [0, 1, 0]}
  ours = json.dumps({"qa": _QA, "objects": objects}).encode()
  _tar(
    tmp_path / "p-000.tar",
    [
      ("./d/one.jpg", _jpeg(1)),
      ("./d/one.json", ours),
      ("./d/one.depth.png", b"of others"),
      ("two.v1.JPG", _jpeg(2)),
      ("two.jpg", _jpeg(3)),
      ("two.json", b'{"qa": [{"question": "not our form"}]}'),
    ],
  )
  long_name = "x" * 150 + "/" + "y" * 120
  webp = cv2.imencode(".webp", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
  for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
    path = tmp_path / f"p-00{form}.tar"
    _tar(path, [(f"{long_name}.webp", webp), ("z.txt", b"-")], form)
  source = tars.TarShards(str(tmp_path / "p-*.tar"))
  assert source.splits["train"] == [
    "p-000.tar/d/one",
    "p-000.tar/two",
    f"p-001.tar/{long_name}",
    f"p-002.tar/{long_name}",
  ]
  one = source.make("p-000.tar/d/one")
  assert (one["image"], one["qa"], one["objects"]) == (_jpeg(1), _QA, objects)
  two = source.make("p-000.tar/two")
  assert (two["image"], two["qa"], two["objects"]) == (_jpeg(3), [], {})
  for form in (1, 2):
    assert source.make(f"p-00{form}.tar/{long_name}")["image"] == webp
  assert source.skipped == {"no_picture": 2}
  assert pictures.open_source(str(tmp_path)).splits == source.splits


def _damaged(tmp_path, change, count=12):
  """(what is still found, reasons) of a tar of `count`, bytes changed."""
  members = [(f"{i:02d}.jpg", _jpeg(i) + bytes(900)) for i in range(count)]
  path = _tar(tmp_path / "x.tar", members)
  data = bytearray(path.read_bytes())
  path.write_bytes(change(data))
  index = tar_index.read_index(path)
  source = tars.TarShards(str(path))
  for name in (n for part in source.splits.values() for n in part):
    number = int(name[-2:])
    assert source.make(name)["image"] == members[number][1]
  return sorted(index.samples), [reason for reason, _ in index.skipped]


def test_damaged_tars_give_what_is_whole(tmp_path):
  names = [f"{i:02d}" for i in range(12)]
  each = (len(_jpeg()) + 900 + 511) // 512 * 512 + 512

  def header(number):
    return number * each

  found, reasons = _damaged(tmp_path, lambda d: d)
  assert (found, reasons) == (names, [])
  found, reasons = _damaged(tmp_path, lambda d: d[: header(5) + 700])
  assert (found, reasons) == (names[:5], ["truncated_tar"])
  found, reasons = _damaged(tmp_path, lambda d: d[: header(5) + 100])
  assert (found, reasons) == (names[:5], ["truncated_tar"])
  found, reasons = _damaged(tmp_path, lambda d: d[: header(5)])
  assert (found, reasons) == (names[:5], ["truncated_tar"])

  def overwrite(begin, end, value=0xAA):
    def change(data):
      data[begin:end] = bytes([value]) * (end - begin)
      return data

    return change

  found, reasons = _damaged(tmp_path, overwrite(header(3), header(3) + 200))
  assert (found, reasons) == (names[:3] + names[4:], ["damaged_tar"])
  found, reasons = _damaged(tmp_path, overwrite(0, header(2) + 9))
  assert (found, reasons) == (names[3:], ["damaged_tar"])
  found, reasons = _damaged(tmp_path, overwrite(header(2), header(10), 0))
  assert (found, reasons) == (names[:2] + names[10:], ["damaged_tar"])


def test_tars_joined_end_to_end_are_both_read(tmp_path):
  one = _tar(tmp_path / "1.tar", [("a.jpg", _jpeg(1))]).read_bytes()
  two = _tar(tmp_path / "2.tar", [("b.jpg", _jpeg(2))]).read_bytes()
  (tmp_path / "both.tar").write_bytes(one + two)
  source = tars.TarShards(str(tmp_path / "both.tar"))
  assert source.make("both.tar/b")["image"] == _jpeg(2)
  assert source.make("both.tar/a")["image"] == _jpeg(1)
  assert not source.skipped


def test_any_damage_is_counted_and_never_a_crash(tmp_path):
  members = [(f"{i:02d}.jpg", _jpeg(i)) for i in range(6)]
  data = _tar(tmp_path / "x.tar", members, tarfile.PAX_FORMAT).read_bytes()
  rng = np.random.default_rng(0)
  for trial in range(150):
    broken = bytearray(data[: rng.integers(len(data)) if trial % 2 else None])
    for at in rng.integers(0, max(len(broken), 1), 3):
      broken[at : at + 1] = bytes([rng.integers(256)])
    path = tmp_path / f"{trial}.tar"
    path.write_bytes(broken)
    index = tar_index.read_index(path)
    assert len(index.samples) == 6 or index.skipped or len(broken) > 5000
    for _, text in index.skipped:
      assert "\n" not in text


def test_what_is_no_tar_or_twice_there(tmp_path):
  _write(
    tmp_path,
    **{
      "a.tar": b"",
      "b.tar": b"\x1f\x8b\x08" + bytes(600),
      "c.tar": b"<html>not found</html>" * 90,
    },
  )
  _tar(tmp_path / "d.tar", [("1.jpg", b"x"), ("1.jpg", b"y"), ("2.jpg", b"z")])
  source = tars.TarShards(str(tmp_path))
  assert source.splits == {"train": ["d.tar/1", "d.tar/2"]}
  assert source.make("d.tar/1")["image"] == b"x"
  assert source.skipped == {
    "truncated_tar": 1,
    "compressed_tar": 1,
    "damaged_tar": 1,
    "duplicate": 1,
  }
  for (_, text), name in zip(source.problems, "abcd", strict=True):
    assert f"{name}.tar: " in text


def test_a_dataset_of_ours_keeps_all(tmp_path):
  data_fakes.write(data_fakes.Source(train=5, val=2), tmp_path)
  source = pickle.loads(pickle.dumps(pictures.open_source(str(tmp_path))))
  assert {k: len(v) for k, v in source.splits.items()} == {"train": 5, "val": 2}
  assert sorted(source.splits["val"]) == ["r1000", "r1001"]
  record, raw = source.make("r1001"), data_fakes.record("r1001")
  assert (record["id"], record["source"]) == ("r1001", "fake")
  assert (record["qa"], record["objects"]) == (raw["qa"], raw["objects"])
  np.testing.assert_allclose(record["depth_m"], raw["depth_m"], rtol=6e-5)
  np.testing.assert_array_equal(record["intrinsics"], raw["intrinsics"])
  assert given.read_image(record["image"]).shape == (28, 28, 3)
  with pytest.raises(KeyError, match="no record 'r9'"):
    source.make("r9")
  assert source.describe()["records"] == {"train": 5, "val": 2}


def test_a_dataset_without_depth_has_no_camera_either(tmp_path):
  (tmp_path / "a").mkdir()
  (tmp_path / "a/1.jpg").write_bytes(_jpeg())
  data_fakes.write(pictures.ImageFolder(str(tmp_path / "a")), tmp_path / "b")
  record = pictures.Dataset(str(tmp_path / "b")).make("1.jpg")
  assert record["image"] == _jpeg()
  assert (record["depth_m"], record["intrinsics"]) == (None, None)


def _foreign(folder, image=True):
  """A TFDS set of others: no column of ours but the image."""
  import tensorflow_datasets as tfds

  features = {
    "label": tfds.features.ClassLabel(num_classes=9),
    "boxes": tfds.features.Sequence(tfds.features.BBoxFeature()),
  }
  if image:
    features["image"] = tfds.features.Image(shape=(None, None, 3))
  png = _png(np.full((5, 6, 3), 7, np.uint8))

  class Cats(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tfds.core.Version("1.0.0")
    pkg_dir_path = None

    def _info(self):
      features_dict = tfds.features.FeaturesDict(features)
      return tfds.core.DatasetInfo(builder=self, features=features_dict)

    def _split_generators(self, dl_manager):
      return {"test": self._generate_examples()}

    def _generate_examples(self):
      for i in range(3):
        row = {"label": i, "boxes": [], "image": io.BytesIO(png)}
        yield i, {key: row[key] for key in features}

  maker = Cats(data_dir=str(folder), file_format="array_record")
  maker.download_and_prepare()
  return png


def test_a_dataset_of_others(tmp_path):
  png = _foreign(tmp_path)
  source = pictures.open_source(str(tmp_path / "cats"))
  names = ["test-00000000", "test-00000001", "test-00000002"]
  assert source.splits == {"test": names}
  record = source.make(names[1])
  assert record["image"] == png
  assert (record["depth_m"], record["qa"]) == (None, [])
  assert records.decode(records.encode(record))["image"].shape == (5, 6, 3)


def test_a_dataset_without_pictures(tmp_path):
  _foreign(tmp_path, image=False)
  with pytest.raises(ValueError, match="no column image, but boxes, label"):
    pictures.open_source(str(tmp_path / "cats"))


def test_jsonl_lines_without_depth(tmp_path):
  camera = [[0.9, 0, 0.5], [0, 1.2, 0.5], [0, 0, 1]]
  _write(tmp_path, **{"a.jpg": _jpeg(), "b.gif": b"GIF89a"})
  path = tmp_path / "own.jsonl"
  lines = [
    {"id": "plain", "image": "a.jpg", "qa": _QA},
    {"id": "camera", "image": "a.jpg", "intrinsics": camera, "split": "val"},
    {"id": "none"},
  ]
  path.write_text("\n".join(map(json.dumps, lines)))
  source = pictures.open_source(str(path))
  plain = source.make("plain")
  assert (plain["depth_m"], plain["intrinsics"]) == (None, None)
  assert plain["qa"] == _QA
  assert source.make("camera")["intrinsics"] == camera
  with pytest.raises(codec.BadInput, match="'none' names no image"):
    source.make("none")


def test_open_source_tells_from_the_path(tmp_path):
  scene, sequence = tmp_path / "s/scene0", tmp_path / "t/freiburg1_a"
  for folder in (scene / "color", scene / "depth", sequence):
    folder.mkdir(parents=True)
  for name in ("rgb.txt", "depth.txt"):
    (sequence / name).write_text("")
  _write(tmp_path, **{"p/x/y/a.jpg": _jpeg(), "q/readme.md": b"-"})
  _tar(tmp_path / "a.tar", [("1.jpg", _jpeg())])
  for path, kind in (
    ("s", scannet.ScanNet),
    ("s/scene0", scannet.ScanNet),
    ("t", tum.Tum),
    ("t/freiburg1_a", tum.Tum),
    ("p", pictures.ImageFolder),
    ("a.tar", tars.TarShards),
    ("*.tar", tars.TarShards),
    (".", tars.TarShards),
  ):
    found = pictures.open_source(str(tmp_path / path))
    assert isinstance(found, kind), path
  options = {"stride": 3, "size": 448}
  assert pictures.open_source(str(scene), **options).stride == 3
  with pytest.raises(ValueError, match="stride, size: only for measured"):
    pictures.open_source(str(tmp_path / "p"), **options)
  for path in ("q", "none", "none.tar", "none.jsonl", "q/readme.md"):
    with pytest.raises(FileNotFoundError) as error:
      pictures.open_source(str(tmp_path / path))
    assert "looked for" in str(error.value)
    for word in (".jsonl", ".tar", "TFDS", "TUM", "ScanNet", "pictures below"):
      assert word in str(error.value)
