"""A process of Beam's direct runner: Beam's own worker, quiet and never left.

It says nothing, leaves Ctrl-C to the process that started it, and ends when
that one is gone.
"""

import contextlib
import logging
import os
import shlex
import signal
import sys
import threading
import time

_NAME = "hispatial_jax.precompute.beam_worker"
_PARENT = "HISPATIAL_PRECOMPUTE_PARENT"


def command() -> str:
  """The shell command that starts such a process, as a child of this one."""
  return (
    f"{_PARENT}={os.getpid()} exec {shlex.quote(sys.executable)} -m {_NAME}"
  )


def follow(parent: int) -> None:
  """Ends this process once it is no more a child of `parent`, which is gone."""

  def look():
    while os.getppid() == parent:
      time.sleep(0.3)
    os._exit(1)

  threading.Thread(target=look, daemon=True, name="follow").start()


def orphaned() -> bool:
  """Whether this is such a process, and the one that started it is gone."""
  parent = os.environ.get(_PARENT)
  return parent is not None and os.getppid() != int(parent)


def main() -> None:
  """Works until there is no more work."""
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  follow(int(os.environ[_PARENT]))
  # What goes wrong is told through the store, in one line. What libraries write
  # themselves is still seen.
  logging.disable(logging.CRITICAL)
  from apache_beam.runners.worker import sdk_worker_main

  try:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
      sdk_worker_main.main([])
  except Exception:
    # If the connection broke because the parent is gone, `follow` ends it here.
    time.sleep(2)
    raise
  # All is written; what is left are threads of gRPC.
  os._exit(0)


if __name__ == "__main__":
  main()
