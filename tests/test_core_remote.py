"""Buckets behind local copies: kept, refreshed, sent, mirrored."""

import contextlib
import errno
import os
import shutil

import fake_bucket
import pytest

from hispatial_jax.core import mirror, remote


@pytest.fixture
def root(tmp_path, monkeypatch):
  return fake_bucket.at(tmp_path, monkeypatch)


def _put(root, name, text, time=1_000_000):
  place = root / name
  place.parent.mkdir(parents=True, exist_ok=True)
  place.write_text(text)
  os.utime(place, (time, time))
  return f"gs://{name}"


def test_a_copy_is_used_again_until_the_original_changes(root, monkeypatch):
  url = _put(root, "b/x/model.npz", "one")
  first = remote.fetch(url)
  assert first.read_text() == "one"
  count = []
  download = remote.download
  monkeypatch.setattr(
    remote, "download", lambda *a: count.append(a) or download(*a)
  )
  assert remote.fetch(url) == first
  assert not count
  _put(root, "b/x/model.npz", "two", time=1_000_001)
  assert remote.fetch(url).read_text() == "two"
  assert len(count) == 1
  assert [p.name for p in first.parent.iterdir()] == ["model.npz"]


def test_a_folder_loses_what_the_original_lost(root):
  for name in ("config.json", "a.safetensors", "sub/b.safetensors", "c.bin"):
    _put(root, f"b/hf/{name}", name)
  some = remote.fetch("gs://b/hf", (".json", ".safetensors"))
  assert sorted(remote.names(some)) == [
    "a.safetensors", "config.json", "sub/b.safetensors",
  ]  # fmt: skip
  (root / "b/hf/a.safetensors").unlink()
  assert sorted(remote.names(remote.fetch("gs://b/hf"))) == [
    "c.bin", "config.json", "sub/b.safetensors",
  ]  # fmt: skip


def test_local_paths_are_themselves(tmp_path):
  assert remote.fetch(tmp_path) == tmp_path
  assert remote.path(tmp_path).is_dir()
  with mirror.of(tmp_path) as out:
    assert out == tmp_path
  remote.refuse(tmp_path, "records")


def test_errors_say_what_to_do(root, monkeypatch):
  with pytest.raises(FileNotFoundError, match="gs://b/none: no such file"):
    remote.fetch("gs://b/none")
  with pytest.raises(ValueError, match=r"records can only .*rsync -r gs://b/d"):
    remote.refuse("gs://b/d", "records")
  with pytest.raises(ValueError, match="expected gs://, s3:// or hf://"):
    remote.path("gcs4://b/x")
  url = _put(root, "b/big", "12345")
  usage = shutil.disk_usage("/")._replace(free=remote._SPARE + 4)
  monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
  with pytest.raises(OSError, match="HISPATIAL_CACHE") as error:
    remote.fetch(url)
  assert error.value.errno == errno.ENOSPC


def test_without_gcsfs_the_extra_is_named(root, monkeypatch):
  def missing(name):
    raise ImportError("Please install gcsfs to access Google Storage")

  monkeypatch.setattr("fsspec.get_filesystem_class", missing)
  with pytest.raises(ImportError, match=r"hispatial_jax\[gcs\]"):
    remote.path("gs://b/x")


def test_a_cut_download_is_no_copy(root, monkeypatch):
  url = _put(root, "b/model.npz", "12345")
  monkeypatch.setattr(remote, "_pour", lambda *_: 3)
  with pytest.raises(OSError, match="3 bytes came of 5"):
    remote.fetch(url)
  assert not [p for p in remote.cache().rglob("*") if p.is_file()]


def test_what_is_written_is_sent_at_the_end(root, monkeypatch):
  order, upload = [], remote.upload
  monkeypatch.setattr(
    remote, "upload", lambda *a: order.append(a[0].name) or upload(*a)
  )
  with remote.writing("gs://b/out") as place:
    place.mkdir()
    (place / "config.json").write_text("{}")
    (place / "weights.pt").write_text("1234567")
    assert not (root / "b/out").exists()
  assert (root / "b/out/weights.pt").read_text() == "1234567"
  assert order == ["weights.pt", "config.json"]  # which says it is whole
  assert not list(remote.cache().iterdir())


def test_a_send_that_fails_leaves_nothing(root, tmp_path, monkeypatch):
  upload = remote.upload

  def fails(place, target, bar=None):
    if place.name == "config.json":  # the smaller one, so the last
      raise OSError("quota")
    upload(place, target, bar)

  monkeypatch.setattr(remote, "upload", fails)
  place = tmp_path / "out"
  place.mkdir()
  (place / "config.json").write_text("{}")
  (place / "weights.pt").write_text("1234567")
  with pytest.raises(OSError, match="quota"):
    remote.send(place, "gs://b/o")
  assert not [p for p in (root / "b").rglob("*") if p.is_file()]


def test_append_keeps_what_was_there(root, tmp_path):
  for path in ("gs://b/m.jsonl", tmp_path / "m.jsonl"):
    path = remote.path(path)
    remote.append(path, "1\n")
    remote.append(path, "2\n")
    assert path.read_text() == "1\n2\n"


def test_a_mirror_grows_shrinks_and_ends_in_the_bucket(root):
  _put(root, "b/eval/run.json", "old")
  _put(root, "b/eval/answers/p0.jsonl", "1\n")
  with mirror.of("gs://b/eval") as out:
    with (out / "answers/p0.jsonl").open("a") as file:
      file.write("2\n")
    (out / "run.json").unlink()
    mirror.sync(out / "answers")
    assert (root / "b/eval/answers/p0.jsonl").read_text() == "1\n2\n"
    assert not (root / "b/eval/run.json").exists()
    (out / "half.partial-3").write_text("not yet")
    (out / "metrics.json").write_text("{}")
  assert sorted(remote.names(root / "b/eval")) == [
    "answers/p0.jsonl",
    "metrics.json",
  ]


def _write_and_fail(path):
  path.write_text("1")
  raise KeyError


def test_an_error_still_sends_what_is_there(root):
  out = contextlib.ExitStack()
  with pytest.raises(KeyError), out:
    _write_and_fail(out.enter_context(mirror.of("gs://b/eval")) / "a")
  assert (root / "b/eval/a").read_text() == "1"


def test_two_processes_see_each_other_at_sync(root):
  _put(root, "b/e/stale", "x")
  with mirror.of("gs://b/e") as one, mirror.of("gs://b/e") as two:
    (one / "p0").write_text("0")
    (two / "p1").write_text("1")
    (one / "stale").unlink()
    mirror.sync(one)
    mirror.sync(two)
    assert (two / "p0").read_text() == "0"
    assert not (two / "stale").exists()
    mirror.sync(one)
    assert (one / "p1").read_text() == "1"
  assert sorted(remote.names(root / "b/e")) == ["p0", "p1"]


def test_minutes_go_by(root, monkeypatch):
  monkeypatch.setattr(mirror, "_EVERY_S", 0.01)
  with mirror.of("gs://b/e") as out:
    (out / "a").write_text("1")
    for _ in range(500):
      if (root / "b/e/a").exists():
        break
      out.stat()
      mirror.threading.Event().wait(0.01)
    assert (root / "b/e/a").read_text() == "1"
