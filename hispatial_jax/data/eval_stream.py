"""All records of an evaluation once, in order, in batches of one size."""

import bisect
import collections
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import grain

from hispatial_jax.data import batches, parts, tally, train_stream


class EvalBatches:
  """Iterable of batches; see `pipeline.eval_batches`.

  Attributes:
    tally: tally.Tally of the latest pass.
    notes: lines that say what was left out of the mixture.
  """

  def __init__(
    self,
    opened: parts.Opened,
    cfg: Mapping[str, Any],
    *,
    batch_size: int,
    process_index: int,
    process_count: int,
  ):
    """Arguments as of `pipeline.eval_batches`; cfg complete."""
    self.notes, self.tally = opened.notes, None
    self._batch_size, self._most_bad = batch_size, cfg["max_bad_share"]
    self._parts = list(opened.parts.values())
    limit = cfg["num_records"] or math.inf
    sizes = [min(len(part), limit) for part in self._parts]
    self._ends = list(itertools.accumulate(sizes))
    share = [math.ceil(size / process_count) for size in sizes]
    self._sizes = dict(zip(opened.parts, share, strict=True))
    size = self._ends[-1]
    mine = grain.MapDataset.range(size).map(self._example)
    mine = mine[process_index::process_count]
    self._dataset = train_stream.read_ahead(mine, cfg)
    # Processes need as many batches each: as many as there could be.
    most = math.ceil(size / process_count) * (opened.max_questions or 0)
    self._num_batches = math.ceil(most / batch_size) if process_count > 1 else 0

  def __iter__(self) -> Iterator[batches.Batch]:
    self.tally = tally.Tally(self._most_bad, self._sizes)
    rows, done, last = collections.deque(), 0, None
    for example in self._dataset:
      if self.tally.count(example):
        rows.extend(batches.split_rows(example))
      while len(rows) >= self._batch_size:
        taken = [rows.popleft() for _ in range(self._batch_size)]
        last, done = taken[-1], done + 1
        yield self._batch(taken)
    if rows:
      last, done = rows[-1], done + 1
      yield self._batch(list(rows))
    if last is None:
      raise ValueError("no record of the split gives a question")
    while done < self._num_batches:
      done += 1
      yield self._batch([last], real=0)

  def _example(self, number: int):
    """Record `number` of all parts, one part after the other; epoch 0."""
    at = bisect.bisect_right(self._ends, number)
    first = self._ends[at - 1] if at else 0
    example = self._parts[at].read(0, number - first)
    if isinstance(example, tally.Unusable):
      return example
    return {**example, "index": number}

  def _batch(self, rows, real=None) -> batches.Batch:
    real = len(rows) if real is None else real
    batch = batches.of_rows(rows, self._batch_size, real)
    blank = [None] * (self._batch_size - real)
    for key in ("qa", "index"):
      batch[key] = [row[key] for row in rows[:real]] + blank
    batch["ids"] = batch["ids"][:real] + blank
    return batch
