"""How a picture of any size lies on the canvas of a compiled program.

A canvas is a bucket's height and width; a picture fills its upper left corner,
the rest is zero. Resizing is two matrix products, whose matrices know the
picture's own size: they are arguments, so one program serves all sizes.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hispatial_jax.core import geometry
from hispatial_jax.moge import dinov2, model, resize

_CANVAS = 64


class Bucket(NamedTuple):
  """Pictures with equal ones can share a batch, and its programs.

  Attributes:
    rows, columns: the token grid.
    height, width: of the canvas, pixels.
  """

  rows: int
  columns: int
  height: int
  width: int


class Frame(NamedTuple):
  """The sizes of a batch of pictures, as arrays.

  Attributes:
    rows_in, columns_in: f32[B,14r,H], f32[B,14c,W]: picture to network.
    rows_out, columns_out: f32[B,H,16r], f32[B,W,16c]: network to picture.
    size: i32[B,2], height and width in pixels.
    aspect: f32[B], width / height.
  """

  rows_in: Any
  columns_in: Any
  rows_out: Any
  columns_out: Any
  size: Any
  aspect: Any


def bucket(size: tuple[int, int], num_tokens: int) -> Bucket:
  """The bucket of a picture of size (height, width).

  Raises:
    ValueError: the picture is empty, or too thin for its tokens.
  """
  height, width = size
  if min(size) < 1:
    raise ValueError(f"picture is empty: {width}x{height}")
  rows, columns = resize.token_grid(height, width, num_tokens)
  canvas = [-(-side // _CANVAS) * _CANVAS for side in size]
  return Bucket(rows, columns, *canvas)


def frame(sizes: Sequence[tuple[int, int]], into: Bucket) -> Frame:
  """The frame of pictures of these sizes (height, width); numpy arrays."""
  parts = zip(*(_matrices(tuple(size), into) for size in sizes), strict=True)
  matrices = [np.stack(part) for part in parts]
  aspect = np.array([w / h for h, w in sizes], np.float32)
  return Frame(*matrices, np.array(sizes, np.int32), aspect)


def check(image: np.ndarray) -> None:
  """Raises ValueError unless a picture is u8[H,W,3] or floats."""
  good = image.dtype == np.uint8 or np.issubdtype(image.dtype, np.floating)
  if image.ndim != 3 or image.shape[2] != 3 or not good:
    raise ValueError(
      f"picture is {image.dtype}{list(image.shape)}, expected uint8[H,W,3] RGB "
      "or floats in [0, 1]"
    )


def cameras(
  fov_x_deg, intrinsics, sizes: Sequence[tuple[int, int]]
) -> np.ndarray | None:
  """f32[B,3,3] normalised, where something is known of the cameras; else None.

  Args:
    fov_x_deg: None, one horizontal field of view, or one a picture.
    intrinsics: None, one matrix, or one a picture.
    sizes: (height, width) of each picture.

  Raises:
    ValueError: both are given, or what is given is no camera's.
  """
  if fov_x_deg is not None and intrinsics is not None:
    raise ValueError("give fov_x_deg or intrinsics, not both")
  if fov_x_deg is not None:
    fov = np.broadcast_to(np.asarray(fov_x_deg, np.float64), len(sizes))
    if not ((fov > 0) & (fov < 180)).all():
      raise ValueError(f"fov_x_deg {fov_x_deg} is not between 0 and 180")
    aspect = np.array([w / h for h, w in sizes])
    fov_y = 2 * np.arctan(np.tan(np.radians(fov) / 2) / aspect)
    return geometry.intrinsics_from_fov(np.radians(fov), fov_y)
  if intrinsics is None:
    return None
  given = np.asarray(intrinsics, np.float32)
  known = np.broadcast_to(given, (len(sizes), *given.shape[-2:]))
  for matrix in known:
    geometry.check_intrinsics(matrix)
  return known


@functools.lru_cache(maxsize=64)
def _matrices(size, into):
  """rows_in, columns_in, rows_out, columns_out of one picture."""
  tokens, canvas = into[:2], into[2:]
  inward, outward = [], []
  for side, count, room in zip(size, tokens, canvas, strict=True):
    shrink = resize.antialias_matrix(side, dinov2.PATCH * count)
    inward.append(np.pad(shrink, ((0, 0), (0, room - side))))
    grow = resize.bilinear_matrix(model.OUT * count, side)
    outward.append(np.pad(grow, ((0, room - side), (0, 0))))
  return (*inward, *outward)


@jax.jit
def resize_in(canvas: jax.Array, frame: Frame) -> jax.Array:
  """u8[B,H,W,3], or floats in [0,1] -> f32[B,14r,14c,3], normalised."""
  x = canvas.astype(jnp.float32)
  if jnp.issubdtype(canvas.dtype, jnp.integer):
    x = x / 255
  x = _apply(x, frame.rows_in, frame.columns_in)
  mean = np.array(model.IMAGE_MEAN, np.float32)
  std = np.array(model.IMAGE_STD, np.float32)
  return (x - mean) / std


def resize_out(x: jax.Array, frame: Frame) -> jax.Array:
  """f32[B,16r,16c,C] -> f32[B,H,W,C]; 0 outside the picture."""
  return _apply(x, frame.rows_out, frame.columns_out)


def inside(frame: Frame) -> jax.Array:
  """bool[B,H,W]: the pixels of the picture."""
  H, W = frame.rows_out.shape[1], frame.columns_out.shape[1]
  rows = jnp.arange(H) < frame.size[:, :1]
  columns = jnp.arange(W) < frame.size[:, 1:]
  return rows[:, :, None] & columns[:, None, :]


def pixel_centres(frame: Frame) -> tuple[jax.Array, jax.Array]:
  """u f32[B,W] and v f32[B,H] in the unit image; beyond 1 outside it."""
  H, W = frame.rows_out.shape[1], frame.columns_out.shape[1]
  size = frame.size.astype(jnp.float32)
  u = (jnp.arange(W, dtype=jnp.float32) + 0.5) / size[:, 1:]
  v = (jnp.arange(H, dtype=jnp.float32) + 0.5) / size[:, :1]
  return u, v


def _apply(x, rows, columns):
  """Resizes rows, then columns, in full float32 on every backend."""
  x = jnp.einsum("BhH,BHWC->BhWC", rows, x, precision="highest")
  return jnp.einsum("BwW,BhWC->BhwC", columns, x, precision="highest")
