"""3 x 3 convolution with repeated edges, fast on accelerators and on CPUs.

XLA's convolution is the right one on a TPU or GPU. On a CPU it reaches a third
of what its matrix product does, so there Winograd's way is taken: a cell of 2 x
2 outputs sees 4 x 4 inputs, and in a transformed space that is 16 products
instead of 36. Each of the 16 is a matrix product over channels. The transforms
cost traffic of memory, hence a few rows at a time, as many as a cache holds.

Both ways are equally exact in float32: to 1e-6 of the largest value.

Source: Lavin and Gray, arXiv 1509.09308: F(2 x 2, 3 x 3).
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from hispatial_jax.moge import strips

# Numbers of the map in a strip; transformed, in and out, they fill 2 MB.
_STRIP = 2**16
# What transforms a kernel, along each axis.
_KERNEL = np.array(
  [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32
)


def conv3x3(
  x: jax.Array,
  kernel: jax.Array,
  bias: jax.Array,
  *,
  activation: Callable | None = None,
  residual: jax.Array | None = None,
) -> jax.Array:
  """residual + bias + convolution of activation(x); a map keeps its size.

  Args:
    x: [B,H,W,C].
    kernel: [3,3,C,F].
    bias: [F].
    activation: elementwise; None: none.
    residual: [B,H,W,F]; None: none. All of x's dtype.

  Returns:
    [B,H,W,F] in x's dtype.
  """
  return jax.lax.platform_dependent(
    x,
    kernel,
    bias,
    residual,
    cpu=functools.partial(winograd, activation),
    default=functools.partial(convolve, activation),
  )


def convolve(activation, x, kernel, bias, residual=None) -> jax.Array:
  """`conv3x3` as XLA does it."""
  x = activation(x) if activation else x
  y = jax.lax.conv_general_dilated(
    jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge"),
    kernel,
    (1, 1),
    "VALID",
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  )
  y = y + bias
  return y if residual is None else residual + y


def winograd(activation, x, kernel, bias, residual=None) -> jax.Array:
  """`conv3x3` in strips of cells, float32 inside."""
  B, H, W, C = x.shape
  F = kernel.shape[-1]
  if H % 2 or W % 2:
    # An edge more on odd sides, cut off in the end, makes whole cells.
    even = ((0, 0), (0, H % 2), (0, W % 2), (0, 0))
    x = jnp.pad(x, even, mode="edge")
    residual = None if residual is None else jnp.pad(residual, even)
    return winograd(activation, x, kernel, bias, residual)[:, :H, :W]
  rows = 2 * strips.divisor(H // 2, _STRIP // (2 * W * C))
  bias, kernel = bias.astype(jnp.float32), kernel.astype(jnp.float32)
  kernel = jnp.einsum(
    "ai,bj,ijCF->abCF", _KERNEL, _KERNEL, kernel, precision="highest"
  ).reshape(16, C, F)

  def strip(number, top):
    part = strips.read_wider(x, number, top, rows)
    part = activation(part) if activation else part
    part = jax.lax.optimization_barrier(part.astype(jnp.float32))
    y = _cells(part, kernel) + bias
    if residual is not None:
      part = strips.read(residual, number, top, rows)
      y = part.astype(jnp.float32) + y
    return y.astype(x.dtype)

  return strips.join(strip, B, H, rows)


def _cells(x, kernel):
  """[2h+2,2w+2,C] -> [2h,2w,F], the kernel being transformed, [16,C,F]."""
  h, w = (side // 2 - 1 for side in x.shape[:2])
  rows = [
    _inward([x[i : i + 2 * h - 1 : 2, j : j + 2 * w - 1 : 2] for j in range(4)])
    for i in range(4)
  ]
  columns = [_inward([row[j] for row in rows]) for j in range(4)]
  x = jnp.stack([columns[j][i] for i in range(4) for j in range(4)])
  y = jax.lax.dot_general(
    x.reshape(16, h * w, -1), kernel, (((2,), (1,)), ((0,), (0,)))
  ).reshape(4, 4, h, w, -1)
  columns = [_outward([y[i, j] for i in range(4)]) for j in range(4)]
  rows = [_outward([column[i] for column in columns]) for i in range(2)]
  out = jnp.stack([jnp.stack(row, axis=2) for row in rows], axis=1)
  return out.reshape(2 * h, 2 * w, -1)


def _inward(d):
  return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]


def _outward(m):
  return [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]
