"""Which part of a mixture an example is from, by its position in the run.

    mix = Mixture(
      {"wild": 0.8, "scans": [[0, 0.2], [1000, 0.6]]}, batch_size=256, seed=0
    )
    number, index = mix(123_456)     # part's number, index in its own stream
    mix.shares(500)                  # {"wild": 0.66.., "scans": 0.33..}

A pure function of the position: the same in every process and after every
restart. Positions are dealt with in blocks. The weights at a block's first step
become whole numbers of examples by largest remainder; what a part got too
little or too much of is made up for in the next block, so that shares are exact
in the long run. The order within a block is drawn by seed and block.
"""

import functools
import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Weight = float | Sequence[Sequence[float]]
BLOCK = 1000


class Mixture:
  """position -> (number of the part, index in the part's endless stream)."""

  def __init__(
    self,
    weights: Mapping[str, Weight],
    *,
    batch_size: int,
    seed: int = 0,
    block: int = BLOCK,
  ):
    """Reads the weights.

    Args:
      weights: name -> weight, or [[step, weight], ...]: linear between these
        steps of training, constant outside. Only their ratios count. Parts are
        numbered in this order.
      batch_size: examples of a step, over all processes.
      seed: of the order.
      block: positions that are dealt out together.

    Raises:
      ValueError: weights out of form, all listed; or all 0 at some step.
    """
    self._curves = curves(weights)
    self._batch_size, self._block = batch_size, block
    self._seed = seed % 2**63
    self._lock = threading.Lock()
    # Examples of each part before each block; and what it is owed after them.
    self._before = [np.zeros(len(self._curves), np.int64)]
    self._owed = np.zeros(len(self._curves))
    self._order = functools.lru_cache(4)(self._draw_order)

  def __call__(self, position: int) -> tuple[int, int]:
    block, at = divmod(position, self._block)
    parts, indices = self._order(block)
    return int(parts[at]), int(indices[at])

  def shares(self, step: int) -> dict[str, float]:
    """Name -> share of the examples, at a step of training."""
    found = [np.interp(step, *curve) for curve in self._curves.values()]
    total = math.fsum(found)
    return {
      name: float(weight / total)
      for name, weight in zip(self._curves, found, strict=True)
    }

  def _draw_order(self, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Part and index of each position of a block, i64[block] both."""
    before, after = self._counts(block)
    parts = np.repeat(np.arange(len(before)), after - before)
    indices = np.concatenate(
      [np.arange(a, b) for a, b in zip(before, after, strict=True)]
    )
    # The parts are shuffled, not the examples: each part's stream comes by in
    # its own order.
    order = np.random.default_rng([self._seed, block]).permutation(len(parts))
    drawn = parts[order]
    where = np.argsort(drawn, kind="stable")
    out = np.empty_like(indices)
    out[where] = indices
    return drawn, out

  def _counts(self, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Examples of each part before a block, and before the next one."""
    with self._lock:
      while len(self._before) < block + 2:
        first = (len(self._before) - 1) * self._block
        shares = self.shares(first // self._batch_size).values()
        counts, self._owed = deal(
          np.fromiter(shares, float), self._owed, self._block
        )
        self._before.append(self._before[-1] + counts)
      return self._before[block], self._before[block + 1]


def deal(
  shares: np.ndarray, owed: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
  """Whole numbers of examples by largest remainder.

  Args:
    shares: f64[parts], their sum is 1.
    owed: f64[parts]: what earlier blocks gave too little of.
    size: examples to deal.

  Returns:
    counts i64[parts] whose sum is size, 0 where the share is 0; owed after.
  """
  want = shares * size + owed
  counts = np.where(shares > 0, np.maximum(np.floor(want), 0), 0)
  while counts.sum() < size:
    counts[np.argmax(np.where(shares > 0, want - counts, -np.inf))] += 1
  while counts.sum() > size:
    counts[np.argmin(np.where(counts > 0, want - counts, np.inf))] -= 1
  return counts.astype(np.int64), want - counts


def curves(weights: Mapping[str, Weight]) -> dict[str, tuple[Any, Any]]:
  """Name -> (steps, weights), both f64[knots]; see `Mixture`."""
  wrong, found = [], {}
  for name, weight in weights.items():
    try:
      found[name] = _curve(weight)
    except (ValueError, TypeError):
      wrong.append(f"{name}: {weight!r}")
  if wrong:
    raise ValueError(
      "a weight is a number >= 0 or [[step, weight], ...] with rising steps;"
      f" got {'; '.join(wrong)}"
    )
  for step in sorted({s for steps, _ in found.values() for s in steps}):
    if not any(np.interp(step, *curve) for curve in found.values()):
      raise ValueError(f"all weights are 0 at step {step:g}: {dict(weights)}")
  return found


def _curve(weight: Weight) -> tuple[np.ndarray, np.ndarray]:
  knots = [(0.0, weight)] if np.ndim(weight) == 0 else weight
  table = np.array([[float(step), float(w)] for step, w in knots])
  steps, values = table.T
  rising = bool((np.diff(steps) > 0).all())
  if not (rising and np.isfinite(table).all() and (values >= 0).all()):
    raise ValueError
  return steps, values
