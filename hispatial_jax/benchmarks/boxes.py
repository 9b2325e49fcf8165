"""The boxes that prompts speak of, painted as the published script does.

What OpenCV's rectangle of thickness 2 leaves: a band three pixels wide
centred on each edge, without the four outermost corner pixels.
"""

import numpy as np

from hispatial_jax.benchmarks import base

RGB = {
  "red": (255, 0, 0),
  "blue": (0, 0, 255),
  "green": (0, 255, 0),
  "yellow": (255, 255, 0),
}
COLOURS = tuple(RGB)


def of(bboxes) -> tuple[base.Box, ...]:
  """Boxes in the order of their colours; from the fourth on all are yellow."""
  colours = [COLOURS[min(i, 3)] for i in range(len(bboxes))]
  return tuple(
    base.Box(RGB[colour], tuple(float(v) for v in bbox))
    for colour, bbox in zip(colours, bboxes, strict=True)
  )


def _band(x1: int, y1: int, x2: int, y2: int, shape) -> np.ndarray:
  """bool[H,W]: what one rectangle paints, clipped to the picture."""
  rows, columns = np.ogrid[: shape[0], : shape[1]]

  def outside(low, high, at, by):
    return (at < low - by) | (at > high + by)

  outer = ~(outside(y1, y2, rows, 1) | outside(x1, x2, columns, 1))
  inner = ~(outside(y1, y2, rows, -2) | outside(x1, x2, columns, -2))
  corner = ((rows == y1 - 1) | (rows == y2 + 1)) & (
    (columns == x1 - 1) | (columns == x2 + 1)
  )
  return outer & ~inner & ~corner


def draw(picture: np.ndarray, wanted) -> np.ndarray:
  """A copy of the picture with boxes, later ones over earlier.

  Draw after the point map was computed: that is of the picture without them.

  Args:
    picture: u8[H,W,3] RGB at the size the boxes are given in.
    wanted: base.Box items; corners in any order, rounded down to pixels.
  """
  out = picture.copy()
  for box in wanted:
    x1, y1, x2, y2 = (int(np.floor(v)) for v in box.xyxy)
    x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    out[_band(x1, y1, x2, y2, out.shape)] = box.rgb
  return out
