"""Maps that are not computed because all that follows them is linear.

After the last relu a stack doubles its map, convolves it (3 x 3), adds what it
is given through a 1 x 1 convolution, and gives out three channels through
another. The neck does the same before it. Step by step that is a fifth of the
network's work, and its maps are the largest: 64 channels at full size.

The kernels of all these steps are one kernel, which follows from the parameters
and gives three channels. It is applied before doubling: nine products a pixel
of the smaller map, one for each place of the kernel. Then nine maps of three
channels are doubled, shifted and added, which is two small steps, one an axis.
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from hispatial_jax.moge import strips

# Numbers of a doubled map in a strip on a CPU, so that a cache holds the nine.
_CPU_STRIP = 2**18
# Of pixel a of a doubled map: its neighbours k - 1 in the doubled map as shares
# of pixels t - 1 of the small one. [2 a, 3 t, 3 k]; edges repeat in both.
_SHARES = (
  np.array(
    [
      [[3, 1, 0], [1, 3, 3], [0, 0, 1]],
      [[1, 0, 0], [3, 3, 1], [0, 1, 3]],
    ],
    np.float32,
  )
  / 4
)


@dataclasses.dataclass(frozen=True)
class Linear:
  """A map [B,2H,2W,F] as sums over smaller maps; float32 coefficients.

  Attributes:
    doubled: [(x [B,H,W,C], kernel f32[3,3,C,F])]: the map is doubled, then
      convolved.
    points: [(x [B,2H,2W,G], matrix f32[G,F])].
    bias: f32[F], or 0.
  """

  doubled: Sequence
  points: Sequence
  bias: jax.Array | float = 0.0

  @property
  def features(self) -> int:
    """Channels, F."""
    terms = [*self.doubled, *self.points]
    return terms[0][1].shape[-1]

  def dense(self, kernel: jax.Array, bias: jax.Array) -> "Linear":
    """After a 1 x 1 convolution; kernel [F,O], bias [O]."""
    kernel, bias = kernel.astype(jnp.float32), bias.astype(jnp.float32)

    def after(x):
      return jnp.matmul(x, kernel, precision="highest")

    old = self.bias if isinstance(self.bias, float) else after(self.bias)
    return Linear(
      [(x, after(k)) for x, k in self.doubled],
      [(x, after(m)) for x, m in self.points],
      old + bias,
    )

  def plus(self, other: "Linear") -> "Linear":
    """The sum of both maps."""
    return Linear(
      [*self.doubled, *other.doubled],
      [*self.points, *other.points],
      self.bias + other.bias,
    )

  def map(self) -> jax.Array:
    """The map itself, f32[B,2H,2W,F]."""
    if not self.doubled:
      y = [_product(x, matrix) for x, matrix in self.points]
      return sum(y) + self.bias
    return jax.lax.platform_dependent(
      self.doubled,
      self.points,
      self.bias,
      cpu=functools.partial(in_strips, _CPU_STRIP),
      default=functools.partial(in_strips, None),
    )


def of_map(x: jax.Array) -> Linear:
  """A map that is there, as a Linear."""
  return Linear([], [(x, jnp.eye(x.shape[-1], dtype=jnp.float32))])


def doubled(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> Linear:
  """The map doubled bilinearly, then convolved.

  Args:
    x: [B,H,W,C].
    kernel: [3,3,C,F]; its edges repeat.
    bias: [F].
  """
  return Linear([(x, kernel.astype(jnp.float32))], [], bias.astype(jnp.float32))


def in_strips(numbers, doubled, points, bias) -> jax.Array:
  """The map that `Linear` describes, in strips of so many numbers of x.

  None: an image at a time.
  """
  B, H, W, C = doubled[0][0].shape
  rows = H if numbers is None else strips.divisor(H, numbers // (W * C))

  def strip(number, top):
    seen = 0.0
    for x, kernel in doubled:
      part = strips.read_wider(x, number, top, rows)
      kernel = kernel.transpose(0, 1, 3, 2).astype(x.dtype)
      seen = seen + _contract(kernel, part)
    y = _double(seen)
    for x, matrix in points:
      y = y + _product(strips.read(x, number, 2 * top, 2 * rows), matrix)
    return y + bias

  return strips.join(strip, B, H, rows)


def _contract(kernel, x):
  """[3,3,F,C] and [h,w,C] -> f32[3,3,F,h,w]: channels are the slow axis."""
  return jax.lax.dot_general(
    kernel, x, (((3,), (2,)), ((), ())), preferred_element_type=jnp.float32
  )


def _product(x, matrix):
  return jnp.matmul(x.astype(jnp.float32), matrix, precision="highest")


def _double(seen):
  """f32[3,3,F,h+2,w+2], what each place of the kernel sees -> f32[2h,2w,F]."""
  rows = _phases(seen, axis=2)  # 2 of [3,F,h,w+2]
  pixels = [_phases(row, axis=2) for row in rows]  # 2 x 2 of [F,h,w]
  y = jnp.stack([jnp.stack(row, axis=-1) for row in pixels], axis=2)
  F, h, _, w, _ = y.shape
  return y.reshape(F, 2 * h, 2 * w).transpose(1, 2, 0)


def _phases(seen, axis):
  """Both pixels of each cell along an axis; [3,...], n + 2 long -> n."""
  size = seen.shape[axis + 1] - 2
  out = []
  for shares in _SHARES:
    terms = [
      float(share) * jax.lax.slice_in_dim(seen[k], t, t + size, axis=axis)
      for t in range(3)
      for k, share in enumerate(shares[t])
      if share
    ]
    out.append(sum(terms[1:], terms[0]))
  return out
