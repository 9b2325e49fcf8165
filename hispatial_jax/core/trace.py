"""A profile of some steps: --profile_steps 10:15 writes WORKDIR/trace.

    with trace.Steps(trace.parse("10:15"), workdir, done, total) as steps:
      for step in ...:
        with steps.of(step):
          state, out = update(state, batch)
        steps.end(step, out)

The folder opens in TensorBoard's profile plugin or in ui.perfetto.dev. Process
0 alone writes: what its devices do, the others do as well.
"""

import contextlib
import pathlib
import re
import tempfile

import jax
from etils import epath

FOLDER = "trace"


def parse(text: str | None) -> tuple[int, int] | None:
  """ "10:15" -> (10, 15): the steps 10 to 15, both of them.

  Raises:
    ValueError: no such range.
  """
  if not text:
    return None
  found = re.fullmatch(r"(\d+):(\d+)", text)
  first, last = map(int, found.groups()) if found else (0, 0)
  if not 1 <= first <= last:
    raise ValueError(
      f"--profile_steps {text}: expected FIRST:LAST, two steps from 1 on with "
      "FIRST <= LAST, as 10:15"
    )
  return first, last


class Steps:
  """Traces the steps asked for; a context, which ends an open trace.

  Attributes:
    note: "" or why there will be none.
  """

  def __init__(self, wanted: tuple[int, int] | None, workdir, done, total):
    """Looks whether the run comes by the steps.

    Args:
      wanted: (first, last), both included; None for no trace.
      workdir: trace/ is made in it; gs:// too.
      done, total: steps that are done at the start, and at the end.

    Raises:
      ValueError: the run ends before the last of them.
    """
    self.note, self._open = "", False
    self._folder = epath.Path(workdir) / FOLDER
    if wanted and wanted[1] > total:
      raise ValueError(
        f"--profile_steps {wanted[0]}:{wanted[1]}: the run ends at step {total}"
      )
    if wanted and wanted[1] <= done:
      self.note = f"no trace: step {wanted[1]} was done before this start"
      wanted = None
    first, last = wanted or (0, 0)
    # A start after the first of them still traces the rest.
    self._first, self._last = max(first, done + 1) if wanted else 0, last

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self._stop()

  @contextlib.contextmanager
  def of(self, step: int):
    """Around a step's start; the first one begins the trace."""
    if step == self._first and jax.process_index() == 0:
      self._local = tempfile.TemporaryDirectory()
      jax.profiler.start_trace(self._local.name)
      self._open = True
    with jax.profiler.StepTraceAnnotation("train", step_num=step):
      yield

  def end(self, step: int, out) -> None:
    """Ends the trace after its last step.

    Args:
      step: that was started.
      out: arrays of it, which are waited for.
    """
    if step == self._last:
      jax.block_until_ready(out)
      self._stop()

  def _stop(self):
    if not self._open:
      return
    self._open = False
    jax.profiler.stop_trace()
    # The profiler knows local folders alone.
    with self._local as name:
      for path in sorted(pathlib.Path(name).rglob("*")):
        target = self._folder / path.relative_to(name).as_posix()
        if path.is_dir():
          target.mkdir(parents=True, exist_ok=True)
        else:
          target.parent.mkdir(parents=True, exist_ok=True)
          target.write_bytes(path.read_bytes())
