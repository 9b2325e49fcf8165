"""New tokens through Gemma 2 on a CPU: the weights of each layer apart.

A scan over stacked layers suits a TPU. A CPU's compiler copies what the scan
slices, and turns it about: all weights, keys and values, for every token, which
takes longer than the products do. Here the weights are cut and laid out once,
before the first token, as plain matrices; and new keys and values are put into
the cache before they are attended to, so that the cache stays where it is. For
that, a second copy of the layers' weights is held while tokens are made.

The arithmetic is that of `gemma2.Block`, the axis letters are those of
`models/hispatial.py`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from hispatial_jax.core import tree
from hispatial_jax.models import attention, gemma2

_MATRICES = (
  "attn/q_einsum/w",
  "attn/kv_einsum/w",
  "attn/attn_vec_einsum/w",
  "mlp/gating_einsum",
  "mlp/linear",
)
_NORMS = ("pre_attention", "post_attention", "pre_ffw", "post_ffw")


class Layer(NamedTuple):
  """Matrices of one layer, and the scales of its norms.

  Attributes:
    qkv: [D, (N + 2 K) H].
    out: [N H, D].
    gate_up: [D, 2 F].
    down: [F, D].
    norms: {name: [D]}.
  """

  qkv: jax.Array
  out: jax.Array
  gate_up: jax.Array
  down: jax.Array
  norms: dict[str, jax.Array]


def knows(stacked) -> bool:
  """Whether `cut` takes these parameters: a block's own and no others.

  Adapters, say, it would leave out.
  """
  own = (*_MATRICES, *(f"{name}_norm/scale" for name in _NORMS))
  return set(tree.flatten(stacked)) == set(own)


def cut(stacked, dtype) -> list[Layer]:
  """The parameters of `gemma2.Block`, stacked [L,...], layer by layer."""
  depth = jax.tree.leaves(stacked)[0].shape[0]
  layers = [jax.tree.map(lambda x, i=i: x[i], stacked) for i in range(depth)]
  return [_layer(one, dtype) for one in layers]


def _layer(params, dtype):
  def matrix(w):
    """[..., D, H] -> [D, ... H]."""
    return jnp.moveaxis(w, -2, 0).reshape(w.shape[-2], -1).astype(dtype)

  named = tree.flatten(params)
  q, kv, out, gating, linear = (named[name] for name in _MATRICES)
  return Layer(
    qkv=jnp.concatenate([matrix(q), matrix(kv)], axis=1),
    out=out.reshape(-1, out.shape[-1]).astype(dtype),
    gate_up=matrix(gating),
    down=linear.astype(dtype),
    norms={name: named[f"{name}_norm/scale"] for name in _NORMS},
  )


def cut_cache(cache: attention.Cache) -> list[attention.Cache]:
  """[L,B,S,K,H] -> of each layer [B,K,S,H], as attention reads it."""
  return [
    attention.Cache(*(jnp.moveaxis(x[i], 1, 2) for x in cache))
    for i in range(cache.k.shape[0])
  ]


def extend(llm, layers, x, position, cache, visible, row):
  """All layers, for one new token of every row of the batch.

  Args:
    llm: the `gemma2.Model`, unbound: its attributes are read.
    layers: of `cut`.
    x: [B,D], the embedded tokens.
    position: i32[B].
    cache: of `cut_cache`.
    visible: bool[B,S], the cache's rows that may be seen, `row` among them.
    row: i32[], where in the cache the tokens' keys and values go.

  Returns:
    ([B,D] before the final norm, the cache with the new row).
  """
  written = []
  for layer, old in zip(layers, cache, strict=True):
    y = norm(x, layer.norms["pre_attention"])
    y, new = _attend(llm, layer, y, position, old, visible, row)
    x += norm(y, layer.norms["post_attention"])
    y = norm(x, layer.norms["pre_ffw"]) @ layer.gate_up
    gate, up = jnp.split(y, 2, axis=-1)
    y = (jax.nn.gelu(gate, approximate=True) * up) @ layer.down
    x += norm(y, layer.norms["post_ffw"])
    written.append(new)
  return x, written


def _attend(llm, layer, x, position, cache, visible, row):
  B, N, K, H = len(x), llm.num_heads, llm.num_kv_heads, llm.head_dim
  heads = (x @ layer.qkv).reshape(B, 1, N + 2 * K, H)
  q, k, v = jnp.split(heads, [N, N + K], axis=2)
  scale = jnp.asarray(llm.query_scale or H**-0.5, x.dtype)
  q = attention.rotate(q, position[:, None]) * scale
  k = attention.rotate(k, position[:, None])

  def put(old, new):
    new = jnp.moveaxis(new, 1, 2).astype(old.dtype)
    return jax.lax.dynamic_update_slice_in_dim(old, new, row, axis=2)

  cache = attention.Cache(put(cache.k, k), put(cache.v, v))
  rows = tuple(jnp.moveaxis(x, 1, 2) for x in cache)
  q = q.reshape(B, 1, K, N // K, H)
  out = attention.attend(q, [rows], visible[:, None], llm.attn_softcap)
  return out.reshape(B, N * H) @ layer.out, cache


def norm(x, scale):
  """`gemma2.RMSNorm` with that scale."""
  return gemma2.RMSNorm().apply({"params": {"scale": scale}}, x)
