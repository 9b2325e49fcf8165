"""A run that stands still says where: the stacks of all its threads.

    with watchdog.Watchdog(workdir, 600.0) as watch:
      for step in ...:
        ...
        watch.alive(step)

When nothing has been heard for so many seconds, the stacks go to stderr and to
WORKDIR/stalls/, once a stall. The first step may take six times as long: it is
compiled. The run goes on, unless it was asked to end.
"""

import faulthandler
import os
import sys
import tempfile
import threading
import time

import jax
from etils import epath

FOLDER = "stalls"
_FIRST = 6.0


class Watchdog:
  """A thread that looks whether the loop still turns; a context.

  Attributes:
    stalls: how many there were.
  """

  def __init__(self, workdir, limit_s: float, *, ends: bool = False):
    """Starts nothing yet.

    Args:
      workdir: stalls/ is made in it, at the first stall.
      limit_s: seconds without a sign of life; 0 for no watching.
      ends: ends the process after a stall, for a scheduler that restarts it.
    """
    self._folder, self._limit = epath.Path(workdir) / FOLDER, limit_s
    self._ends, self.stalls = ends, 0
    self._step, self._heard, self._told = 0, None, False
    self._begin, self._over = time.monotonic(), threading.Event()
    self._thread = threading.Thread(
      target=self._watch, name="watchdog", daemon=True
    )

  def __enter__(self):
    self._begin = time.monotonic()
    if self._limit:
      self._thread.start()
    return self

  def __exit__(self, *_):
    self._over.set()
    if self._limit:
      self._thread.join(timeout=5)

  def alive(self, step: int | None = None) -> None:
    """Notes a sign of life.

    Args:
      step: that has ended; None where something else goes on, as a batch of
        an evaluation.
    """
    self._step = self._step if step is None else step
    self._heard, self._told = time.monotonic(), False

  def _watch(self):
    while not self._over.wait(self._limit / 10):
      first = self._heard is None
      limit = self._limit * (_FIRST if first else 1.0)
      silent = time.monotonic() - (self._begin if first else self._heard)
      if silent > limit and not self._told:
        self._told = True
        self._tell(self.stalls + 1, silent)
        self.stalls += 1

  def _tell(self, number: int, silent: float) -> None:
    process = jax.process_index()
    head = (
      f"stall {number}: no step has ended for {silent:.0f} s after step "
      f"{self._step} (process {process}); stacks of all threads:\n"
    )
    with tempfile.TemporaryFile("w+") as file:
      faulthandler.dump_traceback(file, all_threads=True)
      file.seek(0)
      text = head + file.read()
    print(text, file=sys.stderr, flush=True)
    name = f"step{self._step}-process{process}-{number}.txt"
    try:
      self._folder.mkdir(parents=True, exist_ok=True)
      (self._folder / name).write_text(text)
    except OSError as error:  # storage may be why it stands still
      print(f"cannot write {self._folder / name}: {error}", file=sys.stderr)
    if self._ends:
      print("error: the run stands still; it ends", file=sys.stderr, flush=True)
      os._exit(1)
