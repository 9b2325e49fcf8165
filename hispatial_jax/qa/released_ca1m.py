"""Draws questions of CA-1M: a class by weight, then an item of it.

    drawn, dropped = released_ca1m.draw(rows, points, roll, num=1)

Source: golden/hispatial_data/FORMAT.md, "QA selection, ca1m".
"""

import collections
import json
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from hispatial_jax.qa import dice, released, released_boxes

_OTHER = "other"
_REASONED = "problem_solving"
_STEPS = (
  " Please think step by step",
  " Answer the question with cot",
  " Explain your reasoning step by step",
  " Please provide a detailed explanation with cot",
)


def weights_of(given: Mapping[str, float] | None) -> dict[str, float]:
  """Class -> weight: those of the reference, but for what is given.

  Raises:
    ValueError: unknown classes, with the nearest names.
  """
  table = {name: weight for name, (_, weight) in released.CA1M.items()}
  return released.weights_of({**table, _OTHER: released.CA1M_OTHER}, given)


def draw(
  rows: list[dict[str, Any]],
  points: np.ndarray,
  roll: dice.Dice,
  num: int = 1,
  *,
  weights: Mapping[str, float],
  levels: Collection[int] | None = None,
  faithful: bool = False,
) -> tuple[list[released.Drawn], collections.Counter]:
  """Draws up to `num` questions; see released_wild.draw for the arguments.

  A record without an item that may be asked is asked for a pixel.

  Raises:
    released.Unusable: faithful, and the reference loses the sample.
  """
  classes = collections.defaultdict(list)
  for row in rows:
    if faithful or released.wanted(row["level"], levels):
      classes[released.ca1m_class(row["task"]) or _OTHER].append(row)
  found: list[released.Drawn] = []
  dropped: collections.Counter = collections.Counter()
  boxes: list = []
  while classes and len(found) < num:
    name = roll.weighted(list(classes), [weights[n] for n in classes])
    if sum(weights[n] for n in classes) <= 0:
      break
    row = classes[name].pop(roll.below(len(classes[name])))
    if not classes[name]:
      del classes[name]
    mine = released_boxes.of_ca1m(row["meta"])
    if boxes and mine not in ([], boxes):
      continue
    try:
      found.append(_worded(row, roll, faithful))
      boxes = boxes or mine
    except released.Unusable as error:
      if faithful:
        raise
      dropped[error.reason] += 1
  if not found and released.wanted(0, levels):
    found += _pixel(points, roll, faithful)
  return found, dropped


def _pixel(points, roll, faithful) -> list[released.Drawn]:
  try:
    return [released.pixel(points, roll, faithful=faithful)]
  except released.Unusable:
    if not faithful:
      return []
  # The reference trains this where nothing else is known.
  text = "describe this image", "an indoor scene"
  return [released.Drawn(*text, 0, released.PIXEL, "text")]


def _worded(row, roll: dice.Dice, faithful: bool) -> released.Drawn:
  item = row["meta"]
  question, answer = item.get("prefix"), item.get("suffix")
  if not isinstance(question, str) or not isinstance(answer, str):
    reason = "raises" if faithful else "empty_qa"
    raise released.Unusable(reason, f"{question!r}, {answer!r} are no texts")
  if not faithful and not (question.strip() and answer.strip()):
    raise released.Unusable("empty_qa", "question or answer is empty")
  if _is_reasoned(item, faithful):
    steps = _steps(item)
    # Asked for steps there must be some.
    if steps is not None or faithful:
      question += roll.pick(_STEPS)
      answer = answer if steps is None else steps
  form = "yes_no" if answer.strip(" .") in ("Yes", "No") else "text"
  return released.Drawn(question, answer, row["level"], row["task"], form, item)


def _is_reasoned(item, faithful: bool) -> bool:
  kind = item.get("qa_type")
  return kind == _REASONED if faithful else _REASONED in (kind or "")


def _steps(item) -> str | None:
  """The reasoning of an item, a step a line; None where it has none."""
  try:
    said = json.loads(item["meta"]["student_cot"])["cot_simple"]
    if isinstance(said, dict):
      said = list(said.values())
    return "\n".join(said) + "\n" if isinstance(said, list) else str(said)
  except (KeyError, TypeError, ValueError):
    return None
