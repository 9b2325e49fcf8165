"""Draws questions of the wild data: Objects365 and COYO.

    drawn, dropped = released_wild.draw(rows, points, roll, num=1)

One draw decides whether a pixel is asked for, the next over the types that the
record has, by their weights; then an item, a format, a pair.
Source: golden/hispatial_data/FORMAT.md, "QA selection, wild".
"""

import collections
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from hispatial_jax.qa import dice, released, released_boxes, released_pairs

_PIXEL_TYPE = "level0"


def weights_of(given: Mapping[str, float] | None) -> dict[str, float]:
  """Type -> weight: those of the reference, but for what is given.

  Raises:
    ValueError: unknown types, with the nearest names.
  """
  table = {name: weight for name, (_, weight) in released.WILD.items()}
  return released.weights_of(table, given)


def draw(
  rows: list[dict[str, Any]],
  points: np.ndarray,
  roll: dice.Dice,
  num: int = 1,
  *,
  weights: Mapping[str, float],
  levels: Collection[int] | None = None,
) -> tuple[list[released.Drawn], collections.Counter]:
  """Draws up to `num` questions that can be asked of one picture.

  Boxes are drawn into the picture, so that all questions of it have the same:
  those of the first one that has any.

  Args:
    rows: of records.QA_TABLE, format "released".
    points: f32[S,S,4], as the model sees it.
    roll: makes every choice.
    num: how many at most.
    weights: see weights_of.
    levels: only of these.

  Returns:
    The questions, and reason -> number of items that gave none.
  """
  pool = _Pool(rows, weights, levels)
  pixels = released.wanted(0, levels) and bool(points[..., 3].any())
  share = weights[_PIXEL_TYPE] / (sum(weights.values()) or 1.0)
  found: list[released.Drawn] = []
  asked = set()
  for _ in range(4 * num):  # a question may come twice
    if len(found) == num:
      break
    one = None
    if not (pixels and roll.chance(share)):
      one = pool.draw(roll)
    if one is None and pixels:
      one = released.pixel(points, roll)
    if one is None:
      break
    if (one.question, one.answer) not in asked:
      asked.add((one.question, one.answer))
      found.append(one)
      pool.keep_to(one.item)
  return found, pool.dropped


def draw_faithful(
  rows: list[dict[str, Any]], points: np.ndarray, roll: dice.Dice
) -> released.Drawn:
  """Draws one question as the reference does, with all its errors.

  Raises:
    released.Unusable: "raises" where the reference loses the sample.
  """
  weights = weights_of(None)
  kind = roll.weighted(list(weights), list(weights.values()))
  by_type = collections.defaultdict(list)
  for row in rows:
    if row["task"] in weights:
      by_type[row["task"]].append(row)
  if kind != _PIXEL_TYPE and by_type:
    kind = roll.weighted(list(by_type), [weights[name] for name in by_type])
    row = roll.pick(by_type[kind])
    try:
      worded = released_pairs.draw(row["meta"], roll, faithful=True)
      return _drawn(row, worded)
    except released.Unusable as error:
      if error.reason != "no_pair":
        raise
  try:
    return released.pixel(points, roll, faithful=True)
  except released.Unusable as error:
    raise released.Unusable("raises", str(error)) from None


def _drawn(row, worded) -> released.Drawn:
  return released.Drawn(
    worded.question,
    worded.answer,
    row["level"],
    row["task"],
    worded.format,
    row["meta"],
    worded.subtype,
  )


class _Pool:
  """The items that may still be asked.

  Attributes:
    dropped: reason -> number of items that gave no question.
  """

  def __init__(self, rows, weights, levels):
    self.dropped: collections.Counter = collections.Counter()
    self._weights, self._boxes = weights, None
    self._rows: dict[str, list] = {}
    for row in rows:
      known = weights.get(row["task"], 0) > 0
      if known and released.wanted(row["level"], levels):
        self._rows.setdefault(row["task"], []).append(row)

  def keep_to(self, item) -> None:
    """From now on only items with the boxes of this one, or with none."""
    if item is not None and not self._boxes:
      self._boxes = released_boxes.named(item.get("object"))

  def draw(self, roll: dice.Dice) -> released.Drawn | None:
    """A question; None if no item gives one."""
    while self._rows:
      weights = [self._weights[name] for name in self._rows]
      name = roll.weighted(list(self._rows), weights)
      # Other items of the same type first, so that types keep their share.
      for row in roll.shuffled(self._rows[name]):
        if not self._fits(row["meta"]):
          continue
        try:
          return _drawn(row, released_pairs.draw(row["meta"], roll))
        except released.Unusable as error:
          self.dropped[error.reason] += 1
          self._rows[name].remove(row)
      del self._rows[name]
    return None

  def _fits(self, item) -> bool:
    if not self._boxes:
      return True
    return released_boxes.named(item.get("object")) in ([], self._boxes)
