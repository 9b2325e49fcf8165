"""Which boxes a released item wants drawn into its picture.

Source: golden/hispatial_data/FORMAT.md, "Boxes drawn into the image".
"""

from typing import Any, NamedTuple

# RGB.
COLOURS = {
  "red": (255, 0, 0),
  "green": (0, 255, 0),
  "blue": (0, 0, 255),
  "yellow": (255, 255, 0),
  "purple": (255, 0, 255),
}
_SLOTS = ("", "_i", "_j", "_k", "_l", "_m", "_n")
_CA1M_RED = "(highlighted by a red box)"


class Named(NamedTuple):
  """A box by the colour that its object's text names.

  Attributes:
    colour: name in COLOURS.
    box: x1, y1, x2, y2 in pixels of the image as its source had it.
    exact: drawn as it is, else scaled by a random factor.
  """

  colour: str
  box: tuple[float, ...]
  exact: bool = False


def named(objects: dict[str, Any] | None) -> list[Named]:
  """The boxes of an item's `object`, in the order that they are drawn."""
  found = []
  for slot in _SLOTS:
    text = (objects or {}).get(f"referring{slot}")
    raw = (objects or {}).get(f"raw{slot}")
    if not isinstance(text, str) or not isinstance(raw, dict):
      continue
    box = raw.get("raw_bbox")
    if not _is_box(box):
      continue
    found += [
      Named(colour, tuple(box))
      for colour in COLOURS
      if f"(highlighted by the {colour} box)" in text
      or f"(highlighted by a {colour} box)" in text
    ]
  return found


def of_ca1m(item: dict[str, Any]) -> list[Named]:
  """The boxes of an item of CA-1M: its own red one, then those of `object`."""
  found = []
  if _CA1M_RED in item.get("prefix", ""):
    box = (item.get("meta") or {}).get("2dbox")
    if _is_box(box):
      found.append(Named("red", tuple(box), exact=True))
  return found + named(item.get("object"))


def _is_box(box) -> bool:
  return (
    isinstance(box, list | tuple)
    and len(box) == 4
    and all(isinstance(v, int | float) for v in box)
  )
