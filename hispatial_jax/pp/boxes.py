"""Coloured boxes in the picture that the network sees."""

import cv2
import numpy as np

from hispatial_jax.qa import dice, released_boxes

_SCALES = (1.0, 1.2)
_THICKNESS = 2


def draw(
  image: np.ndarray,
  boxes: list[released_boxes.Named],
  native: tuple[int, int],
  roll: dice.Dice,
) -> np.ndarray:
  """Draws boxes into a resized picture.

  Args:
    image: u8[S,S,3] RGB; not changed.
    boxes: in native pixels.
    native: (height, width) of the picture that they are measured in.
    roll: draws how much larger each one is made.

  Returns:
    u8[S,S,3].
  """
  if not boxes:
    return image
  out = image.copy()
  for named in boxes:
    if named.exact:
      corners = scaled_exactly(named.box, native, len(image))
    else:
      corners = scaled(named.box, native, len(image))
      corners = clamped(larger(corners, roll), len(image))
    x1, y1, x2, y2 = (int(v) for v in corners)
    colour = released_boxes.COLOURS[named.colour]
    cv2.rectangle(out, (x1, y1), (x2, y2), colour, _THICKNESS)
  return out


def scaled(box, native: tuple[int, int], size: int) -> tuple[int, ...]:
  """A box in pixels of the resized picture, towards zero, inside it.

  Source: golden/hispatial_data/FORMAT.md, "Boxes drawn into the image".
  """
  (x1, y1, x2, y2), (height, width) = box, native
  x1, x2 = (int(x * size / width) for x in (x1, x2))
  y1, y2 = (int(y * size / height) for y in (y1, y2))
  return clamped((x1, y1, x2, y2), size)


def scaled_exactly(box, native: tuple[int, int], size: int) -> tuple[int, ...]:
  """Likewise for CA-1M's own boxes, which are not clamped."""
  sides = (native[1], native[0]) * 2
  return tuple(int(v / n * size) for v, n in zip(box, sides, strict=True))


def clamped(box, size: int):
  """Its lower corner at least 0, its upper one at most S - 1."""
  x1, y1, x2, y2 = box
  return max(0, x1), max(0, y1), min(size - 1, x2), min(size - 1, y2)


def larger(
  box, roll: dice.Dice, scales: tuple[float, float] = _SCALES
) -> tuple[float, ...]:
  """A box with its sides scaled about their middles, each by its own factor."""
  x1, y1, x2, y2 = box
  width = (x2 - x1) * roll.between(*scales)
  height = (y2 - y1) * roll.between(*scales)
  x, y = x1 + (x2 - x1) / 2, y1 + (y2 - y1) / 2
  return x - width / 2, y - height / 2, x + width / 2, y + height / 2
