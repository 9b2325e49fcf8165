"""Gemma 2 with big_vision's parameter names, layers stacked for scan.

Axis letters are those of `models/hispatial.py`.

Source: Gemma 2 report (arXiv 2408.00118), table 1 and section 2; parameter
names and arithmetic as big_vision's `models/ppp/gemma.py`.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import ad_checkpoint

from hispatial_jax.core import mesh
from hispatial_jax.models import attention
from hispatial_jax.models import lora as lora_lib
from hispatial_jax.models import remat as remat_lib

_FIELDS = ("width", "depth", "mlp_dim", "num_heads", "num_kv_heads", "head_dim")
_TABLE = {
  "2b": (2304, 26, 9216, 8, 4, 256),
  "9b": (3584, 42, 14336, 16, 8, 256),
  "27b": (4608, 46, 36864, 32, 16, 128),
  "toy": (128, 4, 512, 4, 2, 32),
}
VARIANTS = {
  name: dict(zip(_FIELDS, row, strict=True)) for name, row in _TABLE.items()
}
VARIANTS["27b"]["query_scale"] = (4608 // 32) ** -0.5  # D / N, not H


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
  adapter: lora_lib.Adapter | None = None

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
    y = jnp.einsum(equation, x, w.astype(x.dtype))
    if self.adapter is None:
      return y
    a, b = self.adapter.factors(self, "lora_", self.shape)
    return y + self.adapter.product(equation, x, a, b)


class Attention(nn.Module):
  """Grouped-query attention over the cache's rows and the new ones."""

  num_heads: int
  num_kv_heads: int
  head_dim: int
  query_scale: float | None
  softcap: float | None
  by_head: bool = False
  lora: dict | None = None

  @nn.compact
  def __call__(self, x, positions, mask, cache):
    (B, T, D), N, H = x.shape, self.num_heads, self.head_dim
    K = self.num_kv_heads

    def weight(name, *axes):
      adapter = lora_lib.read(self.lora).get(f"attn/{name}")
      return Einsum(*axes, adapter, name=name)

    q = weight("q_einsum", (N, D, H), (1,), (2,))("BTD,NDH->BTNH", x)
    k, v = weight("kv_einsum", (2, K, D, H), (2,), (3,))("BSD,cKDH->cBSKH", x)
    q, k, v = (mesh.split(heads, 2) for heads in (q, k, v))
    scale = jnp.asarray(self.query_scale or H**-0.5, x.dtype)
    q = attention.rotate(q, positions) * scale
    k, parts = attention.rotate(k, positions), []
    if cache is not None:
      # The new rows, too, are attended to as they are stored.
      old = cache
      cache = attention.Cache(k.astype(old.k.dtype), v.astype(old.v.dtype))
      parts = [(old.k, old.v)]
      k, v = cache
    parts.append((k, v))
    q = q.reshape(B, T, K, N // K, H)
    # Decoding asks for one row: there all heads fit.
    by_head = self.by_head and T > 1
    attend = attention.attend_by_head if by_head else attention.attend
    out = attend(q, parts, mask, self.softcap).reshape(B, T, N, H)
    out = weight("attn_vec_einsum", (N, H, D), (0, 1), (2,))(
      "BTNH,NHD->BTD", out
    )
    return out, cache


class MLP(nn.Module):
  """Gated feed-forward: (gelu(x @ gate) * (x @ up)) @ linear."""

  mlp_dim: int
  gate_apart: bool = False
  lora: dict | None = None

  @nn.compact
  def __call__(self, x):
    D, F = x.shape[-1], self.mlp_dim
    adapters = lora_lib.read(self.lora)
    init = nn.initializers.variance_scaling(
      1.0, "fan_in", "normal", in_axis=-2, out_axis=-1, batch_axis=(0,)
    )
    gating = self.param("gating_einsum", init, (2, D, F)).astype(x.dtype)
    linear = self.param("linear", nn.initializers.lecun_normal(), (F, D))
    if self.gate_apart:
      gate, up = x @ gating[0], x @ gating[1]
    else:
      both = jnp.einsum("BTD,cDF->BTcF", x, gating)
      gate, up = both[..., 0, :], both[..., 1, :]
    if adapter := adapters.get("mlp/gating_einsum"):
      a, b = adapter.factors(self, "gating_einsum_lora_", (2, D, F))
      gate += adapter.product("BTD,DF->BTF", x, a[0], b[0])
      up += adapter.product("BTD,DF->BTF", x, a[1], b[1])
    gate, up = mesh.split(gate, -1), mesh.split(up, -1)
    hidden = nn.gelu(gate, approximate=True) * up
    out = hidden @ linear.astype(x.dtype)
    if adapter := adapters.get("mlp/linear"):
      a, b = adapter.factors(self, "linear_lora_", (F, D))
      out += adapter.product("BTF,FD->BTD", hidden, a, b)
    return out


class Block(nn.Module):
  """One layer: attention and MLP, each normed before and after."""

  mlp_dim: int
  attention: dict
  gate_apart: bool = False
  lora: dict | None = None

  @nn.compact
  def __call__(self, x, positions, mask, cache):
    x = mesh.constrain(x)
    self.sow("intermediates", "x", x)
    y = RMSNorm(name="pre_attention_norm")(x)
    y, cache = Attention(**self.attention, lora=self.lora, name="attn")(
      y, positions, mask, cache
    )
    x += RMSNorm(name="post_attention_norm")(y)
    y = RMSNorm(name="pre_ffw_norm")(x)
    y = MLP(self.mlp_dim, self.gate_apart, self.lora, name="mlp")(y)
    y = ad_checkpoint.checkpoint_name(y, remat_lib.MLP_OUT)
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
    """i32[B,T] -> f32[B,T,D], times the root of D.

    The tokens go to the table's shards, not the table to every device.
    """
    if self.vocab_size % mesh.axis_size(*mesh.WORDS) == 0:
      tokens = mesh.constrain(tokens, mesh.GROUPS)
    rows = self.input_embedding[tokens].astype(jnp.float32)
    return mesh.constrain(rows) * jnp.sqrt(jnp.float32(self.width))

  def decode(self, x):
    """[...,D] -> f32[...,V], before the softcap."""
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
    attn_by_head: see `attention.attend_by_head`.
    gate_apart: the MLP's gate and input each by a product of its own. On a
      TPU that saves copies of the largest activation; on a CPU one product for
      both is a third faster.
    lora: rank, alpha and weights of adapters; see `lora.read`.
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
  attn_by_head: bool = False
  gate_apart: bool = False
  lora: dict | None = None
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
      gate_apart=self.gate_apart,
      lora=self.lora,
      attention={
        "num_heads": self.num_heads,
        "num_kv_heads": self.num_kv_heads,
        "head_dim": self.head_dim,
        "query_scale": self.query_scale,
        "softcap": self.attn_softcap,
        "by_head": self.attn_by_head,
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
      cache: `attention.Cache` of S rows (S may be 0), or None when none is
        wanted. Its batch may be a divisor of B: see `attention.attend`.

    Returns:
      ([B,T,D] after the final norm, Cache of the T new rows or None). The
      caller writes the rows where it wants them.
    """
    x, cache = self.layers(x.astype(self.dtype), positions, mask, cache)
    self.sow("intermediates", "encoded", x)
    return self.final_norm(x), cache

  def logits(self, x):
    """[...,D] -> f32[...,V]: the one place of the final softcap."""
    return attention.softcap(self.embedder.decode(x), self.final_softcap)

  def output_table(self):
    """([V,D] in the parameters' dtype, the final softcap)."""
    return self.embedder.input_embedding, self.final_softcap

  def empty_cache(self, batch_size, dtype=None):
    """A cache of no rows, to start from."""
    shape = (self.depth, batch_size, 0, self.num_kv_heads, self.head_dim)
    empty = jnp.zeros(shape, dtype or self.dtype)
    return attention.Cache(empty, empty)
