"""DINOv2 vision transformer: tokens of some blocks, and the class token.

Axis letters: B batch, T tokens, D width, R rows of
patches, C columns of patches.

Source: DINOv2 (arXiv 2304.07193); names and arithmetic as
golden/moge2/FORMAT.md, section 3.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hispatial_jax.moge import attention, resize

PATCH = 14


def fit_positions(
  table: jax.Array, grid: tuple[int, int], offset: float, antialias: bool
) -> jax.Array:
  """The position table, fitted to a grid of patches.

  Args:
    table: f32[1,1+side*side,D], class token first, then a square, row-major.
    grid: (R, C).
    offset, antialias: see `resize.position_matrix`.

  Returns:
    f32[1,1+R*C,D]; the table itself if the grid is its own.
  """
  side = math.isqrt(table.shape[1] - 1)
  if tuple(grid) == (side, side):
    return table
  rows, columns = (
    resize.position_matrix(side, n, offset, antialias) for n in grid
  )
  old = table[0, 1:].reshape(side, side, -1)
  new = jnp.einsum("Ri,Cj,ijD->RCD", rows, columns, old, precision="highest")
  new = new.reshape(1, -1, table.shape[2])
  return jnp.concatenate([table[:, :1], new], axis=1)


class LayerNorm(nn.Module):
  """Layer norm with eps 1e-6; float32 in and out."""

  @nn.compact
  def __call__(self, x):
    D = x.shape[-1]
    scale = self.param("scale", nn.initializers.ones, (D,))
    bias = self.param("bias", nn.initializers.zeros, (D,))
    mean = jnp.mean(x, axis=-1, keepdims=True)
    var = jnp.mean(jnp.square(x - mean), axis=-1, keepdims=True)
    y = (x - mean) * jax.lax.rsqrt(var + 1e-6)
    return y * scale.astype(jnp.float32) + bias.astype(jnp.float32)


class LayerScale(nn.Module):
  """A learned factor per channel; gives float32."""

  @nn.compact
  def __call__(self, x):
    gamma = self.param("gamma", nn.initializers.ones, (x.shape[-1],))
    return x.astype(jnp.float32) * gamma.astype(jnp.float32)


class Attention(nn.Module):
  """Queries, keys and values from one matrix of 3 * D columns."""

  num_heads: int
  dtype: str

  @nn.compact
  def __call__(self, x):
    B, T, D = x.shape
    qkv = nn.Dense(3 * D, dtype=self.dtype, name="qkv")(x)
    qkv = qkv.reshape(B, T, 3, self.num_heads, D // self.num_heads)
    q, k, v = qkv.transpose(2, 0, 3, 1, 4)
    out = attention.attend(q, k, v).transpose(0, 2, 1, 3).reshape(B, T, D)
    return nn.Dense(D, dtype=self.dtype, name="proj")(out)


class MLP(nn.Module):
  """Two dense layers, the exact (erf) gelu between."""

  hidden: int
  dtype: str

  @nn.compact
  def __call__(self, x):
    hidden = nn.Dense(self.hidden, dtype=self.dtype, name="fc1")(x)
    y = hidden.astype(jnp.float32)
    y = 0.5 * y * (1.0 + jax.lax.erf(y * math.sqrt(0.5)))
    return nn.Dense(x.shape[-1], dtype=self.dtype, name="fc2")(
      y.astype(hidden.dtype)
    )


class Block(nn.Module):
  """Pre-norm block; writes its output where its tap is kept.

  Tokens stay float32 between blocks, so that bfloat16 matmuls do not round the
  sum of all blocks again and again.
  """

  num_heads: int
  hidden: int
  dtype: str

  @nn.compact
  def __call__(self, carry, slot):
    x, taps = carry
    y = LayerNorm(name="norm1")(x)
    y = Attention(self.num_heads, self.dtype, name="attn")(y)
    x = x + LayerScale(name="ls1")(y)
    y = MLP(self.hidden, self.dtype, name="mlp")(LayerNorm(name="norm2")(x))
    x = x + LayerScale(name="ls2")(y)
    return (x, taps.at[slot].set(x, mode="drop")), None


class Backbone(nn.Module):
  """Image -> normalised tokens of the tapped blocks.

  Attributes:
    embed_dim, depth, num_heads, mlp_ratio: of the transformer.
    img_size: pixels of a side that the position table was made for.
    num_register_tokens: tokens between the class token and the patches.
    interpolate_antialias, interpolate_offset: see `resize.position_matrix`.
    dtype: of matmuls.
  """

  embed_dim: int
  depth: int
  num_heads: int
  mlp_ratio: float = 4
  img_size: int = 518
  num_register_tokens: int = 0
  interpolate_antialias: bool = False
  interpolate_offset: float = 0.1
  dtype: str = "float32"

  @nn.compact
  def __call__(self, image, taps):
    """Encodes a batch of images.

    Args:
      image: f32[B,14R,14C,3], ImageNet-normalised.
      taps: increasing indices of blocks.

    Returns:
      (list of f32[B,R,C,D], one per tap, f32[B,D] class token of the last
      tap), all through the same final norm.
    """
    x, grid = self._tokens(image)
    slots = np.searchsorted(taps, np.arange(self.depth))
    kept = jnp.zeros((len(taps), *x.shape), jnp.float32)
    blocks = nn.scan(
      Block,
      variable_axes={"params": 0},
      split_rngs={"params": True},
      length=self.depth,
    )
    hidden = int(self.embed_dim * self.mlp_ratio)
    # A slot is written by all blocks up to its tap; the tap comes last.
    (_, kept), _ = blocks(self.num_heads, hidden, self.dtype, name="blocks")(
      (x, kept), jnp.asarray(slots, jnp.int32)
    )
    self.sow("intermediates", "taps_prenorm", kept)
    norm = LayerNorm(name="norm")
    patches = kept[:, :, 1 + self.num_register_tokens :]
    shape = (len(x), *grid, self.embed_dim)
    return [norm(tap).reshape(shape) for tap in patches], norm(kept[-1, :, 0])

  def _tokens(self, image):
    """(f32[B,1+registers+R*C,D] class token first, (R, C))."""
    D = self.embed_dim
    x = nn.Conv(
      D, (PATCH,) * 2, (PATCH,) * 2, "VALID", dtype=self.dtype, name="embedding"
    )(image)
    B, *grid, _ = x.shape
    x = x.reshape(B, -1, D).astype(jnp.float32)
    self.sow("intermediates", "patch_embed", x)
    normal, zeros = nn.initializers.normal(0.02), nn.initializers.zeros
    first = self.param("cls_token", normal, (1, 1, D)).astype(jnp.float32)
    # Part of every checkpoint, though only DINOv2's own training uses it.
    self.param("mask_token", zeros, (1, D))
    positions = self._positions(tuple(grid), normal)
    self.sow("intermediates", "pos_embed", positions)
    first = jnp.broadcast_to(first, (B, 1, D)) + positions[:, :1]
    parts = [first, x + positions[:, 1:]]
    if self.num_register_tokens:
      shape = (1, self.num_register_tokens, D)
      extra = self.param("register_tokens", zeros, shape).astype(jnp.float32)
      parts.insert(1, jnp.broadcast_to(extra, (B, *shape[1:])))
    return jnp.concatenate(parts, axis=1), tuple(grid)

  def _positions(self, grid, init):
    """f32[1,1+R*C,D]: the table, fitted to the grid of patches."""
    side = self.img_size // PATCH
    table = self.param("pos_embed", init, (1, side**2 + 1, self.embed_dim))
    return fit_positions(
      table.astype(jnp.float32),
      grid,
      self.interpolate_offset,
      self.interpolate_antialias,
    )
