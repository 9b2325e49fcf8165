"""Stacks of convolutions over a pyramid: MoGe-2's neck and its heads.

Source: golden/moge2/FORMAT.md, section 4.
"""

from collections.abc import Sequence

import flax.linen as nn

from hispatial_jax.moge import layers, resample


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
      x = layers.ResidualBlock(**block, dtype=self.dtype, name=f"block_{j}")(x)
    out = x
    if self.dim_out is not None:
      out = nn.Dense(self.dim_out, dtype=self.dtype, name="output")(x)
    if self.resampler is None:
      return out, None
    kind, features = self.resampler
    return out, resample.Resampler(
      kind, features, self.dtype, name="resampler"
    )(x)


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
