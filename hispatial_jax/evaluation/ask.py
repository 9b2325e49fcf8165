"""Examples to a model, answers to a journal.

    ask.ask(examples, model, journal, maps, prompt=None)

Threads read and decode the pictures of the next batches while the model
answers. What is in the journal is not asked again, except errors.
"""

import concurrent.futures
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from hispatial_jax.benchmarks import base
from hispatial_jax.evaluation import journal as journal_lib
from hispatial_jax.evaluation import models
from hispatial_jax.evaluation import points as points_lib
from hispatial_jax.evaluators import examples as seen

_THREADS = max(2, min(8, os.cpu_count() or 2))
_AHEAD = 2
_DIGITS = 5


class Interrupted(RuntimeError):
  """By a signal; `code` is the exit status that says so."""

  def __init__(self, number: int):
    super().__init__(
      f"stopped by {signal.Signals(number).name}: the answers so far stay; "
      "--resume continues"
    )
    self.code = 128 + number


class _Ready(NamedTuple):
  """A request for the model, or an Answer with the error; and its points."""

  key: str
  request: Any
  facts: dict[str, Any]


class Processes:
  """The processes that answer together; one, unless the model is collective.

  Attributes:
    index, count: of this process.
  """

  def __init__(self, model: models.Model | None = None):
    """Of a model; None for those who only score."""
    self.index, self.count = 0, 1
    if getattr(model, "collective", False):
      import jax

      self.index, self.count = jax.process_index(), jax.process_count()

  def first(self, value):
    """The first process's value, JSON-able, known to all; waits for all."""
    if self.count == 1:
      return value
    from hispatial_jax.evaluators import rows

    return rows.gather([value])[0]

  @contextlib.contextmanager
  def agree(self, what: str) -> Iterator[None]:
    """All fail where the first one fails, none waits for ever.

    Raises:
      ValueError: in the others.
    """
    done = False
    try:
      yield
      done = True
    finally:
      ok = self.first(done)
    if not ok and self.index:
      raise ValueError(f"process 0 could not {what}")


def ask(
  examples: list[base.Example],
  model: models.Model,
  journal: journal_lib.Journal,
  maps: points_lib.Points,
  *,
  prompt: str | None = None,
  shown: bool = True,
) -> None:
  """Asks what the journal lacks, this process's share of it.

  Args:
    examples: all of this run.
    model: see models.py.
    journal: begun.
    maps: prepared.
    prompt: variant; None for the default.
    shown: progress with the time left, on process 0.

  Raises:
    Interrupted: SIGINT or SIGTERM; what was journaled stays.
    Whatever the model raises for all requests together.
  """
  us = Processes(model)
  done = {k for k, line in journal.read().items() if "error" not in line}
  done = set(us.first(sorted(done)))
  batches = plan(examples, model, done, prompt)
  rows = -(-model.batch_size // us.count)
  mine = [b[us.index * rows : (us.index + 1) * rows] for b in batches]
  make = _maker(model, maps, prompt)
  left = sum(e.key not in done for e in examples)
  with stopping(), _bar(left, shown and us.index == 0) as show:
    ready = _ahead(make, mine)
    for batch, own in zip(batches, ready, strict=True):
      for line in _answers(model, own, done):
        journal.add(line)
      show(sum(e.key not in done for e in batch))
  journal.close()


def plan(examples, model, done: set[str], prompt=None) -> list[list]:
  """The batches to ask.

  A collective model's are cut from all questions, by their length, and then
  left out where all is done: they do not depend on what was answered before.
  """
  size = model.batch_size
  if not getattr(model, "collective", False):
    left = [e for e in examples if e.key not in done]
    return [left[i : i + size] for i in range(0, len(left), size)]
  order = sorted(examples, key=lambda e: len(base.prompt(e, prompt)))
  batches = [order[i : i + size] for i in range(0, len(order), size)]
  return [b for b in batches if any(e.key not in done for e in b)]


def _maker(model, maps, prompt) -> Callable[[base.Example], _Ready]:
  prepare = getattr(model, "prepare", lambda request: request)
  looks = getattr(model, "needs_pictures", True)

  def make(example: base.Example) -> _Ready:
    facts: dict[str, Any] = {}
    text = base.prompt(example, prompt)
    if not looks:
      return _Ready(example.key, models.Request(example.key, text), facts)
    if example.error:
      return _Ready(example.key, models.Answer(error=example.error), facts)
    try:
      rgb = seen.picture(example)
      depth, matrix, facts["points"] = maps.of(example)
    except (ValueError, OSError) as error:
      why = str(error) or type(error).__name__
      return _Ready(example.key, models.Answer(error=why), {})
    facts["depth_m"] = points_lib.median(depth)
    request = models.Request(example.key, text, rgb, depth, matrix)
    return _Ready(example.key, prepare(request), facts)

  return make


def _ahead(make, batches) -> Iterator[list[_Ready]]:
  """The batches made ready in threads, a few ahead."""
  pool = concurrent.futures.ThreadPoolExecutor(_THREADS)
  try:
    begun = []
    for batch in batches:
      begun.append([pool.submit(make, example) for example in batch])
      if len(begun) > _AHEAD:
        yield [future.result() for future in begun.pop(0)]
    for futures in begun:
      yield [future.result() for future in futures]
  finally:
    pool.shutdown(wait=False, cancel_futures=True)


def _answers(model, own: list[_Ready], done) -> Iterator[list[dict]]:
  """Journal lines of a batch, as they come."""
  bad = [r for r in own if isinstance(r.request, models.Answer)]
  good = [r for r in own if not isinstance(r.request, models.Answer)]
  yield [_line(r, r.request) for r in bad if r.key not in done]
  requests = [r.request for r in good]
  if not good and not getattr(model, "collective", False):
    return
  if hasattr(model, "stream"):
    for number, answer in model.stream(requests):
      yield [_line(good[number], answer)]
    return
  answers = model.answer(requests)
  if len(answers) != len(requests):
    raise ValueError(
      f"the model gave {len(answers)} answers to {len(requests)} requests"
    )
  pairs = zip(good, answers, strict=True)
  yield [_line(r, answer) for r, answer in pairs if r.key not in done]


def _line(ready: _Ready, answer: models.Answer) -> dict[str, Any]:
  if answer.error:
    return {"key": ready.key, "error": answer.error}
  line = {"key": ready.key, "text": answer.text, **answer._asdict()}
  if answer.logp is not None:
    known = np.isfinite(answer.logp)
    line["logp"] = round(float(answer.logp), _DIGITS) if known else None
  line |= ready.facts
  return {
    k: v for k, v in line.items() if v not in (None, "", {}) or k == "text"
  }


@contextlib.contextmanager
def stopping() -> Iterator[None]:
  """SIGINT and SIGTERM raise Interrupted."""

  def stop(number, _):
    raise Interrupted(number)

  old = {}
  if threading.current_thread() is threading.main_thread():
    for number in (signal.SIGINT, signal.SIGTERM):
      old[number] = signal.signal(number, stop)
  try:
    yield
  finally:
    for number, handler in old.items():
      signal.signal(number, handler)


@contextlib.contextmanager
def _bar(total: int, shown: bool):
  import tqdm

  with tqdm.tqdm(
    total=total,
    unit=" questions",
    desc="answered",
    disable=not shown or not total,
    mininterval=0.5 if sys.stderr.isatty() else 30.0,
  ) as bar:
    yield bar.update
