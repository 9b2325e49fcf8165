"""A loop that stands still is told of, once a stall; one that turns is not."""

import os
import re
import subprocess
import sys
import time

from hispatial_jax.core import watchdog


def _wait_for(condition, seconds=20):
  end = time.monotonic() + seconds
  while not condition() and time.monotonic() < end:
    time.sleep(0.01)
  assert condition()


def _where_it_stands(watch):
  _wait_for(lambda: watch.stalls == 1)


def test_stacks_once_a_stall_with_the_place(tmp_path, capsys):
  with watchdog.Watchdog(tmp_path, 0.2) as watch:
    watch.alive(7)
    _where_it_stands(watch)
    time.sleep(0.5)
    assert watch.stalls == 1
    watch.alive()
    _wait_for(lambda: watch.stalls == 2)
  files = sorted((tmp_path / watchdog.FOLDER).iterdir())
  assert [path.name for path in files] == [
    "step7-process0-1.txt",
    "step7-process0-2.txt",
  ]
  text = files[0].read_text()
  said = r"stall 1: no step has ended for \d+ s after step 7 \(process 0\)"
  assert re.match(said, text)
  assert "in _where_it_stands" in text
  assert text in capsys.readouterr().err


def test_the_first_step_may_take_longer(tmp_path):
  with watchdog.Watchdog(tmp_path, 0.5) as watch:
    time.sleep(1.5)
    assert watch.stalls == 0
    _wait_for(lambda: watch.stalls == 1)


def test_none_while_it_turns_and_none_when_off(tmp_path):
  with (
    watchdog.Watchdog(tmp_path, 2.0) as watch,
    watchdog.Watchdog(tmp_path, 0.0) as off,
  ):
    for step in range(125):
      watch.alive(step)
      time.sleep(0.02)
  assert (watch.stalls, off.stalls) == (0, 0)
  assert not (tmp_path / watchdog.FOLDER).exists()


def test_ends_the_process_where_asked_to(tmp_path):
  code = (
    "import sys, time; from hispatial_jax.core import watchdog\n"
    "with watchdog.Watchdog(sys.argv[1], 0.2, ends=True) as watch:\n"
    "  watch.alive(3); time.sleep(60)"
  )
  done = subprocess.run(
    [sys.executable, "-c", code, tmp_path],
    env={**os.environ},
    capture_output=True,
    text=True,
    check=False,
    timeout=50,
  )
  assert done.returncode == 1
  assert "error: the run stands still" in done.stderr
  assert len(list((tmp_path / watchdog.FOLDER).iterdir())) == 1
