"""From a map to one of twice, or half, its size.

Source: golden/moge2/FORMAT.md, section 4.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from hispatial_jax.moge import layers

KINDS = (
  "conv_transpose",
  "bilinear",
  "nearest",
  "pixel_shuffle",
  "pixel_unshuffle",
  "avg_pool",
  "max_pool",
)


def double_bilinear(x: jax.Array) -> jax.Array:
  """[B,H,W,C] -> [B,2H,2W,C], linear between pixel centres, edges repeated."""
  for axis in (1, 2):
    size = x.shape[axis]
    before = jnp.concatenate(
      [_part(x, axis, 0, 1), _part(x, axis, 0, size - 1)], axis
    )
    after = jnp.concatenate(
      [_part(x, axis, 1, size), _part(x, axis, size - 1, size)], axis
    )
    both = [0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after]
    x = _interleave(both, axis)
  return x


def _part(x, axis, start, stop):
  return jax.lax.slice_in_dim(x, start, stop, axis=axis)


def _interleave(both, axis):
  shape = list(both[0].shape)
  shape[axis] *= 2
  return jnp.stack(both, axis=axis + 1).reshape(shape)


def shuffle_pixels(x: jax.Array) -> jax.Array:
  """[B,H,W,4C] -> [B,2H,2W,C]; channel 4c + 2a + b goes to pixel (a, b)."""
  B, H, W, C = x.shape
  x = x.reshape(B, H, W, C // 4, 2, 2).transpose(0, 1, 4, 2, 5, 3)
  return x.reshape(B, 2 * H, 2 * W, C // 4)


def unshuffle_pixels(x: jax.Array) -> jax.Array:
  """The inverse of `shuffle_pixels`."""
  B, H, W, C = x.shape
  x = _cells(x).transpose(0, 1, 3, 5, 2, 4)
  return x.reshape(B, H // 2, W // 2, 4 * C)


def _cells(x):
  """[B,H/2,2,W/2,2,C]: the map cut into cells of 2 x 2."""
  B, H, W, C = x.shape
  return x.reshape(B, H // 2, 2, W // 2, 2, C)


class Resampler(nn.Module):
  """From one level of the pyramid to the next; the kind is one of KINDS.

  Parameters carry the number of the layer in the reference, `conv_0` to
  `conv_2`; layers without parameters are counted there, too.

  Attributes:
    kind, features, dtype: of the step.
    as_linear: give a `linear.Linear`; kind "bilinear" only.
  """

  kind: str
  features: int
  dtype: str
  as_linear: bool = False

  @nn.compact
  def __call__(self, x):
    def conv(number, features=self.features):
      return layers.Conv(features, self.dtype, name=f"conv_{number}")

    if self.kind == "conv_transpose":
      up = layers.ConvTranspose(self.features, self.dtype, name="conv_0")
      return conv(1)(up(x))
    if self.as_linear:
      assert self.kind == "bilinear"
      step = layers.Conv(self.features, self.dtype, True, name="conv_1")
      return step(x)
    if self.kind == "bilinear":
      return conv(1)(double_bilinear(x))
    if self.kind == "nearest":
      return conv(1)(jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2))
    if self.kind == "pixel_shuffle":
      return conv(2)(shuffle_pixels(conv(0, 4 * self.features)(x)))
    if self.kind == "pixel_unshuffle":
      return conv(1)(unshuffle_pixels(x))
    pool = {"avg_pool": jnp.mean, "max_pool": jnp.max}[self.kind]
    x = conv(0)(x)
    x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
    return pool(_cells(x), axis=(2, 4))
