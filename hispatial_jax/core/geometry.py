"""Cameras, boxes and level frames; numpy and jax.numpy alike.

Camera frame C: x right, y down, z forward, metres. Intrinsics are normalised:
they map to the unit image, u to the right and v down, and the centre of pixel
(row i, column j) lies at u = (j + 0.5) / W, v = (i + 0.5) / H. One matrix so
holds for every size of the same picture.

Level frame W: origin and heading of C, y along gravity. Object frame O: right,
up, forward; yaw 0 faces away from the camera, 90 image-right, 180 the camera.

Functions compute with jax.numpy when an argument is a JAX array, else numpy.
"""

import math
import sys
from typing import Any

import numpy as np

Array = Any  # np.ndarray or jax.Array

# Beyond this |cosine| of view and gravity a heading has no meaning.
HEADING_LIMIT = 0.98


def _namespace(*arrays: Array) -> Any:
  """jax.numpy if any argument is a JAX array, else numpy."""
  jax = sys.modules.get("jax")
  if jax is not None and any(isinstance(a, jax.Array) for a in arrays):
    return jax.numpy
  return np


def _entries(xp, intrinsics: Array, trailing: int) -> tuple[Array, ...]:
  """fx, skew, cx, fy, cy with `trailing` axes of length 1 appended."""
  k = xp.asarray(intrinsics, dtype=xp.float32)
  k = k.reshape(k.shape[:-2] + (1,) * trailing + (3, 3))
  return k[..., 0, 0], k[..., 0, 1], k[..., 0, 2], k[..., 1, 1], k[..., 1, 2]


def pixel_centres(size: tuple[int, int], xp: Any = np) -> tuple[Array, Array]:
  """u f32[W], v f32[H] of the pixels of an image of size (height, width)."""
  height, width = size
  half = xp.float32(0.5)
  u = (xp.arange(width, dtype=xp.float32) + half) / xp.float32(width)
  v = (xp.arange(height, dtype=xp.float32) + half) / xp.float32(height)
  return u, v


def unproject(depth_m: Array, intrinsics: Array) -> Array:
  """Depth map -> points in the camera frame.

  Args:
    depth_m: [..., H, W] z-depth in metres. NaN and inf give NaN or inf points:
      mask them by the depth.
    intrinsics: [..., 3, 3] normalised; its leading axes are those of depth_m.

  Returns:
    f32[..., H, W, 3] metres.

  Source: golden/hispatial_data/FORMAT.md, "Geometry", wild points.
  """
  xp = _namespace(depth_m, intrinsics)
  depth = xp.asarray(depth_m, dtype=xp.float32)
  fx, skew, cx, fy, cy = _entries(xp, intrinsics, trailing=2)
  u, v = pixel_centres(depth.shape[-2:], xp)
  y = (v[:, None] - cy) / fy
  x = (u[None, :] - cx - skew * y) / fx
  with np.errstate(invalid="ignore"):  # 0 * inf on the axis of a sky pixel
    return xp.stack([x * depth, y * depth, depth], axis=-1)


def rays(
  intrinsics: np.ndarray, u: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """x / z and y / z of pixels, as `unproject` has them bit for bit; numpy.

  Args:
    intrinsics: [3, 3] normalised.
    u, v: f32[W], f32[H], where the pixels lie in the unit image.

  Returns:
    x f32[1, W], of a camera with skew f32[H, W], and y f32[H, 1].
  """
  fx, skew, cx, fy, cy = _entries(np, intrinsics, trailing=0)
  y = ((v - cy) / fy)[:, None]
  x = (u - cx)[None] - skew * y if skew else (u - cx)[None]
  return x / fx, y


def project(points: Array, intrinsics: Array) -> Array:
  """Points -> where they appear in the unit image.

  Args:
    points: [..., 3] metres, camera frame; z must not be 0. Points behind the
      camera come out mirrored: test z > 0 before.
    intrinsics: [3, 3] or [B..., 3, 3], B... the first axes of points.

  Returns:
    f32[..., 2]: u right, v down; inside the image within 0..1.
  """
  xp = _namespace(points, intrinsics)
  points = xp.asarray(points, dtype=xp.float32)
  lead = len(np.shape(intrinsics)) - 2
  trailing = points.ndim - 1 - lead if lead else 0
  fx, skew, cx, fy, cy = _entries(xp, intrinsics, trailing)
  x = points[..., 0] / points[..., 2]
  y = points[..., 1] / points[..., 2]
  return xp.stack([fx * x + skew * y + cx, fy * y + cy], axis=-1)


def intrinsics_from_fov(fov_x_rad: Array, fov_y_rad: Array) -> Array:
  """f32[..., 3, 3] normalised intrinsics of a centred camera."""
  xp = _namespace(fov_x_rad, fov_y_rad)
  half_x = xp.asarray(fov_x_rad, dtype=xp.float32) / xp.float32(2)
  half_y = xp.asarray(fov_y_rad, dtype=xp.float32) / xp.float32(2)
  fx = xp.float32(0.5) / xp.tan(half_x)
  fy = xp.float32(0.5) / xp.tan(half_y)
  zero, one = xp.zeros_like(fx), xp.ones_like(fx)
  half = one * xp.float32(0.5)
  rows = [[fx, zero, half], [zero, fy, half], [zero, zero, one]]
  return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)


def fov_from_intrinsics(intrinsics: Array) -> tuple[Array, Array]:
  """Full angles (x, y) in radians that the unit image spans.

  A principal point off the centre counts: the angle is the sum of both sides.
  """
  xp = _namespace(intrinsics)
  k = xp.asarray(intrinsics, dtype=xp.float32)

  def angle(f, c):
    return xp.arctan2(c, f) + xp.arctan2(xp.float32(1) - c, f)

  x = angle(k[..., 0, 0], k[..., 0, 2])
  return x, angle(k[..., 1, 1], k[..., 1, 2])


