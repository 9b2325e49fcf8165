"""From a source to a dataset of records with points: begin, work, finish.

    crew = beam.Crew(load, workers=2)        # or devices.Crew(load)
    run.run(source, "data/mine", plan.Options(), crew, model=facts)

The crew works in a thread, wherever its workers are; here it is looked after.
The same call goes on from what a killed one left.
"""

import collections
import contextlib
import os
import signal
import sys
import threading
from typing import Any, Protocol

from hispatial_jax.precompute import files, plan, report, watch
from hispatial_jax.precompute import store as store_lib

_LOOK_EVERY_S = 0.3
_GRACE_S = 20.0


class Crew(Protocol):
  """Those who do the work: beam.Crew, devices.Crew.

  Attributes:
    first: whether this process begins and finishes the folder.
  """

  first: bool

  def agree(self, ok: bool, what: str) -> None:
    """Waits for the first process; ValueError where it failed."""

  def work(self, store, source, options, jobs) -> None:
    """Makes this process's share of the jobs."""


class Interrupted(Exception):
  """By a signal, of that name, of this process or another one."""

  def __init__(self, name: str):
    super().__init__(name)
    self.name, self.shards = name, ""

  @property
  def code(self) -> int:
    """The exit status that says so."""
    return 128 + signal.Signals[self.name]

  def add_shards(self, finished: int, total: int) -> None:
    """Says how far it came."""
    self.shards = f"{finished} of {total} shards are finished"

  def __str__(self):
    return (
      f"stopped by {self.name}: {self.shards} and stay; the same command goes"
      " on from there"
    )


# What a worker elsewhere may have met, by the name it leaves.
_KNOWN = (
  Interrupted,
  watch.TooManyBad,
  files.NoSpace,
  ValueError,
  FileNotFoundError,
)


def run(
  source,
  out: str,
  options: plan.Options,
  crew: Crew,
  *,
  model: dict[str, Any] | None = None,
  max_bad_share: float = 0.01,
  overwrite: bool = False,
  redo_bad: bool = False,
) -> dict[str, Any]:
  """Makes the records of all pictures of a source.

  Args:
    source: see data/sources.py.
    out: folder of the dataset; local, or any file system of etils.epath.
    options: what the records depend on.
    crew: beam.Crew or devices.Crew, with the model.
    model: JSON-able description of the model with its checksum; None where
      every record has its own depth, or needs none.
    max_bad_share: of all pictures; more that cannot be used end the run.
    overwrite: replace the records of another plan.
    redo_bad: make shards with quarantined pictures again.

  Returns:
    {"tally": see tally.py, "speed": see Watch.speed, "problems": reason ->
    number of what the source gave no id for, "was_whole": whether all was there
    before, "splits": see Watch.splits, "report": path of the page or None}.

  Raises:
    ValueError, OSError: what is wrong with the input or the folder.
    watch.TooManyBad: past the share.
    Interrupted: by a signal.
  """
  todo = plan.make(source, options, model)
  store = store_lib.Store(out, todo)
  _begin(store, crew, overwrite, redo_bad)
  seen = watch.Watch(store, max_bad_share)
  seen.look()
  whole = not seen.left and store.is_whole()
  if seen.left:
    jobs, done = tuple(seen.left), seen.total["images"]
    made = _Thread(lambda: crew.work(store, source, options, jobs))
    if crew.first:
      store.unfinish()
    with _Signals() as signals, _bar(todo.images, done, crew.first) as show:
      _look_after(made, store, seen, signals, show)
  speed, page = seen.speed(), None
  problems = list(getattr(source, "problems", ()))
  if crew.first:
    store.write_lists(seen.sidecars, problems)
    store.finish(seen.sidecars)
    page = report.write(store, seen, speed, problems)
  reasons = dict(collections.Counter(reason for reason, _ in problems))
  return {
    "tally": seen.total,
    "speed": speed,
    "problems": reasons,
    "was_whole": whole,
    "splits": seen.splits(),
    "report": page and str(page),
  }


def _begin(store, crew, overwrite, redo_bad) -> None:
  done = False
  try:
    if crew.first:
      store.begin(overwrite)
      if redo_bad:
        store.redo_bad()
    done = True
  finally:
    crew.agree(done, f"begin in {store.out}")
  if not crew.first:
    store.check_begun()


def _look_after(made, store, seen, signals, show) -> None:
  """Waits until every shard is there, whoever makes it.

  What goes wrong, here or elsewhere, stops all workers and is raised.
  """
  made.start()
  try:
    while made.is_alive() or seen.left:
      made.join(_LOOK_EVERY_S)
      show(seen.look())
      signals.check()
      _raise_stopped(store)
      if made.error:
        raise made.error
  except Exception as error:
    # On a full disk the others find out themselves.
    with contextlib.suppress(OSError):
      if not store.stopped():
        text = error.name if isinstance(error, Interrupted) else str(error)
        store.stop(type(error).__name__, text)
    made.join(_GRACE_S)
    with contextlib.suppress(watch.TooManyBad, OSError):
      seen.last_look()
    with contextlib.suppress(OSError):
      store.write_lists(seen.sidecars)
    if isinstance(error, Interrupted):
      error.add_shards(len(seen.sidecars), len(store.plan.jobs))
    raise


def _raise_stopped(store) -> None:
  """Raises what stopped another worker, or this one inside Beam."""
  mark = store.stopped()
  if not mark:
    return
  kinds = {kind.__name__: kind for kind in _KNOWN}
  raise kinds.get(mark["kind"], RuntimeError)(mark["error"])


class _Thread(threading.Thread):
  """The crew's work; `error` is what it raised."""

  def __init__(self, work):
    super().__init__(daemon=True, name="crew")
    self._work, self.error = work, None

  def run(self):
    try:
      self._work()
    except BaseException as error:
      self.error = error


class _Signals:
  """Notes SIGTERM and SIGINT; a second one ends the process at once."""

  def __init__(self):
    self._got, self._old = 0, {}

  def __enter__(self):
    if threading.current_thread() is threading.main_thread():
      for number in (signal.SIGTERM, signal.SIGINT):
        self._old[number] = signal.signal(number, self._note)
    return self

  def __exit__(self, *_):
    for number, old in self._old.items():
      signal.signal(number, old)

  def check(self) -> None:
    """Raises Interrupted after a signal."""
    if self._got:
      raise Interrupted(signal.Signals(self._got).name)

  def _note(self, number, _):
    if self._got:
      os._exit(128 + number)
    self._got = number


@contextlib.contextmanager
def _bar(total: int, done: int, shown: bool):
  """Gives a function that shows how many pictures are done."""
  import tqdm

  with tqdm.tqdm(
    total=total,
    initial=done,
    unit=" images",
    smoothing=0.05,
    disable=not shown,
    leave=False,
    mininterval=0.5 if sys.stderr.isatty() else 30.0,
  ) as bar:
    yield lambda now: bar.update(now - bar.n)
