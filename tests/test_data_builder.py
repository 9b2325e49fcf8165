"""Records written by TFDS through Beam are read back, or nothing is there."""

import collections
import os
import pathlib
import shutil
import subprocess
import sys

import data_fakes
import pytest

from hispatial_jax.data import builder, maker, records


@pytest.fixture(scope="module")
def built(tmp_path_factory):
  folder = tmp_path_factory.mktemp("built")
  seen = []
  found = builder.build(
    data_fakes.Source(), folder, on_record=lambda: seen.append(1)
  )
  return folder, found, len(seen)


def test_counts(built):
  _, found, seen = built
  assert {k: v["records"] for k, v in found.items()} == {"train": 12, "val": 5}
  assert seen == 17


def test_reads_back_every_record(built):
  train = builder.open_split(built[0], "train")
  back = {r["id"]: r for r in map(records.decode, train)}
  assert sorted(back) == data_fakes.Source().splits["train"]
  assert back["r0003"]["qa"] == data_fakes.record("r0003")["qa"]
  assert back["r0003"]["objects"] == data_fakes.record("r0003")["objects"]


def test_is_shuffled_but_always_the_same(built, tmp_path):
  builder.build(data_fakes.Source(), tmp_path, workers=2)
  first, second = (
    [r["id"] for r in builder.open_split(folder, "train")]
    for folder in (built[0], tmp_path)
  )
  assert first == second != sorted(first)


def test_a_part_of_a_split(built):
  assert len(builder.open_split(built[0], "train[:4]")) == 4


def test_needs_no_tensorflow(built):
  code = (
    "import sys; from hispatial_jax.data import builder;"
    f"assert len(builder.open_split({str(built[0])!r}, 'val')[0]) == 10;"
    "assert 'tensorflow' not in sys.modules and 'apache_beam' not in"
    " sys.modules"
  )
  subprocess.run([sys.executable, "-c", code], check=True)


def test_another_dataset_is_not_touched(built):
  with pytest.raises(FileExistsError, match="already holds"):
    builder.build(data_fakes.Source(train=3), built[0])
  assert builder.description(built[0])["train"] == 12


def test_overwrite(tmp_path):
  builder.build(data_fakes.Source(train=3, val=0), tmp_path)
  builder.build(data_fakes.Source(train=4, val=0), tmp_path, overwrite=True)
  assert len(builder.open_split(tmp_path, "train")) == 4
  assert builder.description(tmp_path)["train"] == 4


def _files(folder):
  return [p for p in pathlib.Path(folder).rglob("*") if p.is_file()]


def test_bad_records_stop_the_build_and_leave_nothing(tmp_path):
  source = data_fakes.Source(broken=("r0002", "r0005"))
  with pytest.raises(records.BadRecord, match=r"(?s)r0002.*\n.*r0005"):
    builder.build(source, tmp_path)
  assert not _files(tmp_path)
  assert builder.description(tmp_path) is None


def test_bad_records_can_be_left_out(tmp_path):
  source = data_fakes.Source(broken=("r0002",))
  found = builder.build(source, tmp_path, skip_bad=True)
  assert (found["train"]["records"], found["train"]["wanted"]) == (11, 12)


def test_no_space_is_seen_before(tmp_path, monkeypatch):
  usage = collections.namedtuple("usage", "total used free")
  monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 100))
  with pytest.raises(OSError, match="no space left: 17 records need"):
    builder.build(data_fakes.Source(), tmp_path)
  assert not _files(tmp_path)


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="needs mount")
def test_no_space_while_writing(tmp_path, monkeypatch):
  place = tmp_path / "small"
  place.mkdir()
  mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(place)]
  if subprocess.run(mount, capture_output=True).returncode:
    pytest.skip("may not mount a small file system")
  monkeypatch.setattr(maker, "check_space", lambda *_: None)
  try:
    with pytest.raises(OSError, match="no space left in"):
      builder.build(data_fakes.Source(train=200, val=0), place)
    assert not _files(place)
  finally:
    subprocess.run(["umount", str(place)], check=True)


def test_what_a_killed_build_left_is_removed(tmp_path):
  left = tmp_path / "records" / "incomplete.ABC_1.0.0"
  left.mkdir(parents=True)
  (left / "half").write_text("x")
  builder.build(data_fakes.Source(train=2, val=0), tmp_path)
  assert not left.exists()


def test_open_split_explains(built, tmp_path):
  with pytest.raises(FileNotFoundError, match="build_records"):
    builder.open_split(tmp_path, "train")
  with pytest.raises(ValueError, match="did you mean 'train'"):
    builder.open_split(built[0], "trian")