def nearest_indices(source: int, target: int) -> np.ndarray:
  """i64[target]: the source index of each target index, corner aligned.

  min(floor(i * s), source - 1) with s = 1 / (target / source) in float64. The
  double division is the reference's: for some sizes (72 -> 448) it differs from
  i * source // target.

  Source: golden/hispatial_data/FORMAT.md, "Resize".
  """
  scale = 1.0 / (target / source)
  index = np.floor(np.arange(target, dtype=np.float64) * scale)
  return np.minimum(index.astype(np.int64), source - 1)


def resize_nearest(x: Array, size: tuple[int, int]) -> Array:
  """x[H, W, ...] -> x[h, w, ...] by the reference's nearest neighbour.

  Never blends, so depth edges and masks stay what they are.
  """
  rows = nearest_indices(x.shape[0], size[0])
  columns = nearest_indices(x.shape[1], size[1])
  return x[rows[:, None], columns[None, :]]


def box_corners(centre: Array, size: Array, axes: Array) -> Array:
  """The eight corners of an oriented box.

  Args:
    centre: [..., 3] metres.
    size: [..., 3] full lengths along the box's axes, metres.
    axes: [..., 3, 3]; column k is the unit direction of size[k], in the frame
      of centre. `object_axes` gives those of an object in W.

  Returns:
    f32[..., 8, 3]: bit k of the row number says which end of axis k.
  """
  xp = _namespace(centre, size, axes)
  centre = xp.asarray(centre, dtype=xp.float32)
  size = xp.asarray(size, dtype=xp.float32)
  axes = xp.asarray(axes, dtype=xp.float32)
  bits = (np.arange(8)[:, None] >> np.arange(3)) & 1
  signs = xp.asarray(bits - 0.5, dtype=xp.float32)
  local = signs * size[..., None, :]
  return centre[..., None, :] + xp.einsum("...ij,...nj->...ni", axes, local)


def object_axes(yaw_deg: float) -> np.ndarray:
  """f32[3, 3]: columns right, up, forward in W of an object of that yaw.

  right = forward x up: a left-handed basis.
  Source: data_engine.md section 0, frame O.
  """
  angle = math.radians(yaw_deg)
  sin, cos = math.sin(angle), math.cos(angle)
  columns = [[cos, 0.0, -sin], [0.0, -1.0, 0.0], [sin, 0.0, cos]]
  return np.array(columns, dtype=np.float32).T


def level_frame(down: Array) -> tuple[Array, Array]:
  """The level frame of a camera.

  Args:
    down: [3] direction of gravity in C, any length but 0.

  Returns:
    R_wc f32[3, 3], rows x_w, y_w (down), z_w: P_w = R_wc @ P_c; heading_ok,
    False when the camera looks almost straight up or down: then only heights
    mean something.

  Source: data_engine.md section 0, frame W.
  """
  xp = _namespace(down)
  d = xp.asarray(down, dtype=xp.float32)
  d = d / xp.sqrt(xp.sum(d * d))
  heading_ok = xp.abs(d[2]) <= HEADING_LIMIT
  view = xp.asarray(np.array([0, 0, 1], np.float32))
  image_up = xp.asarray(np.array([0, -1, 0], np.float32))
  f = xp.where(heading_ok, view, image_up)
  z = f - xp.sum(f * d) * d
  z = z / xp.sqrt(xp.sum(z * z))
  return xp.stack([xp.cross(d, z), d, z]), heading_ok


def check_intrinsics(intrinsics: Array) -> None:
  """Refuses what cannot be normalised intrinsics.

  Raises:
    ValueError: one line with all that is wrong.
  """
  k = np.asarray(intrinsics)
  if k.shape != (3, 3):
    raise ValueError(f"intrinsics: expected shape (3, 3), got {k.shape}")
  if not np.isfinite(k).all():
    raise ValueError(f"intrinsics: not finite: {k.tolist()}")
  wrong = []
  fx, fy, cx, cy = k[0, 0], k[1, 1], k[0, 2], k[1, 2]
  if max(fx, fy) > 20 or not (-1 < cx < 2 and -1 < cy < 2):
    wrong.append(
      f"not normalised (fx {fx:g}, fy {fy:g}, cx {cx:g}, cy {cy:g}): divide "
      "the first row by the image's width and the second by its height"
    )
  if min(fx, fy) <= 0:
    wrong.append(f"fx and fy must be positive, got {fx:g} and {fy:g}")
  if k[1, 0] != 0 or not np.allclose(k[2], [0, 0, 1]):
    wrong.append(f"expected [[fx,s,cx],[0,fy,cy],[0,0,1]], got {k.tolist()}")
  if wrong:
    raise ValueError("intrinsics: " + "; ".join(wrong))


def check_depth(depth_m: Array) -> None:
  """Refuses what cannot be metres; 0, NaN (unknown) and inf (sky) may be.

  Raises:
    ValueError: one line with all that is wrong.
  """
  depth = np.asarray(depth_m)
  if depth.ndim != 2 or 0 in depth.shape:
    raise ValueError(f"depth: expected a map [H, W], got shape {depth.shape}")
  if not np.issubdtype(depth.dtype, np.floating):
    raise ValueError(
      f"depth: expected floats in metres, got {depth.dtype}; convert and scale "
      "(most uint16 files hold millimetres: divide by 1000)"
    )
  negative = int((depth < 0).sum())
  if negative:
    raise ValueError(
      f"depth: {negative} of {depth.size} values are negative, the least "
      f"{np.nanmin(depth):g} m; write 0 or NaN where depth is unknown"
    )
