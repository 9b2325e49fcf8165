"""Measured depth that comes with a benchmark's pictures."""

import dataclasses

import numpy as np

from hispatial_jax.benchmarks import base, files, pictures


def millimetres(data: bytes, key: str):
  """f32[h,w] metres of a 16-bit PNG of millimetres; 0 = no reading.

  Raises:
    ReadError: it can't be decoded, or has another kind of pixels.
  """
  import cv2

  depth = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
  if depth is None or depth.dtype != np.uint16 or depth.ndim != 2:
    what = "nothing" if depth is None else f"{depth.dtype} {depth.shape}"
    raise base.ReadError(f"{key}: expected a 16-bit depth PNG, got {what}")
  return depth.astype(np.float32) / np.float32(1000)


def points(depth: base.Depth):
  """(f32[h,w,3], bool[h,w]): metres in the depth camera, and where known.

  With integer pixel indices, as the published script has it; known is
  0.01 < z < 250.

  Raises:
    ValueError: no intrinsics.
  """
  if depth.intrinsics is None:
    raise ValueError("this depth has no intrinsics: estimate the field of view")
  rows, columns = np.indices(depth.depth_m.shape)
  half, k = 0.5 * depth.half_pixel, depth.intrinsics
  z = depth.depth_m
  x = (columns + half - k[0, 2]) * z / k[0, 0]
  y = (rows + half - k[1, 2]) * z / k[1, 1]
  known = (z > 0.01) & (z < 250.0)
  return np.stack([x, y, z], -1).astype(np.float32), known


@dataclasses.dataclass(frozen=True)
class UnitDepth:
  """Depth in a PNG of millimetres, and the camera of the unit image."""

  file: pictures.File
  matrix: tuple[tuple[float, ...], ...]

  def __call__(self) -> base.Depth:
    depth_m = millimetres(self.file(), self.file.key)
    height, width = depth_m.shape
    scale = np.array([[width], [height], [1.0]])
    return base.Depth(depth_m, np.array(self.matrix) * scale, half_pixel=True)


def measured(item: dict, source: files.Files, folder: str, key: str):
  """UnitDepth of an item's "depth" and "intrinsics"; None without depth.

  Raises:
    DataError: depth without nine numbers of a camera.
  """
  if item.get("depth") is None:
    return None
  rows = item.get("intrinsics")
  try:
    matrix = tuple(tuple(float(v) for v in row) for row in rows)
  except (TypeError, ValueError):
    matrix = ()
  if [len(row) for row in matrix] != [3, 3, 3]:
    raise base.DataError(f"{key}: depth needs intrinsics 3x3, got {rows!r:.80}")
  return UnitDepth(
    pictures.File(source, folder + str(item["depth"]), key), matrix
  )
