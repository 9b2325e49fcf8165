"""Stacks of convolutions over a pyramid: MoGe-2's neck and its heads.

Maps are [B,H,W,C]. Every 3 x 3 convolution repeats the edge of its map.

Source: golden/moge2/FORMAT.md, section 4.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

ACTIVATIONS = {
  "relu": nn.relu,
  "leaky_relu": lambda x: nn.leaky_relu(x, 0.2),
  "silu": nn.silu,
  "elu": nn.elu,
}
NORMS = ("layer_norm", "group_norm", "instance_norm", "none")
RESAMPLERS = (
  "conv_transpose",
  "bilinear",
  "nearest",
  "pixel_shuffle",
  "pixel_unshuffle",
  "avg_pool",
  "max_pool",
)


def pad_edge(x: jax.Array) -> jax.Array:
  """The map with one more pixel on every side, a copy of its edge."""
  return jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")


class Conv(nn.Module):
  """3 x 3 convolution that keeps the size of the map."""

  features: int
  dtype: str

  @nn.compact
  def __call__(self, x):
    shape = (3, 3, x.shape[-1], self.features)
    kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
    bias = self.param("bias", nn.initializers.zeros, (self.features,))
    y = jax.lax.conv_general_dilated(
      pad_edge(x.astype(self.dtype)),
      kernel.astype(self.dtype),
      (1, 1),
      "VALID",
      dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y + bias.astype(self.dtype)


class ConvTranspose(nn.Module):
  """2 x 2 convolution onto a map of twice the size, no two of them meet."""

  features: int
  dtype: str

  @nn.compact
  def __call__(self, x):
    shape = (2, 2, x.shape[-1], self.features)
    kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
    bias = self.param("bias", nn.initializers.zeros, (self.features,))
    x = x.astype(self.dtype)
    y = jnp.einsum("BHWC,abCF->BHaWbF", x, kernel.astype(self.dtype))
    B, H, _, W, *_ = y.shape
    y = y + bias.astype(self.dtype)
    return y.reshape(B, 2 * H, 2 * W, self.features)


class Norm(nn.Module):
  """Normalises groups of channels over the whole map; float32 inside.

  Attributes:
    kind: "layer_norm" one group, "group_norm" groups of 32 channels,
      "instance_norm" every channel alone and without parameters.
  """

  kind: str

  @nn.compact
  def __call__(self, x):
    B, H, W, C = x.shape
    groups = {"layer_norm": 1, "group_norm": C // 32, "instance_norm": C}
    y = x.astype(jnp.float32).reshape(B, H, W, groups[self.kind], -1)
    mean = jnp.mean(y, axis=(1, 2, 4), keepdims=True)
    var = jnp.mean(jnp.square(y - mean), axis=(1, 2, 4), keepdims=True)
    y = ((y - mean) * jax.lax.rsqrt(var + 1e-5)).reshape(x.shape)
    if self.kind != "instance_norm":
      scale = self.param("scale", nn.initializers.ones, (C,))
      bias = self.param("bias", nn.initializers.zeros, (C,))
      y = y * scale.astype(jnp.float32) + bias.astype(jnp.float32)
    return y.astype(x.dtype)


class ResidualBlock(nn.Module):
  """Norm, activation, convolution, twice, added to the input.

  Attributes:
    features, hidden: channels of the output and between the convolutions.
    in_norm, hidden_norm: one of NORMS.
    activation: one of ACTIVATIONS.
    dtype: of the convolutions.
  """

  features: int
  hidden: int
  in_norm: str
  hidden_norm: str
  activation: str
  dtype: str

  @nn.compact
  def __call__(self, x):
    y = x
    norms = (self.in_norm, self.hidden_norm)
    for i, features in enumerate((self.hidden, self.features)):
      if norms[i] != "none":
        y = Norm(norms[i], name=f"norm_{i}")(y)
      y = ACTIVATIONS[self.activation](y)
      y = Conv(features, self.dtype, name=f"conv_{i}")(y)
    if x.shape[-1] != self.features:
      x = nn.Dense(self.features, dtype=self.dtype, name="skip")(x)
    return x.astype(y.dtype) + y


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
  """From one level of the pyramid to the next; the kind is a RESAMPLERS.

  Parameters carry the number of the layer in the reference, `conv_0` to
  `conv_2`; layers without parameters are counted there, too.
  """

  kind: str
  features: int
  dtype: str

  @nn.compact
  def __call__(self, x):
    def conv(number, features=self.features):
      return Conv(features, self.dtype, name=f"conv_{number}")

    if self.kind == "conv_transpose":
      up = ConvTranspose(self.features, self.dtype, name="conv_0")
      return conv(1)(up(x))
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


class Level(nn.Module):
  """One level: take in its map, residual blocks, give out, go to the next.

  Attributes:
    features: channels.
    has_input: whether the given map passes a 1 x 1 convolution.
    dim_out: channels given out; None gives out the level's own.
    blocks: arguments of its residual blocks.
    resampler: (kind, features) to the next level, None at the last.
    dtype: of convolutions.
  """

  features: int
  has_input: bool
  dim_out: int | None
  blocks: Sequence
  resampler: tuple | None
  dtype: str

  @nn.compact
  def __call__(self, x, given):
    """(map given out, map of the next level or None)."""
    if self.has_input:
      given = nn.Dense(self.features, dtype=self.dtype, name="input")(given)
    x = given if x is None else x + given.astype(x.dtype)
    for j, block in enumerate(self.blocks):
      x = ResidualBlock(**block, dtype=self.dtype, name=f"block_{j}")(x)
    out = x
    if self.dim_out is not None:
      out = nn.Dense(self.dim_out, dtype=self.dtype, name="output")(x)
    if self.resampler is None:
      return out, None
    kind, features = self.resampler
    return out, Resampler(kind, features, self.dtype, name="resampler")(x)


class ConvStack(nn.Module):
  """A pyramid of levels; arguments are those of a checkpoint's config.

  Attributes:
    dim_in, dim_out: channels per level; None: no 1 x 1 convolution there, or
      nowhere.
    dim_res_blocks: channels of the levels.
    resamplers: a kind, or one per step between levels.
    num_res_blocks: a number, or one per level.
    dim_times_res_block_hidden: hidden channels of a block, as a factor.
    res_block_in_norm, res_block_hidden_norm, activation: of the blocks.
    dtype: of convolutions.
  """

  dim_in: Sequence | int | None
  dim_res_blocks: Sequence
  dim_out: Sequence | int | None
  resamplers: Sequence | str
  dim_times_res_block_hidden: int = 1
  num_res_blocks: Sequence | int = 1
  res_block_in_norm: str = "layer_norm"
  res_block_hidden_norm: str = "group_norm"
  activation: str = "relu"
  dtype: str = "float32"

  @nn.compact
  def __call__(self, maps):
    """Passes the maps through all levels.

    Args:
      maps: one [B,H*2^l,W*2^l,dim_in[l]] per level (sizes as the resamplers
        make them).

    Returns:
      One map per level, [B,H*2^l,W*2^l,dim_out[l] or dim_res_blocks[l]].
    """
    dims, x, outputs = self.dim_res_blocks, None, []
    for i, given in enumerate(maps):
      level = Level(
        dims[i],
        _each(self.dim_in, i) is not None,
        _each(self.dim_out, i),
        self._blocks(i),
        _step(self.resamplers, dims, i),
        self.dtype,
        name=f"level_{i}",
      )
      out, x = level(x, given)
      outputs.append(out)
    return outputs

  def _blocks(self, i):
    dim = self.dim_res_blocks[i]
    block = {
      "features": dim,
      "hidden": dim * self.dim_times_res_block_hidden,
      "in_norm": self.res_block_in_norm,
      "hidden_norm": self.res_block_hidden_norm,
      "activation": self.activation,
    }
    return (block,) * _each(self.num_res_blocks, i)


def _each(value, i):
  """Of a value for all levels, or one per level, that of level i."""
  return value if value is None or isinstance(value, int) else value[i]


def _step(resamplers, dims, i):
  if i == len(dims) - 1:
    return None
  kind = resamplers if isinstance(resamplers, str) else resamplers[i]
  return kind, dims[i + 1]
