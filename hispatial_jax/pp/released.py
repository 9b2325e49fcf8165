"""Ops that ask what HiSpatial's authors released: wild, CA-1M, general.

    decode|points(448)|resize(448)|wild_qa(1)|tokenize(384)
    decode|points(448, max_depth_m=30)|resize(448)|ca1m_qa(1)|tokenize(384)
    decode|points(448)|resize(448)|general_qa(1)|tokenize(384)

Drawn anew for each record and epoch. Boxes are drawn into the resized picture.
"""

import collections
from collections.abc import Mapping
from typing import Any

from hispatial_jax.pp import boxes, codec
from hispatial_jax.qa import (
  dice,
  released,
  released_boxes,
  released_ca1m,
  released_general,
  released_wild,
)


def get_wild_qa(
  num: int = 1,
  *,
  levels=None,
  weights: Mapping[str, float] | None = None,
  faithful: bool = False,
):
  """Op `wild_qa(1)`: draws of the 22 types of Objects365 and COYO.

  Args:
    num: questions at most; they share one picture, and so its boxes.
    levels: only of these, for example (0, 2, 3).
    weights: type -> weight, instead of the reference's.
    faithful: repeat the reference's errors; for one question.
  """
  table = released_wild.weights_of(weights)
  _check_faithful(faithful, num, levels, weights)

  def draw(example, roll):
    rows, points = _rows(example, "released"), example["points"]
    if faithful:
      return [released_wild.draw_faithful(rows, points, roll)], {}
    return released_wild.draw(
      rows, points, roll, num, weights=table, levels=levels
    )

  def of_item(item):
    return released_boxes.named(item.get("object"))

  return _op(draw, of_item, num, faithful)


def get_ca1m_qa(
  num: int = 1,
  *,
  levels=None,
  weights: Mapping[str, float] | None = None,
  faithful: bool = False,
):
  """Op `ca1m_qa(1)`: draws of the 8 classes of CA-1M; see get_wild_qa."""
  table = released_ca1m.weights_of(weights)
  _check_faithful(faithful, num, levels, weights)

  def draw(example, roll):
    rows, points = _rows(example, "released"), example["points"]
    return released_ca1m.draw(
      rows,
      points,
      roll,
      num,
      weights=table,
      levels=levels,
      faithful=faithful,
    )

  return _op(draw, released_boxes.of_ca1m, num, faithful)


def get_general_qa(num: int = 1, *, faithful: bool = False):
  """Op `general_qa(1)`: draws turns of general question answering."""

  def draw(example, roll):
    height, width = (int(n) for n in example["native"][0])
    found = []
    for row in roll.shuffled(_rows(example, "turn"))[:num]:
      question, answer = released_general.turn(
        row["question"], row["answer"], (width, height), faithful=faithful
      )
      found.append(
        released.Drawn(question, answer, row["level"], row["task"], "text")
      )
    return found, {}

  return _op(draw, None, num, faithful)


def _op(draw, boxes_of, num, faithful):
  def op(example):
    roll = dice.Dice(example["id"], example["draw"].number("qa"))
    try:
      drawn, dropped = draw(example, roll)
    except released.Unusable as error:
      raise codec.BadInput(error.reason, str(error)) from error
    if not drawn:
      raise codec.BadInput("no_question", _why(dropped))
    image = _with_boxes(example, drawn, boxes_of, roll)
    counts = collections.Counter(example.get("dropped", {}))
    counts.update(dropped)
    qa = [one.row() for one in drawn]
    if not faithful:
      # The reference strips first, and a blank stays where "<image>" was.
      for row in qa:
        row["question"] = row["question"].replace("<image>", "").strip()
    return {**example, "qa": qa, "image": image, "dropped": dict(counts)}

  op.draws, op.max_questions = True, num
  return op


def _why(dropped) -> str:
  """Says why nothing was drawn."""
  reasons = ", ".join(f"{k}: {v}" for k, v in sorted(dropped.items()))
  return f"no question may be asked ({reasons or 'there is none'})"


def _with_boxes(example, drawn, boxes_of, roll):
  """The picture with the boxes of the first question that has any."""
  for one in drawn:
    found = boxes_of(one.item) if one.item else []
    if found:
      native = tuple(int(n) for n in example["native"][0])
      return boxes.draw(example["image"], found, native, roll)
  return example["image"]


def _rows(example, form: str) -> list[dict[str, Any]]:
  """The rows of a format; others belong to another op."""
  rows = example["qa"]
  if rows and not any(row["format"] == form for row in rows):
    raise ValueError(
      f"record {example['id']!r} holds questions of format"
      f" {rows[0]['format']!r}, not {form!r}: another op asks those"
    )
  if "points" not in example:
    raise ValueError("this op stands after points(S) and resize(S)")
  return [row for row in rows if row["format"] == form]


def _check_faithful(faithful, num, levels, weights) -> None:
  if faithful and (num != 1 or levels is not None or weights is not None):
    raise ValueError(
      "faithful=True draws one question by the reference's own weights: not"
      " with num, levels or weights"
    )
