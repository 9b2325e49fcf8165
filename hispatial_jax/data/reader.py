"""One record, read and worked on; and the tally of those that could not be."""

import collections
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from hispatial_jax.data import records
from hispatial_jax.pp import build, codec, questions

_MAX_NAMED = 5


class Bad(NamedTuple):
  """Stands in the stream where a record could not be used."""

  reason: str
  message: str


class TooManyBadRecords(RuntimeError):
  """More records than the config allows could not be used."""


class Reader:
  """(epoch, index) -> example, or Bad.

  What the operations give before the first one that draws is kept, up to
  `cache_mb`: later epochs then neither read nor decode.
  """

  def __init__(self, source, ops: build.Chain, seed: int, cache_mb: float = 0):
    self.ops = ops
    self._source, self._seed = source, seed
    self._cache: dict[int, dict[str, Any]] = {}
    self._room = int(cache_mb * 1e6)

  def epoch_of(self, position: int, index: int) -> tuple[int, int]:
    """Position in the endless stream of this source -> (epoch, index)."""
    return position // len(self._source), index

  def __call__(self, epoch_and_index: tuple[int, int]):
    epoch, index = epoch_and_index
    try:
      example = self._fixed(index)
      draw = questions.Draw(example["id"], epoch, self._seed)
      example = {**example, "draw": draw, "index": index}
      for op in self.ops.drawn:
        example = op(example)
      return example
    except codec.BadInput as error:
      return Bad(error.reason, f"{self._name(index)}: {error}")

  def _fixed(self, index: int) -> dict[str, Any]:
    example = self._cache.get(index)
    if example is None:
      example = self._read(index)
      for op in self.ops.fixed:
        example = op(example)
      self._room -= _size(example)
      if self._room >= 0:
        self._cache[index] = example
    return example

  def _read(self, index: int) -> dict[str, Any]:
    """The stored columns. Whatever storage raises is one unreadable record."""
    try:
      return self._source[index]
    except Exception as error:
      raise codec.BadInput("unreadable", str(error)) from error

  def _name(self, index: int) -> str:
    return f"record number {index}"


class Tally:
  """Counts records, bad ones by reason, dropped questions by reason.

  Attributes:
    seen: records that came by.
    bad: reason -> number of records that could not be used.
    dropped: reason -> number of questions that fitted no row.
  """

  def __init__(self, max_bad_share: float, epoch: float):
    """`epoch`: the share is of this number of records, or of those seen."""
    self._share, self._epoch = max_bad_share, epoch
    self.seen = 0
    self.bad: collections.Counter = collections.Counter()
    self.dropped: collections.Counter = collections.Counter()
    self._messages: list[str] = []

  def count(self, example) -> bool:
    """Counts one; True if it can be used.

    Raises:
      TooManyBadRecords: past the share; says reasons and the latest records.
    """
    self.seen += 1
    if not isinstance(example, Bad):
      self.dropped.update(example.get("dropped", {}))
      return True
    self.bad[example.reason] += 1
    self._messages = [*self._messages, example.message][-_MAX_NAMED:]
    total = self.bad.total()
    if total > self._share * max(self.seen, self._epoch):
      reasons = ", ".join(f"{k}: {v}" for k, v in sorted(self.bad.items()))
      raise TooManyBadRecords(
        f"{total} of {self.seen} records could not be used ({reasons}), more"
        " than max_bad_share allows; the latest:\n  "
        + "\n  ".join(self._messages)
      )
    return False

  def get_state(self) -> dict[str, Any]:
    """JSON-able."""
    return {
      "seen": self.seen,
      "bad": dict(self.bad),
      "dropped": dict(self.dropped),
    }

  def set_state(self, state: Mapping[str, Any]) -> None:
    """Counts on from `state`."""
    self.seen = state["seen"]
    self.bad = collections.Counter(state["bad"])
    self.dropped = collections.Counter(state["dropped"])


def get_decode():
  """Op `decode`: stored columns -> record; the first of every pipeline."""
  return records.decode


def _size(example) -> int:
  """Bytes of an example, roughly: arrays, and texts parsed to objects."""
  arrays = sum(v.nbytes for v in example.values() if isinstance(v, np.ndarray))
  return arrays + 20_000
