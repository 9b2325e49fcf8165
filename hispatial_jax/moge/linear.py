"""Maps that are not computed because all that follows them is linear.

After the last relu a stack doubles its map, convolves it (3 x 3), adds what it
is given through a 1 x 1 convolution, and gives out three channels through
another. The neck does the same before it. All of it is one 3 x 3 convolution of
the smaller maps, whose kernel follows from the parameters: no map with many
channels at full size is made, which is where most of the memory would go.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from hispatial_jax.moge import conv

# Of pixel a of a doubled map: its neighbours k - 1 in the doubled map as shares
# of pixels t - 1 of the small one. [2 a, 3 k, 3 t]; edges repeat in both.
_SHARES = np.array(
  [
    [[0.75, 0.25, 0.0], [0.25, 0.75, 0.0], [0.0, 0.75, 0.25]],
    [[0.25, 0.75, 0.0], [0.0, 0.75, 0.25], [0.0, 0.25, 0.75]],
  ],
  np.float32,
)


@dataclasses.dataclass(frozen=True)
class Linear:
  """A map [B,2H,2W,F] as sums over smaller maps; float32 coefficients.

  Attributes:
    doubled: [(x [B,H,W,C], kernel f32[3,3,C,2,2,F])], what a pixel of the small
      map and its neighbours give to the cell of 2 x 2 pixels.
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
    y = self.bias
    for x, kernel in self.doubled:
      *size, F = kernel.shape
      cells = kernel.reshape(*size[:3], 4 * F).astype(x.dtype)
      small = conv.conv3x3(x, cells, jnp.float32)
      B, H, W, _ = small.shape
      small = small.reshape(B, H, W, 2, 2, F).transpose(0, 1, 3, 2, 4, 5)
      y = y + small.reshape(B, 2 * H, 2 * W, F)
    for x, matrix in self.points:
      x = x.astype(jnp.float32)
      y = y + jnp.matmul(x, matrix, precision="highest")
    return y


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
  kernel = kernel.astype(jnp.float32)
  kernel = jnp.einsum(
    "akt,bls,klCF->tsCabF", _SHARES, _SHARES, kernel, precision="highest"
  )
  return Linear([(x, kernel)], [], bias.astype(jnp.float32))
