"""Arrays that are read when needed, one block at a time.

A checkpoint of 6 GB passes through a conversion in blocks of one layer or
`_BLOCK_BYTES`, so memory stays far below the file's size.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping

import ml_dtypes
import numpy as np

_BLOCK_BYTES = 64 << 20
DTYPES = {
  "float32": np.dtype(np.float32),
  "float16": np.dtype(np.float16),
  "bfloat16": np.dtype(ml_dtypes.bfloat16),
}


@dataclasses.dataclass(frozen=True)
class Array:
  """An array somewhere else.

  Attributes:
    shape: its shape.
    dtype: its numpy dtype; bfloat16 is that of ml_dtypes.
    read: fn(index) -> np.ndarray, where index is a tuple of at most `lead`
      integers for the first axes, then a slice if `rows` is true.
    lead: how many first axes can be indexed at no extra cost.
    rows: whether the axis after the integers can be sliced, too.
  """

  shape: tuple[int, ...]
  dtype: np.dtype
  read: Callable[[tuple], np.ndarray]
  lead: int = 0
  rows: bool = False

  @property
  def nbytes(self) -> int:
    """Bytes of the whole array."""
    return math.prod(self.shape) * self.dtype.itemsize

  def __array__(self, dtype=None, copy=None) -> np.ndarray:
    del copy
    return np.asarray(self.read(()), dtype)

  def blocks(self) -> Iterator[np.ndarray]:
    """Yields the array piece by piece, in C order."""
    yield from self._blocks((), self.lead)

  def _blocks(self, index, lead) -> Iterator[np.ndarray]:
    rest = self.shape[len(index) :]
    nbytes = math.prod(rest) * self.dtype.itemsize
    if nbytes <= _BLOCK_BYTES or not rest or not (lead or self.rows):
      yield self.read(index)
    elif lead:
      for i in range(rest[0]):
        yield from self._blocks((*index, i), lead - 1)
    else:
      step = max(1, _BLOCK_BYTES * rest[0] // nbytes)
      for start in range(0, rest[0], step):
        yield self.read((*index, slice(start, min(start + step, rest[0]))))


Arrays = Mapping[str, Array]


def of(x) -> Array:
  """The lazy form of an array in memory."""
  return Array(
    tuple(x.shape),
    np.dtype(x.dtype),
    lambda index: np.asarray(x[index]),
    lead=max(len(x.shape) - 1, 0),
    rows=len(x.shape) > 0,
  )


def cast(arrays: Arrays, dtype: str | None) -> dict[str, Array]:
  """The arrays in another float dtype; None leaves them as they are.

  Reading raises ValueError where a finite number becomes infinite.
  """
  if dtype is None:
    return dict(arrays)
  if dtype not in DTYPES:
    raise ValueError(f"dtype is {dtype!r}, expected one of {list(DTYPES)}")
  target = DTYPES[dtype]
  return {name: _cast(name, x, target) for name, x in arrays.items()}


def _cast(name, x, target):
  if x.dtype == target or x.dtype not in DTYPES.values():
    return x

  def read(index):
    old = x.read(index)
    with np.errstate(over="ignore"):
      new = old.astype(target)
    if np.isinf(new).sum() != np.isinf(old).sum():
      raise ValueError(
        f"{name} holds numbers too large for {target.name}; use bfloat16"
      )
    return new

  return dataclasses.replace(x, dtype=target, read=read)


def difference(a: Array, b: Array) -> float:
  """Largest |a - b|; the arrays have one shape. NaN against NaN is 0."""
  worst = 0.0
  lead = min(a.lead, b.lead)
  rows = a.rows and b.rows
  same = [dataclasses.replace(x, lead=lead, rows=rows) for x in (a, b)]
  same = [dataclasses.replace(x, dtype=a.dtype) for x in same]
  for left, right in zip(*(x.blocks() for x in same), strict=True):
    left, right = left.astype(np.float32), right.astype(np.float32)
    equal = (left == right) | (np.isnan(left) & np.isnan(right))
    gap = np.abs(np.where(equal, 0, left) - np.where(equal, 0, right))
    worst = max(worst, float(np.max(gap, initial=0)))
    if np.isnan(gap).any():
      return float("nan")
  return worst
