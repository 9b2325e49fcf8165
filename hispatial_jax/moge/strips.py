"""Work on maps a few rows at a time, so that what is made fits a cache."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def divisor(count: int, most: int) -> int:
  """The largest divisor of `count` up to `most`; at least 1."""
  most = max(most, 1)
  return max(n for n in range(1, count + 1) if count % n == 0 and n <= most)


def join(function: Callable, batch: int, height: int, rows: int) -> jax.Array:
  """Joins strips to maps.

  Args:
    function: (number of the map, first row) -> one strip [r,W,C].
    batch, height: of the maps; strips begin every `rows` rows.
    rows: divides height.

  Returns:
    [B,height / rows * r,W,C].
  """
  count = height // rows

  def strip(i):
    return function(i // count, i % count * rows)

  out = jax.lax.map(strip, jnp.arange(batch * count))
  return out.reshape(batch, count * out.shape[1], *out.shape[2:])


def read(x: jax.Array, number: jax.Array, top: jax.Array, rows: int):
  """Rows top to top + rows of a map, [rows,W,C]."""
  zero = jnp.zeros_like(top)
  size = (1, rows, *x.shape[2:])
  return jax.lax.dynamic_slice(x, (number, top, zero, zero), size)[0]


def read_wider(x: jax.Array, number: jax.Array, top: jax.Array, rows: int):
  """As `read`, with a pixel more on each side: [rows+2,W+2,C].

  Beyond the map's edge is a copy of the edge.
  """
  above = read(x, number, jnp.maximum(top - 1, 0), 1)
  below = read(x, number, jnp.minimum(top + rows, x.shape[1] - 1), 1)
  part = jnp.concatenate([above, read(x, number, top, rows), below])
  return jnp.concatenate([part[:, :1], part, part[:, -1:]], axis=1)
