"""Beam: the same bytes for any number of workers, killed or not."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import precompute_fakes as fakes
import pytest

from hispatial_jax.data import builder, records
from hispatial_jax.precompute import beam, beam_flags, maker, plan, run, watch
from hispatial_jax.precompute import store as store_lib

_ROOT = pathlib.Path(__file__).parent.parent
_COUNT, _BROKEN, _SHARD = 200, 17, 16
_OPTIONS = plan.Options(shard_size=_SHARD, batch_size=4)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
  folder = tmp_path_factory.mktemp("photos")
  fakes.write_photos(folder, _COUNT, broken=(_BROKEN,))
  return folder


@pytest.fixture(scope="module")
def plain(photos, tmp_path_factory):
  """An undisturbed run of one worker."""
  out = tmp_path_factory.mktemp("plain")
  return out, _run(photos, out)


def _run(photos, out, workers=1, source=None, **kwargs):
  source = source or fakes.Photos(str(photos), val_every=10)
  crew = beam.Crew(fakes.load, workers=workers, threads=2)
  return run.run(source, str(out), _OPTIONS, crew, **kwargs)


def _start(photos, out, **given):
  given = {"shard": _SHARD, "val_every": 10, **given}
  path = os.pathsep.join([str(_ROOT), str(_ROOT / "tests")])
  script = _ROOT / "tests" / "precompute_driver.py"
  return subprocess.Popen(
    [sys.executable, script, str(photos), str(out), json.dumps(given)],
    env={**os.environ, "PYTHONPATH": path},
    cwd=_ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def _bytes(out):
  """The dataset: shards and TFDS's own files."""
  folder = pathlib.Path(out) / "records" / "1.0.0"
  return {path.name: path.read_bytes() for path in folder.iterdir()}


def _sidecars(out):
  return sorted((pathlib.Path(out) / "shards").glob("*.json"))


def _wait_for(process, out, count):
  while len(_sidecars(out)) < count:
    assert process.poll() is None, process.communicate()
    time.sleep(0.05)


def test_every_picture_is_a_record_or_in_quarantine(plain):
  out, done = plain
  counted = done["tally"]
  assert (counted["images"], counted["records"]) == (_COUNT, _COUNT - 1)
  lines = (out / "quarantine.jsonl").read_text().splitlines()
  (bad,) = map(json.loads, lines)
  assert (bad["id"], bad["reason"]) == ("p0017.jpg", "truncated")
  stored = [*builder.open_split(out, "train"), *builder.open_split(out, "val")]
  found = {record["id"]: record for record in map(records.decode, stored)}
  assert len(found) == _COUNT - 1
  seen = fakes.points(found["p0100.jpg"]["image"])
  sky = seen.depth == float("inf")
  error = abs(found["p0100.jpg"]["depth_m"] / seen.depth - 1)[~sky]
  assert error.max() < 3e-5  # half a step of the log code
  description = builder.description(out)
  assert description["options"]["shard_size"] == _SHARD
  assert description["source"] == {"source": "photos", "measured": []}


def test_what_gave_no_id_is_listed_too(tmp_path):
  class Odd(fakes.Photos):
    problems = (("no_picture", "a.tar: <b> holds no picture"),) * 2

  fakes.write_photos(tmp_path / "photos", 4)
  done = _run(None, tmp_path / "out", source=Odd(str(tmp_path / "photos")))
  assert done["problems"] == {"no_picture": 2}
  lines = (tmp_path / "out" / "quarantine.jsonl").read_text().splitlines()
  assert json.loads(lines[1]) == {
    "split": None,
    "id": None,
    "reason": "no_picture",
    "message": "a.tar: <b> holds no picture",
  }
  assert "no_picture 2." in (tmp_path / "out" / "report.html").read_text()


def test_splits_are_files_of_consecutive_ids(plain):
  names = [name for name in _bytes(plain[0]) if "array_record" in name]
  assert sorted(names)[0] == "records-train.array_record-00000-of-00012"
  assert len(names) == 12 + 2
  first = builder.open_split(plain[0], "val[:3]")
  assert [records.decode(row)["id"] for row in first] == [
    "p0000.jpg",
    "p0010.jpg",
    "p0020.jpg",
  ]


