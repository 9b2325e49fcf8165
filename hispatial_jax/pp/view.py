"""What the model sees of one picture: pixels and points at its size."""

from typing import Any

import numpy as np

from hispatial_jax.core import geometry
from hispatial_jax.pp import image, points

# MoGe looks at some 950 pixels a side; more would only cost memory.
_MOGE_SIDE = 2048


def view(
  rgb: np.ndarray,
  depth_m: np.ndarray | None,
  intrinsics: np.ndarray | None,
  size: int,
  *,
  zeros: bool = False,
  relative: bool = False,
  unknown_m: float | None = points.LIMIT_M,
) -> dict[str, Any]:
  """The model's inputs from a picture, and how much of its depth is known.

  Args:
    rgb: u8[H,W,3].
    depth_m: f32[h,w] metres, 0 or NaN unknown, inf sky; None: no depth.
    intrinsics: f32[3,3] normalised, with depth_m.
    size: S.
    zeros: without depth points are zeros instead of the limit, as a model
      knows them that was trained on op drop_points.
    relative: points are those of op relative_depth.
    unknown_m: see `points.points`.

  Returns:
    image f32[S,S,3] in [-1,1], points f32[S,S,4], known: share of the depth
    map that holds a value.
  """
  known = 0.0
  if depth_m is None:
    xyz = np.zeros((size, size, 4), np.float32)
    xyz[..., :3] = 0.0 if zeros else points.LIMIT_M
  else:
    known = float(np.mean(~np.isnan(depth_m) & (depth_m != 0)))
    xyz = points.points(depth_m, intrinsics, size, unknown_m=unknown_m)
  if relative:
    xyz = points.relative_depth(xyz)
  pixels = image.normalise(image.resize(rgb, size))
  return {"image": pixels, "points": xyz, "known": known}


def estimate(moge, rgb: np.ndarray, intrinsics=None):
  """Depth of a picture that came without any.

  Args:
    moge: a MoGe (moge/infer.py).
    rgb: u8[H,W,3].
    intrinsics: [3,3] normalised, if the camera is known.

  Returns:
    depth f32[h,w] metres, NaN unknown, and intrinsics f32[3,3]; None and None
    where MoGe finds no surface.

  Raises:
    ValueError: the intrinsics are none.
  """
  if intrinsics is not None:
    intrinsics = np.asarray(intrinsics, np.float32)
    geometry.check_intrinsics(intrinsics)
  small = image.reduce(rgb, _MOGE_SIDE)
  (found,) = moge.infer_batch([small], intrinsics=intrinsics)
  if not found.mask.any():
    return None, None
  depth = np.where(found.mask, found.depth, np.float32(np.nan))
  return depth, found.intrinsics
