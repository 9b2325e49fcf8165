"""Gemma 2 with big_vision's parameter names, layers stacked for scan.

Axis letters are those of `models/hispatial.py`.

Source: Gemma 2 report (arXiv 2408.00118), table 1 and section 2; parameter
names and arithmetic as big_vision's `models/ppp/gemma.py`.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from hispatial_jax.models import remat as remat_lib
from hispatial_jax.models import sharding

# Finite, so that a row that sees nothing gives a uniform softmax and no NaN.
_MASKED = -2.3819763e38

VARIANTS = {
  "2b": {
    "width": 2304,
    "depth": 26,
    "mlp_dim": 9216,
    "num_heads": 8,
    "num_kv_heads": 4,
    "head_dim": 256,
  },
  "9b": {
    "width": 3584,
    "depth": 42,
    "mlp_dim": 14336,
    "num_heads": 16,
    "num_kv_heads": 8,
    "head_dim": 256,
  },
  "27b": {
    "width": 4608,
    "depth": 46,
    "mlp_dim": 36864,
    "num_heads": 32,
    "num_kv_heads": 16,
    "head_dim": 128,
    "query_scale": (4608 // 32) ** -0.5,
  },
  "toy": {
    "width": 128,
    "depth": 4,
    "mlp_dim": 512,
    "num_heads": 4,
    "num_kv_heads": 2,
    "head_dim": 32,
  },
}


class Cache(NamedTuple):
  """Keys (after rotation) and values of S rows, all layers: [L,B,S,K,H]."""

  k: jax.Array
  v: jax.Array


def join(shared: Cache, own: Cache) -> Cache:
  """Rows of a cache that B rows share, then the own ones of N = R * B rows."""
  repeats = own.k.shape[1] // shared.k.shape[1]

  def put(a, b):
    return jnp.concatenate([jnp.repeat(a, repeats, axis=1), b], axis=2)

  return jax.tree.map(put, shared, own)


def softcap(x: jax.Array, cap: float | None) -> jax.Array:
  """Squashes `x` smoothly into (-cap, cap); 0 or None leaves it alone."""
  return cap * jnp.tanh(x / cap) if cap else x


def rotate(x: jax.Array, positions: jax.Array) -> jax.Array:
  """Rotary position embedding, first half of H paired with the second half.

  Args:
    x: [B,T,heads,H] queries or keys.
    positions: i32[B,T].

  Returns:
    x's shape and dtype; angles and products are float32.
  """
  half = x.shape[-1] // 2
  wavelength = 10_000.0 ** (jnp.arange(half, dtype=jnp.float32) / half)
  angle_rad = positions[..., None, None].astype(jnp.float32) / wavelength
  sin, cos = jnp.sin(angle_rad), jnp.cos(angle_rad)
  a, b = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  turned = jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
  return turned.astype(x.dtype)


class RMSNorm(nn.Module):
  """x / rms(x) * (1 + scale), float32 inside."""

  @nn.compact
  def __call__(self, x):
    scale = self.param("scale", nn.initializers.zeros, (x.shape[-1],))
    y = x.astype(jnp.float32)
    y *= jax.lax.rsqrt(jnp.mean(y * y, axis=-1, keepdims=True) + 1e-6)
    return (y * (1 + scale.astype(jnp.float32))).astype(x.dtype)


class Einsum(nn.Module):
  """One weight `w`, contracted with the input as the equation says."""

  shape: tuple[int, ...]
  in_axis: tuple[int, ...]
  out_axis: tuple[int, ...]

  @nn.compact
  def __call__(self, equation, x):
    others = set(range(len(self.shape))) - {*self.in_axis, *self.out_axis}
    init = nn.initializers.variance_scaling(
      1.0,
      "fan_in",
      "normal",
      in_axis=self.in_axis,
      out_axis=self.out_axis,
      batch_axis=tuple(sorted(others)),
    )
    w = self.param("w", init, self.shape)
    return jnp.einsum(equation, x, w.astype(x.dtype))


class Attention(nn.Module):
  """Grouped-query attention over the cache's rows and the new ones."""

  width: int
  num_heads: int
  num_kv_heads: int
  head_dim: int
  query_scale: float | None
  softcap: float | None

  @nn.compact
  def __call__(self, x, positions, mask, cache):
    (B, T, D), N, H = x.shape, self.num_heads, self.head_dim
    K = self.num_kv_heads
    q = Einsum((N, D, H), (1,), (2,), name="q_einsum")("BTD,NDH->BTNH", x)
    k, v = Einsum((2, K, D, H), (2,), (3,), name="kv_einsum")(
      "BSD,cKDH->cBSKH", x
    )
    q = rotate(q, positions) * jnp.asarray(self.query_scale or H**-0.5, x.dtype)
    k, parts = rotate(k, positions), []
    if cache is not None:
      # The new rows, too, are attended to as they are stored.
      old = cache
      cache = Cache(k.astype(old.k.dtype), v.astype(old.v.dtype))
      parts = [(old.k, old.v)]
      k, v = cache
    parts.append((k, v))
    out = attend(q.reshape(B, T, K, N // K, H), parts, mask, self.softcap)
    out = out.reshape(B, T, N, H)
    out = Einsum((N, H, D), (0, 1), (2,), name="attn_vec_einsum")(
      "BTNH,NHD->BTD", out
    )
    return out, cache


def attend(q, parts, mask, cap):
  """Softmax attention over keys that lie in several arrays.

  The scores are joined, not the keys, so a cache is read where it is. A part
  may have fewer rows than the queries: row b of it then serves the R = N / B
  query rows from b * R on, which share it (questions about one image).

  Args:
    q: [N,T,K,G,H] rotated, scaled queries.
    parts: list of (keys [B,S_i,K,H], values [B,S_i,K,H]), in any dtype.
    mask: bool[N,T,S], True = may attend, S the sum of all S_i.
    cap: softcap of the scores, or None.

  Returns:
    [N,T,K,G,H] in q's dtype; scores and softmax are float32.
  """
  N, T, K, G, H = q.shape
  parts = [(k.astype(q.dtype), v.astype(q.dtype)) for k, v in parts]

  def scores_of(k):
    B, S = k.shape[:2]
    scores = jnp.einsum(
      "BRTKGH,BSKH->BRKGTS",
      q.reshape(B, N // B, T, K, G, H),
      k,
      preferred_element_type=jnp.float32,
    )
    return scores.reshape(N, K, G, T, S)

  scores = jnp.concatenate([scores_of(k) for k, _ in parts], axis=-1)
  scores = jnp.where(mask[:, None, None], softcap(scores, cap), _MASKED)
  weights = jax.nn.softmax(scores, axis=-1).astype(q.dtype)
  out, start = 0.0, 0
  for _, v in parts:
    B, S = v.shape[:2]
    of_part = weights[..., start : start + S].reshape(B, N // B, K, G, T, S)
    new = jnp.einsum("BRKGTS,BSKH->BRTKGH", of_part, v)
    out, start = out + new.reshape(q.shape), start + S
  return out


class MLP(nn.Module):
  """Gated feed-forward: (gelu(x @ gate) * (x @ up)) @ linear."""

  mlp_dim: int

  @nn.compact
  def __call__(self, x):
    D, F = x.shape[-1], self.mlp_dim
    init = nn.initializers.variance_scaling(
      1.0, "fan_in", "normal", in_axis=-2, out_axis=-1, batch_axis=(0,)
    )
    gating = self.param("gating_einsum", init, (2, D, F)).astype(x.dtype)
    linear = self.param("linear", nn.initializers.lecun_normal(), (F, D))
    # One product for both halves: a third faster on a CPU than one for each.
    both = jnp.einsum("BTD,cDF->BTcF", x, gating)
    hidden = nn.gelu(both[..., 0, :], approximate=True) * both[..., 1, :]
    return hidden @ linear.astype(x.dtype)


class Block(nn.Module):
  """One layer: attention and MLP, each normed before and after."""

  mlp_dim: int
  attention: dict

  @nn.compact
  def __call__(self, x, positions, mask, cache):
    x = sharding.shard_batch(x)
    self.sow("intermediates", "x", x)
    y = RMSNorm(name="pre_attention_norm")(x)
    y, cache = Attention(**self.attention, name="attn")(
      y, positions, mask, cache
    )
    x += RMSNorm(name="post_attention_norm")(y)
    y = RMSNorm(name="pre_ffw_norm")(x)
    y = MLP(self.mlp_dim, name="mlp")(y)
    return x + RMSNorm(name="post_ffw_norm")(y), cache


class Embedder(nn.Module):
  """The table that turns tokens into vectors and vectors into logits."""

  vocab_size: int
  width: int

  def setup(self):
    self.input_embedding = self.param(
      "input_embedding",
      nn.initializers.normal(self.width**-0.5),
      (self.vocab_size, self.width),
    )

  def encode(self, tokens):
    rows = self.input_embedding[tokens].astype(jnp.float32)
    return rows * jnp.sqrt(jnp.float32(self.width))

  def decode(self, x):
    table = self.input_embedding.astype(x.dtype)
    return jnp.einsum(
      "...D,VD->...V", x, table, preferred_element_type=jnp.float32
    )


class Model(nn.Module):
  """Gemma 2: `embed` tokens, run the layers, then `logits`.

  Attributes:
    query_scale: factor on the queries; None means H ** -0.5.
    attn_softcap: 50 as trained. 0 or None turns it off, which reproduces the
      reference predictor's own deviation: its fused kernel ignores the cap
      (transformers 4.50, sdpa), moving logits by 0.1 to 0.3.
    final_softcap: 30 as trained; 0 gives big_vision's training logits.
    remat: see `models/remat.py`.
    scan_unroll: layers compiled per loop turn; `depth` means no loop.
  """

  width: int
  depth: int
  mlp_dim: int
  num_heads: int
  num_kv_heads: int
  head_dim: int
  vocab_size: int = 257_152
  query_scale: float | None = None
  attn_softcap: float | None = 50.0
  final_softcap: float | None = 30.0
  dtype: str = "float32"
  remat: str = "none"
  scan_unroll: int = 1

  def setup(self):
    self.embedder = Embedder(self.vocab_size, self.width)
    self.layers = nn.scan(
      remat_lib.remat(Block, self.remat),
      variable_axes={"params": 0, "intermediates": 0},
      split_rngs={"params": True},
      in_axes=(nn.broadcast, nn.broadcast, 0),
      length=self.depth,
      unroll=self.scan_unroll,
    )(
      mlp_dim=self.mlp_dim,
      attention={
        "width": self.width,
        "num_heads": self.num_heads,
        "num_kv_heads": self.num_kv_heads,
        "head_dim": self.head_dim,
        "query_scale": self.query_scale,
        "softcap": self.attn_softcap,
      },
    )
    self.final_norm = RMSNorm()

  def embed(self, tokens):
    """Token ids i32[B,T] -> [B,T,D], already multiplied by sqrt(D)."""
    return self.embedder.encode(tokens).astype(self.dtype)

  def __call__(self, x, positions, mask, cache=None):
    """Runs all layers over new rows, after those of the cache if given.

    Args:
      x: [B,T,D] embedded inputs.
      positions: i32[B,T].
      mask: bool[B,T,S+T], True = may attend; the cache's S rows come first.
      cache: `Cache` of S rows (S may be 0), or None when none is wanted. Its
        batch may be a divisor of B: see `attend`.

    Returns:
      ([B,T,D] after the final norm, Cache of the T new rows or None). The
      caller writes the rows where it wants them.
    """
    x, cache = self.layers(x.astype(self.dtype), positions, mask, cache)
    self.sow("intermediates", "encoded", x)
    return self.final_norm(x), cache

  def logits(self, x):
    """[...,D] -> f32[...,V]: the one place of the final softcap."""
    return softcap(self.embedder.decode(x), self.final_softcap)

  def empty_cache(self, batch_size, dtype=None):
    """A cache of no rows, to start from."""
    shape = (self.depth, batch_size, 0, self.num_kv_heads, self.head_dim)
    empty = jnp.zeros(shape, dtype or self.dtype)
    return Cache(empty, empty)
