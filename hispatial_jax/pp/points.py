"""Operations on the point map: metres in the camera's frame, and a mask."""

import numpy as np

from hispatial_jax.core import geometry

LIMIT_M = 250.0


def points(
  depth_m: np.ndarray,
  intrinsics: np.ndarray,
  size: int,
  limit_m: float = LIMIT_M,
  *,
  native: tuple[int, int] | None = None,
  max_depth_m: float | None = None,
  unknown_m: float | None = LIMIT_M,
) -> np.ndarray:
  """The points that unprojecting all and then resizing by nearest would give.

  Only those that stay are unprojected, along the rays of the pixels that they
  were measured at.

  Args:
    depth_m: f32[H,W] metres; 0, NaN or inf: unknown.
    intrinsics: f32[3,3] normalised.
    size: S.
    limit_m: coordinates beyond are set to it; there is no lower limit.
    native: (height, width) of the map that depth_m was taken from by nearest
      neighbour; None: it is that map.
    max_depth_m: depth from here on is unknown; None: none is too far.
    unknown_m: all coordinates of unknown pixels. None: what they unproject to,
      limit_m where that is no number.

  Returns:
    f32[S,S,4]: x right, y down, z forward, mask; unknown pixels hold
    (unknown_m, unknown_m, unknown_m, 0).

  Source: golden/hispatial_data/FORMAT.md, "Geometry", "Resize", "Clip".
  """
  height, width = native or depth_m.shape
  rows, from_row = _indices(height, depth_m.shape[0], size)
  columns, from_column = _indices(width, depth_m.shape[1], size)
  depth = np.asarray(depth_m, np.float32).take(from_row, 0)
  depth = depth.take(from_column, 1)
  with np.errstate(invalid="ignore"):
    known = (depth > 0) & (depth < np.inf)
    if max_depth_m is not None:
      known &= depth < max_depth_m
  seen = known if unknown_m is not None else np.isfinite(depth)
  z = np.where(seen, depth, np.float32(0))
  u, v = geometry.pixel_centres((height, width))
  x, y = geometry.rays(intrinsics, u[columns], v[rows])
  out = np.empty((size, size, 4), np.float32)
  np.multiply(x, z, out=out[..., 0])
  np.multiply(y, z, out=out[..., 1])
  out[..., 2] = z
  np.minimum(out, np.float32(limit_m), out=out)
  out[~seen] = limit_m if unknown_m is None else unknown_m
  out[..., 3] = known
  return out


def _indices(native: int, stored: int, size: int):
  """Of each pixel of the result: where it lies in the native map, the stored.

  Both i64[size]; they differ where the stored map is not the native one.
  """
  of_stored = geometry.nearest_indices(stored, size)
  if native == stored:
    return of_stored, of_stored
  return geometry.nearest_indices(native, stored)[of_stored], of_stored


def get_points(
  size: int,
  limit_m: float = LIMIT_M,
  *,
  max_depth_m: float | None = None,
  unknown_m: float | None = LIMIT_M,
):
  """Op `points(112)`: depth_m, intrinsics -> points f32[S,S,4]."""

  def op(example):
    native = example.get("native")
    out = points(
      example["depth_m"],
      example["intrinsics"],
      size,
      limit_m,
      native=None if native is None else tuple(native[1]),
      max_depth_m=max_depth_m,
      unknown_m=unknown_m,
    )
    return {**example, "points": out}

  return op


def get_drop_points():
  """Op `drop_points`: all coordinates and masks 0, the run without depth."""

  def op(example):
    if "points" not in example:
      raise ValueError("drop_points stands after points(S)")
    return {**example, "points": np.zeros_like(example["points"])}

  return op


def relative_depth(points: np.ndarray) -> np.ndarray:
  """Depth without its unit: what a relative depth estimator would tell.

  How the paper's ablation scales depth is not said; this is ours. x and y, from
  which the metres could be read back, are 0; z is 0 at the 2nd percentile of
  the picture's known depth, 1 at the 98th, and clipped there.

  Args:
    points: f32[S,S,4], of `points`.

  Returns:
    f32[S,S,4]: 0, 0, z in [0, 1], mask; unknown pixels are 0.
  """
  out = np.zeros_like(points)
  known = points[..., 3] > 0
  out[..., 3] = known
  if known.any():
    depth = points[..., 2][known]
    near, far = np.percentile(depth, (2, 98))
    scaled = (depth - near) / max(far - near, 1e-6)
    out[known, 2] = np.clip(scaled, 0, 1)
  return out


def get_relative_depth():
  """Op `relative_depth`: see `relative_depth`; the run with RGB and depth."""

  def op(example):
    if "points" not in example:
      raise ValueError("relative_depth stands after points(S)")
    return {**example, "points": relative_depth(example["points"])}

  return op
