"""When to stop: a loss that is no number, SIGTERM, the time, a lost process."""

import collections
import math
import os
import signal
import sys
import time

import jax
import numpy as np
from jax.experimental import multihost_utils

from hispatial_jax.core import checkpoint, storage


class Health:
  """Stops a run whose loss or gradient is not finite.

  Each step is looked at once the next one has been started, so that the
  accelerator never waits for the host.
  """

  def __init__(self, run: checkpoint.Run):
    self._run, self._pending = run, collections.deque()

  def add(self, step, ids, out) -> None:
    """Notes a step that was started and looks at the one before.

    Raises:
      FloatingPointError: with the step, its records and the last checkpoint.
    """
    self._pending.append((step, ids, (out["loss"], out["grad_norm"])))
    while len(self._pending) > 1:
      self._look(*self._pending.popleft())

  def check(self) -> None:
    """Looks at all steps, as must be done before their result is saved."""
    while self._pending:
      self._look(*self._pending.popleft())

  def _look(self, step, ids, values):
    loss, norm = (float(x) for x in jax.device_get(values))
    if not (math.isfinite(loss) and math.isfinite(norm)):
      self._run.wait()
      names = ", ".join(str(name) for name in ids if name is not None)
      raise FloatingPointError(
        f"loss is not finite at step {step}: loss {loss}, gradient norm "
        f"{norm}; records of the batch (process {jax.process_index()}): "
        f"{names}; last checkpoint: step {self._run.latest() or 'none'} in "
        f"{self._run.folder}"
      )


class Together:
  """Ends this process at once when a collective fails, in words.

  To be entered last: whatever is closed after a failed collective might wait
  for a process that is gone.
  """

  def __enter__(self):
    return self

  def __exit__(self, kind, error, trace):
    if jax.process_count() == 1 or not isinstance(
      error, jax.errors.JaxRuntimeError
    ):
      return
    first = storage.first_line(error)
    print(
      f"error: process {jax.process_index()} of {jax.process_count()} lost the"
      f" others ({first:.200}); one of them has died, its log says why. The"
      " same command goes on from the last checkpoint",
      file=sys.stderr,
    )
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


class Interrupted(Exception):
  """An evaluation was left because the run has to end."""


class Stopping:
  """Whether to end before the last step: SIGTERM, or the time is up.

  Attributes:
    reason: "" or why.
    hurry: whether to leave out the last evaluation.
  """

  def __init__(self, max_minutes: float, every: int):
    """Starts to count the time.

    Args:
      max_minutes: of this start; 0 for no limit.
      every: steps after which processes agree on the time.
    """
    self._limit, self._every = 60 * max_minutes, every
    self._begin, self._signal = time.monotonic(), False
    self.reason, self.hurry = "", False

  def __enter__(self):
    # With several processes JAX's own service catches the signal and lets
    # them agree on a step.
    self._old = None
    if jax.process_count() == 1:
      self._old = signal.signal(signal.SIGTERM, self._note)
    return self

  def __exit__(self, *_):
    if self._old is not None:
      signal.signal(signal.SIGTERM, self._old)

  def look(self, step: int) -> None:
    """Sets reason and hurry."""
    if self._terminated(step):
      self.reason, self.hurry = "SIGTERM", True
    elif self._limit and self._late(step):
      self.reason = f"max_minutes={self._limit / 60:g} are over"

  def interrupt(self) -> None:
    """Raises Interrupted after SIGTERM: an evaluation may last too long.

    Several processes go on: they have to leave it together.
    """
    if self._signal:
      raise Interrupted

  def _note(self, *_):
    self._signal = True

  def _terminated(self, step):
    if jax.process_count() == 1:
      return self._signal
    return multihost_utils.reached_preemption_sync_point(step)

  def _late(self, step):
    late = time.monotonic() - self._begin > self._limit
    if jax.process_count() == 1:
      return late
    if step % self._every:
      return False
    return bool(multihost_utils.process_allgather(np.array(late)).any())
