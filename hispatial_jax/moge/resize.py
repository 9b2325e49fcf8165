"""Resizing as matrices: one [n_out, n_in] per axis, made on the host.

The reference mixes four kinds of resize, and `jax.image.resize` has only one of
them exactly. A matrix per axis is small, exact and the same on every device.

Source: golden/moge2/FORMAT.md, sections 3, 4 and 6.
"""

import numpy as np


def token_grid(height: int, width: int, num_tokens: int) -> tuple[int, int]:
  """(rows, columns) of about `num_tokens` patches in the image's aspect.

  Halves are rounded to the even neighbour, as Python does.
  """
  aspect = width / height
  rows = round((num_tokens / aspect) ** 0.5)
  columns = round((num_tokens * aspect) ** 0.5)
  if not rows or not columns:
    raise ValueError(
      f"an image of {height} x {width} has no patch at num_tokens "
      f"{num_tokens}; raise num_tokens or crop the image"
    )
  return rows, columns


def antialias_matrix(n_in: int, n_out: int) -> np.ndarray:
  """f32[n_out, n_in]: triangle filter, widened when the image shrinks."""
  step = n_in / n_out
  return _filtered(n_in, n_out, step, _triangle, 1.0)


def bilinear_matrix(n_in: int, n_out: int) -> np.ndarray:
  """f32[n_out, n_in]: two taps whatever the size, clamped at the borders."""
  at = np.maximum((np.arange(n_out) + 0.5) * (n_in / n_out) - 0.5, 0.0)
  low = np.minimum(np.floor(at).astype(int), n_in - 1)
  high = np.minimum(low + 1, n_in - 1)
  matrix = np.zeros((n_out, n_in))
  rows = np.arange(n_out)
  np.add.at(matrix, (rows, low), 1.0 - (at - low))
  np.add.at(matrix, (rows, high), at - low)
  return matrix.astype(np.float32)


def position_matrix(
  table_side: int, n: int, offset: float = 0.1, antialias: bool = False
) -> np.ndarray:
  """f32[n, table_side]: how an axis of the position table is resized.

  Cubic convolution with a = -0.75, four taps, clamped at the borders. The
  source coordinate is (i + 0.5) * table_side / (n + offset) - 0.5: DINOv2 was
  trained with that offset, so it is part of the model.

  Args:
    table_side: rows (or columns) of the stored table.
    n: rows (or columns) of patches.
    offset: of the backbone, `interpolate_offset`.
    antialias: `interpolate_antialias`, set in backbones with registers; there
      a = -0.5, the filter widens and border weights are normalised.
  """
  step = table_side / (n + offset)
  if antialias:
    return _filtered(table_side, n, step, lambda x: _cubic(x, -0.5), 2.0)
  at = (np.arange(n) + 0.5) * step - 0.5
  first = np.floor(at).astype(int) - 1
  matrix, rows = np.zeros((n, table_side)), np.arange(n)
  for tap in range(4):
    weight = _cubic(at - (first + tap), -0.75)
    np.add.at(matrix, (rows, np.clip(first + tap, 0, table_side - 1)), weight)
  return matrix.astype(np.float32)


def nearest_index(n_in: int, n_out: int) -> np.ndarray:
  """i32[n_out]: floor(i * n_in / n_out), counted in float32 as torch does."""
  step = np.float32(n_in / n_out)
  index = np.floor(np.arange(n_out, dtype=np.float32) * step)
  return np.minimum(index, n_in - 1).astype(np.int32)


def _filtered(n_in, n_out, step, kernel, radius) -> np.ndarray:
  """Each output averages the inputs under a kernel widened by the step."""
  wide = max(step, 1.0)
  centre = (np.arange(n_out) + 0.5) * step
  first = np.maximum((centre - radius * wide + 0.5).astype(int), 0)
  last = np.minimum((centre + radius * wide + 0.5).astype(int), n_in)
  at = np.arange(n_in)
  inside = (at >= first[:, None]) & (at < last[:, None])
  weight = kernel((at + 0.5 - centre[:, None]) / wide) * inside
  return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)


def _triangle(x):
  return np.maximum(1.0 - np.abs(x), 0.0)


def _cubic(x, a):
  """Keys' cubic convolution kernel."""
  x = np.abs(x)
  near = ((a + 2) * x - (a + 3)) * x * x + 1
  far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
  return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
