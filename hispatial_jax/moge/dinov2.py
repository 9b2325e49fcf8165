"""DINOv2 vision transformer: tokens of some blocks, and the class token.

Axis letters: B batch, T query tokens, S key tokens, N heads, H head dim, D
width, L blocks, R rows of patches, C columns of patches.

Source: DINOv2 (arXiv 2304.07193); names and arithmetic as
golden/moge2/FORMAT.md, section 3.
"""

import difflib
import math
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hispatial_jax.moge import resize

PATCH = 14
# Scores of one chunk of queries may take this many bytes; at 3,601 tokens all
# at once would be 6.6 GB for ViT-L and a batch of 8.
_SCORE_BYTES = 512 << 20
_MAX_QUERIES = 512

_SIZES = {
  "vits14": {"embed_dim": 384, "depth": 12, "num_heads": 6},
  "vitb14": {"embed_dim": 768, "depth": 12, "num_heads": 12},
  "vitl14": {"embed_dim": 1024, "depth": 24, "num_heads": 16},
}
_REGISTERS = {
  "num_register_tokens": 4,
  "interpolate_antialias": True,
  "interpolate_offset": 0.0,
}
BACKBONES = {f"dinov2_{name}": size for name, size in _SIZES.items()} | {
  f"dinov2_{name}_reg": {**size, **_REGISTERS} for name, size in _SIZES.items()
}
# Options of the hub's factories that change the arithmetic, and the one value
# of each that is built here.
_ONLY = {
  "patch_size": PATCH,
  "ffn_layer": "mlp",
  "init_values": 1.0,
  "block_chunks": 0,
}


def hyperparameters(backbone: str | Mapping) -> dict:
  """Arguments of `Backbone` for a hub name, or for a dict of its options.

  Raises:
    ValueError: unknown name or option, with the nearest known one; an option
      with a value that is not built.
  """
  if isinstance(backbone, str):
    if backbone not in BACKBONES:
      raise ValueError(_unknown("encoder.backbone", backbone, BACKBONES))
    return dict(BACKBONES[backbone])
  known = [*Backbone.__dataclass_fields__, *_ONLY]
  known = [name for name in known if name not in ("parent", "name", "dtype")]
  for key, value in backbone.items():
    if key not in known:
      raise ValueError(_unknown("option of encoder.backbone", key, known))
    if key in _ONLY and value != _ONLY[key]:
      raise ValueError(
        f"encoder.backbone.{key} is {value!r}, expected {_ONLY[key]!r}"
      )
  lacking = {"embed_dim", "depth", "num_heads"} - set(backbone)
  if lacking:
    raise ValueError(f"encoder.backbone lacks {', '.join(sorted(lacking))}")
  return {k: v for k, v in backbone.items() if k not in _ONLY}


def _unknown(what, name, known):
  near = difflib.get_close_matches(name, known, 1)
  hint = f" (did you mean {near[0]!r}?)" if near else ""
  return f"unknown {what} {name!r}{hint}; known: {', '.join(known)}"


def attend(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
  """Softmax attention of all tokens, one chunk of queries after another.

  Args:
    q: [B,N,T,H], not yet scaled.
    k, v: [B,N,S,H].

  Returns:
    [B,N,T,H] in q's dtype; scores and softmax are float32.
  """
  B, N, T, H = q.shape
  q = q * jnp.asarray(H**-0.5, q.dtype)
  size = _chunk(T, 4 * B * N * k.shape[2])
  if size >= T:
    return _attend(q, k, v)
  count = -(-T // size)
  q = jnp.pad(q, ((0, 0), (0, 0), (0, count * size - T), (0, 0)))
  chunks = q.reshape(B, N, count, size, H).transpose(2, 0, 1, 3, 4)
  out = jax.lax.map(lambda chunk: _attend(chunk, k, v), chunks)
  out = out.transpose(1, 2, 0, 3, 4).reshape(B, N, count * size, H)
  return out[:, :, :T]


def _chunk(T, row_bytes) -> int:
  """Queries at a time: chunks of nearly equal size, a multiple of 8."""
  most = min(_MAX_QUERIES, max(_SCORE_BYTES // row_bytes, 8))
  even = -(-T // -(-T // most))
  return T if most >= T else -(-even // 8) * 8


def _attend(q, k, v):
  scores = jnp.einsum(
    "BNTH,BNSH->BNTS", q, k, preferred_element_type=jnp.float32
  )
  weights = jnp.exp(scores - jnp.max(scores, axis=-1, keepdims=True))
  total = jnp.sum(weights, axis=-1, keepdims=True)
  out = jnp.einsum(
    "BNTS,BNSH->BNTH",
    weights.astype(q.dtype),
    v,
    preferred_element_type=jnp.float32,
  )
  return (out / total).astype(q.dtype)


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
    out = attend(q, k, v).transpose(0, 2, 1, 3).reshape(B, T, D)
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
    table = table.astype(jnp.float32)
    if grid == (side, side):
      return table
    rows, columns = (
      resize.position_matrix(
        side, n, self.interpolate_offset, self.interpolate_antialias
      )
      for n in grid
    )
    old = table[0, 1:].reshape(side, side, -1)
    new = jnp.einsum("Ri,Cj,ijD->RCD", rows, columns, old, precision="highest")
    new = new.reshape(1, -1, self.embed_dim)
    return jnp.concatenate([table[:, :1], new], axis=1)
