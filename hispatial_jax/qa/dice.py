"""Chance by keyed hash: the same key gives the same draws, everywhere.

Python's generator is seeded from a keyed hash of the record's id and the seed,
and only its `random()` is used, whose sequence Python guarantees; so draws do
not depend on shards, order of visit, process or Python version.
"""

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

# A change of what is drawn for a seed changes this name.
ENGINE = b"hispatial_jax.qa 1"


class Dice:
  """Draws seeded by `key`, any values with a stable repr (texts, ints)."""

  def __init__(self, *key):
    digest = hashlib.blake2b(repr(key).encode(), digest_size=16, key=ENGINE)
    self.random = random.Random(
      int.from_bytes(digest.digest(), "little")
    ).random

  def below(self, n: int) -> int:
    """Uniform in 0..n-1."""
    return int(self.random() * n)

  def pick(self, items: Sequence[T]) -> T:
    """One of the items, uniformly."""
    return items[int(self.random() * len(items))]

  def chance(self, p: float) -> bool:
    """True with probability p."""
    return self.random() < p

  def between(self, low: float, high: float) -> float:
    """Uniform in [low, high)."""
    return low + (high - low) * self.random()

  def shuffled(self, items: Sequence[T]) -> list[T]:
    """The items in uniformly random order."""
    items = list(items)
    for i in range(len(items) - 1, 0, -1):
      j = self.below(i + 1)
      items[i], items[j] = items[j], items[i]
    return items

  def weighted(self, items: Sequence[T], weights: Sequence[float]) -> T:
    """One of the items, by weight."""
    left = self.random() * sum(weights)
    for item, weight in zip(items, weights, strict=True):
      left -= weight
      if left < 0:
        return item
    return items[-1]
