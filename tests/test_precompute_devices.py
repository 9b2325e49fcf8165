"""Devices: several of them, and several processes, make what Beam makes."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import precompute_fakes as fakes
import pytest

from hispatial_jax.precompute import devices, plan, run

_ROOT = pathlib.Path(__file__).parent.parent
_GIVEN = {"shard": 8, "val_every": 10, "on_devices": True}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
  folder = tmp_path_factory.mktemp("photos")
  fakes.write_photos(folder, 60, broken=(17,))
  return folder


@pytest.fixture(scope="module")
def plain(photos, tmp_path_factory):
  """One process with one device."""
  out = tmp_path_factory.mktemp("plain")
  source = fakes.Photos(str(photos), val_every=10)
  options = plan.Options(shard_size=8, batch_size=4)
  crew = devices.Crew(fakes.load, threads=2)
  run.run(source, str(out), options, crew, max_bad_share=0.1)
  return out


def _start(photos, out, environment=(), **given):
  given = {**_GIVEN, "max_bad_share": 0.1, **given}
  path = os.pathsep.join([str(_ROOT), str(_ROOT / "tests")])
  script = _ROOT / "tests" / "precompute_driver.py"
  return subprocess.Popen(
    [sys.executable, script, str(photos), str(out), json.dumps(given)],
    env={**os.environ, "PYTHONPATH": path, **dict(environment)},
    cwd=_ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def _pair(photos, out, **given):
  with socket.socket() as probe:
    probe.bind(("localhost", 0))
    address = f"localhost:{probe.getsockname()[1]}"
  return [
    _start(photos, out, coordinator=address, process=k, **given)
    for k in range(2)
  ]


def _finish(*started):
  """[(exit code, stdout, stderr)]; kills what does not end."""
  out = []
  try:
    for process in started:
      text, errors = process.communicate(timeout=120)
      out.append((process.returncode, text, errors))
  finally:
    for process in started:
      process.kill()
  return out


def _bytes(out):
  folder = pathlib.Path(out) / "records" / "1.0.0"
  return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_two_processes_make_what_one_makes(plain, photos, tmp_path):
  for code, text, errors in _finish(*_pair(photos, tmp_path)):
    assert code == 0, errors
    assert text.endswith('{"truncated": 1}\n')
  assert _bytes(tmp_path) == _bytes(plain)
  assert (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_a_signal_to_one_process_ends_both(plain, photos, tmp_path):
  pair = _pair(photos, tmp_path, slow=0.1)
  while len(list((tmp_path / "shards").glob("*.json"))) < 2:
    assert pair[0].poll() is None, pair[0].communicate()
    time.sleep(0.05)
  pair[1].send_signal(signal.SIGTERM)
  for code, text, errors in _finish(*pair):
    assert code == 128 + signal.SIGTERM, errors
    assert "stopped by SIGTERM: " in text
  assert not (tmp_path / "records/1.0.0/dataset_info.json").exists()
  # The rest by one process with four devices, whose batches are four times
  # as large: the shards do not tell.
  flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4"
  four = {"XLA_FLAGS": flags}
  ((code, _, errors),) = _finish(_start(photos, tmp_path, four.items()))
  assert code == 0, errors
  assert _bytes(tmp_path) == _bytes(plain)


@pytest.mark.slow
def test_another_plan_is_refused_by_all_processes(plain, photos, tmp_path):
  (_, _, first), (_, _, second) = _finish(
    *_pair(photos, plain, shard=16, batch=4)
  )
  assert "options.shard_size was 8, is 16" in first
  assert "process 0 could not begin" in second
