"""The same input gives the same plan; another plan is refused where one is."""

import dataclasses
import json

import data_fakes
import precompute_fakes as fakes
import pytest

from hispatial_jax.precompute import plan, store


@pytest.fixture
def photos(tmp_path):
  folder = tmp_path / "photos"
  fakes.write_photos(folder, 10)
  return fakes.Photos(str(folder), val_every=5)


def _plan(source, model=None, **options):
  return plan.make(source, plan.Options(shard_size=3, **options), model)


def test_shards_are_runs_of_ids(photos):
  todo = _plan(photos)
  cuts = [(j.name, j.count, j.start, j.stop) for j in todo.jobs]
  assert cuts == [
    ("train-00000", 3, 0, 3),
    ("train-00001", 3, 3, 6),
    ("train-00002", 3, 6, 8),
    ("val-00000", 1, 0, 2),
  ]
  assert plan.ids_of(photos, todo.jobs[1]) == [
    "p0004.jpg",
    "p0006.jpg",
    "p0007.jpg",
  ]
  assert todo.images == 10


def test_what_changes_the_records_changes_the_fingerprint(photos):
  model = {"sha256": "a"}
  all_of_them = [
    _plan(photos),
    _plan(photos, model),
    _plan(photos, {"sha256": "b"}),
    _plan(photos, size=64),
    _plan(photos, model, batch_size=2),
    _plan(photos, square=64),
    _plan(photos, depth_optional=True),
    plan.make(photos, plan.Options(shard_size=4), None),
    _plan(dataclasses.replace(photos, measured=("p0001.jpg",))),
    _plan(dataclasses.replace(photos, val_every=4)),
  ]
  assert len({todo.fingerprint for todo in all_of_them}) == len(all_of_them)
  assert _plan(photos, model).fingerprint == all_of_them[1].fingerprint
  # What only a model looks at is nothing to records without one.
  assert _plan(photos, batch_size=2).fingerprint == all_of_them[0].fingerprint


def test_a_source_that_changes_meanwhile_is_noticed(photos, tmp_path):
  todo = _plan(photos)
  (tmp_path / "photos" / "p0004.jpg").unlink()
  assert plan.ids_of(photos, todo.jobs[0])[0] == "p0001.jpg"
  with pytest.raises(ValueError, match="changed while it was read"):
    plan.ids_of(photos, todo.jobs[1])


def test_wrong_input_is_refused(photos, tmp_path):
  with pytest.raises(ValueError, match=r"size 0 .*JPEG quality 0"):
    plan.Options(batch_size=0, quality=0)
  (tmp_path / "nothing").mkdir()
  with pytest.raises(ValueError, match="no pictures"):
    _plan(fakes.Photos(str(tmp_path / "nothing")))

  class Twice(fakes.Photos):
    splits = {"train": ["a", "b", "a"]}  # noqa: RUF012

  with pytest.raises(ValueError, match="'a' comes 2 times"):
    _plan(Twice(photos.folder))


def test_checksum_of_files_and_folders(tmp_path):
  (tmp_path / "m").mkdir()
  (tmp_path / "m" / "a").write_bytes(b"x")
  first = plan.checksum(tmp_path / "m")
  assert plan.checksum(tmp_path / "m" / "a").startswith("2d711642b726")
  (tmp_path / "m" / "a").rename(tmp_path / "m" / "b")
  assert plan.checksum(tmp_path / "m") != first
  with pytest.raises(FileNotFoundError, match="no model at"):
    plan.checksum(tmp_path / "none")


def test_a_folder_keeps_to_its_plan(photos, tmp_path):
  out = tmp_path / "out"
  store.Store(out, _plan(photos)).begin(overwrite=False)
  store.Store(out, _plan(photos)).begin(overwrite=False)
  other = store.Store(out, _plan(photos, size=64))
  with pytest.raises(FileExistsError, match=r"options\.size was 0, is 64"):
    other.begin(overwrite=False)
  with pytest.raises(ValueError, match=r"options\.size was 0, is 64"):
    other.check_begun()
  (out / "shards" / "train-00000.json").write_text("{}")
  other.begin(overwrite=True)
  assert not (out / "shards" / "train-00000.json").exists()
  there = json.loads((out / "plan.json").read_text())
  assert there["options"]["size"] == 64
  assert there["fingerprint"] == other.plan.fingerprint


def test_another_tools_dataset_is_not_touched(photos, tmp_path):
  folder = tmp_path / "out" / "records" / "1.0.0"
  folder.mkdir(parents=True)
  (folder / "dataset_info.json").write_text("{}")
  with pytest.raises(FileExistsError, match="made by another tool"):
    store.Store(tmp_path / "out", _plan(photos)).begin(overwrite=False)
  assert (folder / "dataset_info.json").exists()


def test_what_a_killed_run_left_is_removed(photos, tmp_path):
  mine = store.Store(tmp_path, _plan(photos))
  mine.begin(overwrite=False)
  left = [
    tmp_path / "records" / "1.0.0" / "records-train.x.partial-123",
    tmp_path / "shards" / "train-00001.doing",
    tmp_path / "shards" / "train-00001.json.partial-123",
    tmp_path / "shards" / "stop.json",
  ]
  for path in left:
    path.write_text("{}")
  mine.begin(overwrite=False)
  assert not [path for path in left if path.exists()]


def test_small_sources_are_cut_for_several_workers():
  sizes = {
    count: plan.even_size(data_fakes.Source(train=count, val=0))
    for count in (5, 360, 2300, 100_000)
  }
  assert sizes == {5: 16, 360: 16, 2300: 96, 100_000: 256}
