"""Operations on the point map: metres in the camera's frame, and a mask."""

import numpy as np

from hispatial_jax.core import geometry

LIMIT_M = 250.0


def points(
  depth_m: np.ndarray,
  intrinsics: np.ndarray,
  size: int,
  limit_m: float = LIMIT_M,
) -> np.ndarray:
  """Unprojects at the stored resolution, then resizes by nearest neighbour.

  Args:
    depth_m: f32[H,W] metres; 0, NaN or inf: unknown.
    intrinsics: f32[3,3] normalised.
    size: S.
    limit_m: coordinates beyond are set to it; there is no lower limit.

  Returns:
    f32[S,S,4]: x right, y down, z forward, mask; unknown pixels hold
    (limit_m, limit_m, limit_m, 0).

  Source: golden/hispatial_data/FORMAT.md, "Geometry", "Resize", "Clip".
  """
  with np.errstate(invalid="ignore"):
    known = np.isfinite(depth_m) & (depth_m > 0)
  depth = np.where(known, depth_m, 0).astype(np.float32)
  out = np.empty((*depth.shape, 4), np.float32)
  xyz = geometry.unproject(depth, np.asarray(intrinsics, np.float32))
  np.minimum(xyz, np.float32(limit_m), out=out[..., :3])
  out[..., 3] = known
  out[~known, :3] = limit_m
  if depth.shape == (size, size):
    return out
  return geometry.resize_nearest(out, (size, size))


def get_points(size: int, limit_m: float = LIMIT_M):
  """Op `points(112)`: depth_m, intrinsics -> points f32[S,S,4]."""

  def op(example):
    out = points(example["depth_m"], example["intrinsics"], size, limit_m)
    return {**example, "points": out}

  return op


def get_drop_points():
  """Op `drop_points`: all coordinates and masks 0, the run without depth."""

  def op(example):
    if "points" not in example:
      raise ValueError("drop_points stands after points(S)")
    return {**example, "points": np.zeros_like(example["points"])}

  return op