def test_the_same_command_again_does_nothing(plain, photos):
  before = {path: path.stat().st_mtime_ns for path in _sidecars(plain[0])}
  again = _run(photos, plain[0])
  assert again["speed"]["images"] == 0
  assert again["tally"] == plain[1]["tally"]
  assert before == {p: p.stat().st_mtime_ns for p in _sidecars(plain[0])}


@pytest.mark.slow
def test_killed_with_two_workers_and_gone_on(plain, photos, tmp_path):
  process = _start(photos, tmp_path, workers=2, slow=0.03)
  _wait_for(process, tmp_path, 3)
  workers = _workers_of(process.pid)
  assert len(workers) == 2
  process.send_signal(signal.SIGKILL)
  process.wait()
  until = time.monotonic() + 10
  while any(map(_is_alive, workers)):
    assert time.monotonic() < until, "workers outlived the run"
    time.sleep(0.1)
  finished = {p: p.stat().st_mtime_ns for p in _sidecars(tmp_path)}
  assert 3 <= len(finished) < 14
  assert not (tmp_path / "records/1.0.0/dataset_info.json").exists()
  again = _start(photos, tmp_path, workers=2)
  out, errors = again.communicate(timeout=120)
  assert again.returncode == 0, errors
  assert out == '{"truncated": 1}\n'
  assert _bytes(tmp_path) == _bytes(plain[0])
  kept = {p: p.stat().st_mtime_ns for p in finished}
  # One that the workers had in hand may have been made twice.
  assert sum(kept[p] != finished[p] for p in finished) == 0


@pytest.mark.slow
def test_ctrl_c_ends_it_cleanly(plain, photos, tmp_path):
  number = signal.SIGINT
  process = _start(photos, tmp_path, slow=0.03)
  _wait_for(process, tmp_path, 2)
  process.send_signal(number)
  out, errors = process.communicate(timeout=60)
  assert process.returncode == 128 + number, errors
  assert f"stopped by {number.name}: " in out
  assert "of 14 shards are finished" in out
  assert "Traceback" not in errors
  _run(photos, tmp_path)
  assert _bytes(tmp_path) == _bytes(plain[0])


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_run(photos, tmp_path):
  process = _start(photos, tmp_path, workers=2, slow=0.1, grace=0.5)
  _wait_for(process, tmp_path, 1)
  os.kill(_workers_of(process.pid)[0], signal.SIGKILL)
  out, errors = process.communicate(timeout=60)
  assert process.returncode == 1, errors
  assert "error: Worker subprocess exited with return code -9 killed" in out
  assert "Traceback" not in errors


def _workers_of(parent):
  tasks = pathlib.Path(f"/proc/{parent}/task")
  children = [path.read_text() for path in tasks.glob("*/children")]
  return [int(number) for number in " ".join(children).split()]


def _is_alive(number):
  try:
    text = pathlib.Path(f"/proc/{number}/stat").read_text()
  except FileNotFoundError:
    return False
  return text.rpartition(")")[2].split()[0] != "Z"


def test_too_many_bad_pictures_end_the_run(photos, tmp_path):
  folder = tmp_path / "photos"
  shutil.copytree(photos, folder)
  for number in (3, 50, 51):
    (folder / f"p{number:04d}.jpg").write_bytes(b"text")
  with pytest.raises(watch.TooManyBad) as caught:
    _run(folder, tmp_path / "out")
  text = str(caught.value)
  assert "--max-bad-share 0.01 of all 200" in text
  assert "image: " in text
  assert "p0003.jpg (image): " in text
  listed = (tmp_path / "out" / "quarantine.jsonl").read_text()
  assert "p0003.jpg" in listed
  with pytest.raises(FileNotFoundError):
    builder.open_split(tmp_path / "out", "train")
  done = _run(folder, tmp_path / "out", max_bad_share=0.05)
  assert done["tally"]["bad"] == {"image": 3, "truncated": 1}
  # Repaired, the shards that had bad ones are made again.
  for number in (3, 50, 51):
    name = f"p{number:04d}.jpg"
    shutil.copy(photos / name, folder / name)
  done = _run(folder, tmp_path / "out", redo_bad=True)
  assert done["tally"]["bad"] == {"truncated": 1}


