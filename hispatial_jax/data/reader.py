"""One record, read and worked on."""

from typing import Any

import numpy as np

from hispatial_jax.data import records, tally
from hispatial_jax.pp import build, codec, questions


class Reader:
  """(epoch, index) -> example, or tally.Unusable.

  What the operations give before the first one that draws is kept, up to
  `cache_mb`: later epochs then neither read nor decode.

  Attributes:
    ops: the operations.
    part: name that its examples bear.
  """

  def __init__(
    self,
    source,
    ops: build.Chain,
    seed: int,
    cache_mb: float = 0,
    part: str = "all",
  ):
    self.ops, self.part = ops, part
    self._source, self._seed = source, seed
    self._cache: dict[int, dict[str, Any]] = {}
    self._room = int(cache_mb * 1e6)

  def __len__(self) -> int:
    return len(self._source)

  def __call__(self, epoch: int, index: int):
    try:
      example = self._fixed(index)
      draw = questions.Draw(example["id"], epoch, self._seed)
      example = {**example, "draw": draw, "index": index, "part": self.part}
      for op in self.ops.drawn:
        example = op(example)
      return example
    except codec.BadInput as error:
      message = f"{self.part}: record number {index}: {error}"
      return tally.Unusable(self.part, error.reason, message)

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


def get_decode():
  """Op `decode`: stored columns -> record; the first of every pipeline."""
  return records.decode


def _size(example) -> int:
  """Bytes of an example, roughly: arrays, and texts parsed to objects."""
  arrays = sum(v.nbytes for v in example.values() if isinstance(v, np.ndarray))
  return arrays + 20_000
