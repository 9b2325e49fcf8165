"""The questions that HiSpatial's authors released: types, weights, levels.

Items are kept as they were released and asked at load time, as the authors'
own training does: `released_wild`, `released_ca1m` and `released_general` draw,
`released_pairs` puts an item of the wild data into words.

By default what that training gets wrong is put right; `faithful=True` repeats
it. What differs is listed in docs/released_data.md.

Source: microsoft/HiSpatial@9b0a571, hispatial/data/vqa_dataset.py.
"""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from hispatial_jax.core import spec
from hispatial_jax.qa import dice, say

# Type -> (level, weight) of Objects365 and COYO. The weights add up to 10,630.
WILD = {
  "level0": (0, 350),
  "vqa_query_aabb": (1, 300),
  "vqa_distance_single": (1, 180),
  "vqa_object_size_single": (1, 300),
  "vqa_orientation": (1, 500),
  "vqa_object_direction_multi": (2, 300),
  "vqa_object_relation_multi": (2, 700),
  "vqa_object_relation_multi_world": (2, 700),
  "vqa_spatial_mcq_multiangle": (2, 625),
  "vqa_spatial_mcq_multiangle_world": (2, 625),
  "vqa_distance_multi": (2, 600),
  "vqa_closest_distance_multi": (2, 400),
  "vqa_distance_each_axis_multi": (2, 350),
  "vqa_distance_each_axis_multi_world": (2, 350),
  "vqa_distance_three_objects": (2, 350),
  "vqa_distance_three_objects_comparision": (2, 350),
  "vqa_comparison_multiple_objects": (2, 650),
  "vqa_most_objects_in_class": (2, 600),
  "vqa_orientation_comparison_two_objects": (2, 500),
  "vqa_relative_position_new_perspective": (3, 600),
  "vqa_relative_position_new_perspective_no_orient": (3, 600),
  "vqa_counting_objects": (3, 700),
}
# Classes of CA-1M in the order in which a type is searched for their names.
CA1M = {
  "orientation": (1, 0.8),
  "perspective_taking": (3, 1.0),
  "spatial_relation": (2, 1.0),
  "distance": (2, 0.8),
  "object_depth_comparison": (2, 1.0),
  "object_width": (1, 1.0),
  "object_height": (1, 1.0),
  "problem_solving": (3, 1.0),
}
CA1M_OTHER = 0.05  # Weight of all items together that are in no class.
# How the four streams are mixed.
MIXTURE = {"coyo": 0.35, "o365": 0.33, "general": 0.12, "ca1m": 0.20}

PIXEL = "query_pixel_xyz"
UNKNOWN_LEVEL = -1


class Unusable(ValueError):
  """An item that gives no question; `reason` is what it is counted under."""

  def __init__(self, reason: str, message: str):
    super().__init__(message)
    self.reason = reason


@dataclasses.dataclass(frozen=True)
class Drawn:
  """One question, drawn.

  Attributes:
    question, answer: texts.
    level: 0..3, or -1.
    task: type of the item.
    format: "text", "mcq" or "yes_no".
    item: what it was drawn from; its boxes belong into the picture.
    subtype: type of the pair of the item that was drawn.
  """

  question: str
  answer: str
  level: int
  task: str
  format: str
  item: dict[str, Any] | None = None
  subtype: str = ""

  def row(self) -> dict[str, Any]:
    """A dict of records.QA_TABLE."""
    meta = {"type": self.subtype} if self.subtype else {}
    return {
      "question": self.question,
      "answer": self.answer,
      "level": self.level,
      "task": self.task,
      "format": self.format,
      "meta": meta,
    }


def level(kind: str, qa_type: str) -> int:
  """The level of a type; -1 of an unknown one.

  Args:
    kind: "wild" or "ca1m".
    qa_type: as released.

  Source: data_engine.md section 2; the authors name the levels, not the types
  in them. CA-1M's "distance" holds both those to the camera and between
  objects, and counts as 2.
  """
  if kind == "wild":
    return WILD.get(qa_type, (UNKNOWN_LEVEL, 0))[0]
  if kind == "ca1m":
    return CA1M.get(ca1m_class(qa_type), (UNKNOWN_LEVEL, 0))[0]
  raise ValueError(f"kind {kind!r} is not 'wild' or 'ca1m'")


def ca1m_class(qa_type: str | None) -> str:
  """The first class of CA1M whose name is part of the type; "" for none."""
  return next((name for name in CA1M if name in (qa_type or "")), "")


def weights_of(
  table: Mapping[str, float], given: Mapping[str, float] | None
) -> dict[str, float]:
  """The weights of a table, but for those that are given.

  Raises:
    ValueError: unknown names, with the nearest.
  """
  spec.check_keys(given or (), table, "weights")
  return {k: float(w) for k, w in {**table, **(given or {})}.items()}


def subtype(pair: dict[str, Any]) -> str:
  """Type of a pair inside an item, "" for none."""
  return pair.get("qa_type") or ""


def texts(item: Any) -> list[str]:
  """Every text of an item: for a tokenizer that is to know its words."""
  if isinstance(item, str):
    return [item]
  if isinstance(item, dict):
    item = list(item.values())
  return [t for x in item for t in texts(x)] if isinstance(item, list) else []


def wanted(level: int, levels: Collection[int] | None) -> bool:
  """Whether a filter lets a level pass; that of no level always does."""
  return levels is None or level < 0 or level in levels


def pixel(
  points: np.ndarray, roll: dice.Dice, *, faithful: bool = False
) -> Drawn:
  """Asks for the coordinates of a known pixel of the network's point map.

  Args:
    points: f32[S,S,4] as the model sees it.
    roll: draws the pixel, uniformly.
    faithful: print -0.00 as it comes.

  Raises:
    Unusable: "no_valid_pixel".
  """
  known = np.flatnonzero(points[..., 3])
  if not len(known):
    raise Unusable("no_valid_pixel", "no pixel of the point map is known")
  size = points.shape[1]
  row, column = divmod(int(known[roll.below(len(known))]), size)
  box = say.box_tokens((column, row, column, row), (size, points.shape[0]))
  number = "{:.2f}".format if faithful else say.number
  xyz = [f"{number(float(v))}m" for v in points[row, column, :3]]
  question = f"what is the xyz of the pixel in {box}"
  return Drawn(question, " ".join(xyz), 0, PIXEL, "text")