def test_a_damaged_shard_is_made_again(plain, photos, tmp_path):
  out = tmp_path / "out"
  shutil.copytree(plain[0], out)
  shards = sorted((out / "records/1.0.0").glob("*array_record*"))
  shards[0].unlink()
  shards[1].write_bytes(b"short")
  (out / "shards" / "val-00001.json").write_text('{"half')
  done = _run(photos, out)
  assert done["speed"]["images"] == 2 * _SHARD + 4
  assert _bytes(out) == _bytes(plain[0])


class _Fails(fakes.Photos):
  """Its model cannot be used."""


def _load_nothing():
  raise ValueError("no weights in here")


def test_what_goes_wrong_in_a_worker_is_one_line(photos, tmp_path):
  crew = beam.Crew(_load_nothing)
  source = fakes.Photos(str(photos))
  with pytest.raises(ValueError, match=r"^no weights in here$"):
    run.run(source, str(tmp_path), _OPTIONS, crew)


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="needs mount")
def test_a_full_disk_is_one_line_and_what_is_finished_stays(photos, tmp_path):
  place = tmp_path / "small"
  place.mkdir()
  mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
  if subprocess.run(mount, capture_output=True).returncode:
    pytest.skip("may not mount a small file system")
  try:
    with pytest.raises(
      OSError, match=r"^no space left in .*small: what is fin"
    ):
      _run(photos, place)
    kept = len(_sidecars(place))
    assert 0 < kept < 14
    bigger = ["mount", "-o", "remount,size=20m", str(place)]
    subprocess.run(bigger, check=True)
    assert _run(photos, place)["speed"]["images"] <= _COUNT - _SHARD * (
      kept - 2
    )
  finally:
    subprocess.run(["umount", str(place)], check=True)


def test_flags_of_beam():
  flags, direct = beam_flags.check((), 3)
  assert (flags, direct) == (["--direct_num_workers=3"], True)
  given = ("--runner=DataflowRunner", "--project", "p")
  assert beam_flags.check(given, 1) == (list(given), False)
  given = ("--direct_num_workers=2", "--direct_running_mode=multi_threading")
  assert beam_flags.check(given, 1) == (list(given), True)
  with pytest.raises(ValueError, match="did you mean '--project'"):
    beam_flags.check(("--projct=p",), 1)


def test_threads_of_beams_own(plain, photos, tmp_path):
  flags = ("--direct_num_workers=2", "--direct_running_mode=multi_threading")
  crew = beam.Crew(fakes.load, threads=2, flags=flags)
  source = fakes.Photos(str(photos), val_every=10)
  run.run(source, str(tmp_path), _OPTIONS, crew)
  assert _bytes(tmp_path) == _bytes(plain[0])


def test_a_worker_whose_run_was_killed_tells_no_other_run(
  tmp_path, monkeypatch
):
  fakes.write_photos(tmp_path / "photos", 1)
  todo = plan.make(fakes.Photos(str(tmp_path / "photos")), _OPTIONS, None)
  store = store_lib.Store(tmp_path / "out", todo)
  store.begin(overwrite=False)

  def fail():
    with pytest.raises(FileNotFoundError), maker.Teller(store, True)():
      raise FileNotFoundError("gone")

  monkeypatch.setenv("HISPATIAL_PRECOMPUTE_PARENT", "1")
  fail()
  assert not store.stopped()
  monkeypatch.setenv("HISPATIAL_PRECOMPUTE_PARENT", str(os.getppid()))
  fail()
  assert store.stopped()["error"] == "gone"
