"""What a benchmark's example shows: its picture and its measured depth."""

import numpy as np

from hispatial_jax.benchmarks import base, boxes
from hispatial_jax.core import geometry
from hispatial_jax.pp import codec

# As the published scripts: nearer than a centimetre is no reading.
_NEAREST_M, _FARTHEST_M = 0.01, 250.0


def picture(example: base.Example, *, drawn: bool = True) -> np.ndarray:
  """u8[H,W,3] RGB, with the boxes of the prompt unless `drawn` is False.

  Raises:
    base.ReadError, codec.BadInput, OSError: it can't be read or decoded.
  """
  rgb = codec.read_image(example.image())
  return boxes.draw(rgb, example.boxes) if drawn and example.boxes else rgb


def measured(example: base.Example):
  """(depth f32[h,w] metres, intrinsics f32[3,3] normalised) or (None, None).

  Depth without a camera gives no points, and counts as none.

  Raises:
    base.ReadError, ValueError, OSError: it can't be read.
  """
  found = example.depth() if example.depth else None
  if found is None or found.intrinsics is None:
    return None, None
  depth = np.asarray(found.depth_m, np.float32)
  with np.errstate(invalid="ignore"):
    near = depth <= _NEAREST_M
    far = np.isfinite(depth) & (depth >= _FARTHEST_M)
  depth = np.where(near, np.float32(0), depth)
  depth[far] = np.inf
  matrix = normalised(found.intrinsics, depth.shape, found.half_pixel)
  geometry.check_intrinsics(matrix)
  return depth, matrix


def normalised(matrix, size: tuple[int, int], half_pixel: bool) -> np.ndarray:
  """Pixel intrinsics of a depth map -> f32[3,3] of the unit image.

  Args:
    matrix: [3,3] in pixels.
    size: (height, width) of the map.
    half_pixel: False: rays go through whole indices, so that the centre moves
      by half a pixel.
  """
  k = np.asarray(matrix, np.float64)
  height, width = size
  half = 0.0 if half_pixel else 0.5
  return np.array(
    [
      [k[0, 0] / width, 0, (k[0, 2] + half) / width],
      [0, k[1, 1] / height, (k[1, 2] + half) / height],
      [0, 0, 1],
    ],
    np.float32,
  )
