"""Stacks of convolutions over a pyramid: MoGe-2's neck and its heads.

Source: golden/moge2/FORMAT.md, section 4.
"""

from collections.abc import Sequence

import flax.linen as nn

from hispatial_jax.moge import layers, linear, resample


class Level(nn.Module):
  """One level: take in its map, residual blocks, give out, go to the next.

  Attributes:
    features: channels.
    has_input: whether the given map passes a 1 x 1 convolution.
    dim_out: channels given out; None gives out the level's own.
    blocks: arguments of its residual blocks.
    resampler: arguments of the step to the next level, None at the last.
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
    if isinstance(given, linear.Linear) and not isinstance(x, linear.Linear):
      given = given.map()
    if isinstance(x, linear.Linear) and not isinstance(given, linear.Linear):
      given = linear.of_map(given)
    if self.has_input:
      given = layers.Dense(self.features, self.dtype, name="input")(given)
    if isinstance(x, linear.Linear):
      x = x.plus(given)
    else:
      x = given if x is None else x + given.astype(x.dtype)
    for j, block in enumerate(self.blocks):
      x = layers.ResidualBlock(**block, dtype=self.dtype, name=f"block_{j}")(x)
    out = x
    if self.dim_out is not None:
      out = layers.Dense(self.dim_out, self.dtype, name="output")(x)
    if self.resampler is None:
      return out, None
    step = resample.Resampler(*self.resampler, name="resampler")
    return out, step(x)


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
      One map per level, [B,H*2^l,W*2^l,dim_out[l] or dim_res_blocks[l]]; the
      last may be a `linear.Linear`.
    """
    dims, x, outputs = self.dim_res_blocks, None, []
    for i, given in enumerate(maps):
      level = Level(
        dims[i],
        _each(self.dim_in, i) is not None,
        _each(self.dim_out, i),
        self._blocks(i),
        self._step(i),
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

  def _step(self, i):
    """Arguments of the resampler from level i to the next."""
    last = len(self.dim_res_blocks) - 1
    if i == last:
      return None
    kinds = self.resamplers
    kind = kinds if isinstance(kinds, str) else kinds[i]
    # Without blocks, and so without relu, the last level is linear.
    as_linear = kind == "bilinear" and i == last - 1
    as_linear &= _each(self.num_res_blocks, last) == 0
    return kind, self.dim_res_blocks[i + 1], self.dtype, as_linear


def _each(value, i):
  """Of a value for all levels, or one per level, that of level i."""
  return value if value is None or isinstance(value, int) else value[i]


def as_map(x):
  """The map itself, of a map or of a `linear.Linear`."""
  return x.map() if isinstance(x, linear.Linear) else x
