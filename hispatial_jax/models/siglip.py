"""SigLIP vision tower with big_vision's parameter names, blocks stacked.

Axis letters are those of `models/hispatial.py`.

Source: SigLIP (arXiv 2303.15343), shape So400m/14; names and arithmetic as
big_vision's `models/vit.py`.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from hispatial_jax.core import mesh
from hispatial_jax.models import remat as remat_lib

VARIANTS = {
  "so400m/14": {
    "width": 1152,
    "depth": 27,
    "mlp_dim": 4304,
    "num_heads": 16,
    "patch_size": 14,
  },
  "toy/14": {
    "width": 128,
    "depth": 4,
    "mlp_dim": 512,
    "num_heads": 4,
    "patch_size": 14,
  },
}


def resample_positions(table: jax.Array, grid: tuple[int, int]) -> jax.Array:
  """Fits a square position table to another grid of patches.

  Linear interpolation with aligned corners: new index i reads the old table at
  i * (old - 1) / (new - 1), the way big_vision (scipy's zoom) does it.

  Args:
    table: [1,P,D] positions of a square grid, row-major.
    grid: new (rows, columns).

  Returns:
    [1, rows * columns, D].
  """
  side = round(table.shape[1] ** 0.5)
  if side * side != table.shape[1]:
    raise ValueError(
      f"position table of {table.shape[1]} rows is not square; expected "
      "(1, side * side, width)"
    )
  rows, columns = (_interpolation(side, new, table.dtype) for new in grid)
  old = table.reshape(side, side, -1)
  new = jnp.einsum("hi,wj,ijD->hwD", rows, columns, old, precision="highest")
  return new.reshape(1, grid[0] * grid[1], -1)


def _interpolation(old, new, dtype):
  """[new, old] weights of aligned-corner linear interpolation."""
  at = jnp.linspace(0.0, old - 1.0, new, dtype=jnp.float32)
  nodes = jnp.arange(old, dtype=jnp.float32)
  return jnp.maximum(0.0, 1.0 - jnp.abs(at[:, None] - nodes)).astype(dtype)


class LayerNorm(nn.Module):
  """Layer norm with eps 1e-6, float32 inside."""

  @nn.compact
  def __call__(self, x):
    D = x.shape[-1]
    scale = self.param("scale", nn.initializers.ones, (D,))
    bias = self.param("bias", nn.initializers.zeros, (D,))
    y = x.astype(jnp.float32)
    mean = jnp.mean(y, axis=-1, keepdims=True)
    # The reference's order of operations: another one of equal precision moves
    # the golden gradients by 1e-4 of their size.
    var = jnp.mean(y * y, axis=-1, keepdims=True) - mean * mean
    factor = jax.lax.rsqrt(jnp.maximum(var, 0.0) + 1e-6)
    y = (y - mean) * (factor * scale.astype(jnp.float32))
    return (y + bias.astype(jnp.float32)).astype(x.dtype)


def _waves(_, shape, dtype=jnp.float32):
  """[1,P,D]: a quarter of D each: sin, cos of the row, sin, cos of the column.

  Source: MoCo v3 (arXiv 2104.02057), fixed 2-D position embedding.
  """
  _, P, D = shape
  side, quarter = round(P**0.5), D // 4
  freqs = 10_000.0 ** (-jnp.arange(quarter, dtype=jnp.float32) / quarter)
  angle = jnp.arange(side, dtype=jnp.float32)[:, None] * freqs
  waves = jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)
  rows, columns = jnp.repeat(waves, side, axis=0), jnp.tile(waves, (side, 1))
  table = jnp.concatenate([rows, columns], axis=-1)
  return jnp.pad(table, ((0, 0), (0, D - 4 * quarter)))[None].astype(dtype)


class Attention(nn.Module):
  """Every patch sees every patch; float32 softmax."""

  num_heads: int

  @nn.compact
  def __call__(self, x):
    D, N = x.shape[-1], self.num_heads

    def project(name):
      heads = nn.DenseGeneral((N, D // N), dtype=x.dtype, name=name)(x)
      return mesh.split(heads, 2)

    q, k, v = project("query"), project("key"), project("value")
    q *= jnp.asarray((D // N) ** -0.5, x.dtype)
    scores = jnp.einsum(
      "BTNH,BSNH->BNTS", q, k, preferred_element_type=jnp.float32
    )
    weights = jax.nn.softmax(scores, axis=-1).astype(x.dtype)
    out = jnp.einsum("BNTS,BSNH->BTNH", weights, v)
    return nn.DenseGeneral(D, axis=(-2, -1), dtype=x.dtype, name="out")(out)


class MLP(nn.Module):
  """Two dense layers with a tanh-approximated gelu between."""

  mlp_dim: int

  @nn.compact
  def __call__(self, x):
    hidden = nn.Dense(self.mlp_dim, dtype=x.dtype, name="Dense_0")(x)
    hidden = nn.gelu(mesh.split(hidden, -1), approximate=True)
    return nn.Dense(x.shape[-1], dtype=x.dtype, name="Dense_1")(hidden)


class Block(nn.Module):
  """Pre-norm transformer block."""

  mlp_dim: int
  num_heads: int

  @nn.compact
  def __call__(self, x, _):
    x = mesh.constrain(x)
    y = LayerNorm(name="LayerNorm_0")(x)
    x += Attention(self.num_heads, name="MultiHeadDotProductAttention_0")(y)
    y = LayerNorm(name="LayerNorm_1")(x)
    return x + MLP(self.mlp_dim, name="MlpBlock_0")(y), None


class Transformer(nn.Module):
  """All blocks in one scan, then a layer norm."""

  depth: int
  mlp_dim: int
  num_heads: int
  remat: str
  scan_unroll: int

  @nn.compact
  def __call__(self, x):
    blocks = nn.scan(
      remat_lib.remat(Block, self.remat),
      variable_axes={"params": 0},
      split_rngs={"params": True},
      in_axes=nn.broadcast,
      length=self.depth,
      unroll=self.scan_unroll,
    )
    block = blocks(self.mlp_dim, self.num_heads, name="encoderblock")
    x, _ = block(x, None)
    return LayerNorm(name="encoder_norm")(x)


class Model(nn.Module):
  """Image -> one token per patch, in the language model's width.

  Attributes:
    image_size: pixels of a side; the position table has its patches.
    num_outputs: width of the language model (the head's output).
    wave_positions: start the position table at sines and cosines of row and
      column instead of noise: a model that starts from nothing finds a pixel
      sooner.
  """

  width: int
  depth: int
  mlp_dim: int
  num_heads: int
  num_outputs: int
  image_size: int = 448
  patch_size: int = 14
  dtype: str = "float32"
  remat: str = "none"
  scan_unroll: int = 1
  wave_positions: bool = False

  @nn.compact
  def __call__(self, image):
    """Encodes a batch of images.

    Args:
      image: f32[B,image_size,image_size,3] in [-1, 1], RGB.

    Returns:
      (tokens [B,P,num_outputs], encoded [B,P,D] before the head), row-major.

    Raises:
      ValueError: if the image has another size.
    """
    side = self.image_size
    if image.shape[1:] != (side, side, 3):
      raise ValueError(
        f"image is {image.shape}, expected (B, {side}, {side}, 3): resize it, "
        "or set img.image_size"
      )
    patch = (self.patch_size,) * 2
    x = nn.Conv(
      self.width, patch, patch, "VALID", dtype=self.dtype, name="embedding"
    )(image)
    self.sow("intermediates", "stem", x)
    x = x.reshape(x.shape[0], -1, self.width)
    start = nn.initializers.normal(self.width**-0.5)
    if self.wave_positions:
      start = _waves
    positions = self.param("pos_embedding", start, (1, x.shape[1], self.width))
    x += positions.astype(x.dtype)
    encoded = Transformer(
      self.depth,
      self.mlp_dim,
      self.num_heads,
      self.remat,
      self.scan_unroll,
      name="Transformer",
    )(x)
    tokens = nn.Dense(self.num_outputs, dtype=self.dtype, name="head")(encoded)
    return tokens, encoded
