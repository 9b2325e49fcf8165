"""Two sides of a comparison, each a process of its own, that take turns.

    with turns.Side([sys.executable, __file__, "--serve", "ours", folder]) as a:
      print(a.ask({"new": 32}))   # what `serve`'s function returned

So neither side's threads or memory are in the other's way, and what else the
machine does hits both alike. A side's peak memory is its process's.
"""

import concurrent.futures
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

import numpy as np


class Side:
  """A process that answers one request at a time."""

  def __init__(self, command: list[str]):
    """Starts it; `command` runs `serve`."""
    self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
    self._process = subprocess.Popen(
      command,
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=self._errors,
      text=True,
    )

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self._process.stdin.close()
    self._process.stdout.close()
    self._process.wait()
    self._errors.close()

  def ask(self, request: dict) -> dict:
    """The reply.

    Raises:
      RuntimeError: the process ended; says its last line.
    """
    try:
      self._process.stdin.write(json.dumps(request) + "\n")
      self._process.stdin.flush()
      line = self._process.stdout.readline()
    except BrokenPipeError:
      line = ""
    if not line:
      self._process.wait()
      self._errors.seek(0)
      said = self._errors.read().strip().splitlines() or ["nothing was said"]
      raise RuntimeError(f"{' '.join(self._process.args[1:4])}: {said[-1]}")
    return json.loads(line)


def serve(function) -> None:
  """Answers each line of stdin, a JSON object, by function(**object).

  The reply gets "peak": the most bytes that the process ever held.
  """
  out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
  # What a library prints must not be taken for a reply.
  os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
  for line in sys.stdin:
    reply = function(**json.loads(line))
    print(json.dumps(reply | {"peak": peak()}), file=out, flush=True)


def peak() -> int:
  """Bytes of this process, at most so far."""
  # getrusage would tell the parent's peak if that is higher.
  status = pathlib.Path("/proc/self/status").read_text()
  line = next(s for s in status.splitlines() if s.startswith("VmHWM:"))
  return int(line.split()[1]) * 1024


def machine() -> str:
  """What both sides run on, and their libraries."""
  versions = ", ".join(
    f"{name} {importlib.metadata.version(name)}" for name in ("jax", "torch")
  )
  cores = len(os.sched_getaffinity(0))
  return f"{platform.machine()}, {cores} cores; {versions}"


def seconds_to_read(size: int) -> float:
  """That all cores together take to read so many bytes of memory once."""
  cores = len(os.sched_getaffinity(0))
  parts = np.array_split(np.ones(size // 4, np.float32), cores)
  with concurrent.futures.ThreadPoolExecutor(cores) as pool:
    list(pool.map(np.max, parts))  # threads start, pages are there
    begin = time.perf_counter()
    list(pool.map(np.max, parts))
    return time.perf_counter() - begin
