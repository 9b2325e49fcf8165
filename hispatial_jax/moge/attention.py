"""Attention of all tokens to all, in bounded memory.

Axis letters: B batch, N heads, T query tokens, S key tokens, H head dim.
"""

import functools

import jax
import jax.numpy as jnp

# Scores of one step may take so many bytes. A CPU keeps them in the cache
# of a core, which makes attention twice as fast; elsewhere it is for memory: at
# 3,601 tokens all at once would be 6.6 GB for ViT-L and a batch of 8.
_CPU_BYTES = 2 << 20
_BYTES = 512 << 20
# Queries of a step, at least and at most.
_QUERIES = 128, 512


def attend(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
  """Softmax attention of all tokens, a few heads and queries at a time.

  Args:
    q: [B,N,T,H], not yet scaled.
    k, v: [B,N,S,H].

  Returns:
    [B,N,T,H] in q's dtype; scores and softmax are float32.
  """
  return jax.lax.platform_dependent(
    q,
    k,
    v,
    cpu=functools.partial(attend_within, _CPU_BYTES),
    default=functools.partial(attend_within, _BYTES),
  )


def attend_within(most_bytes, q, k, v):
  """`attend` in steps whose scores take about `most_bytes`."""
  B, N, T, H = q.shape
  S = k.shape[2]
  q = q * jnp.asarray(H**-0.5, q.dtype)
  group = _group(B * N, most_bytes // (4 * S * min(T, _QUERIES[0])))
  size = _chunk(T, most_bytes // (4 * S * group))
  count = -(-T // size)
  q = jnp.pad(q, ((0, 0), (0, 0), (0, count * size - T), (0, 0)))
  q = q.reshape(-1, group, count, size, H).swapaxes(1, 2)
  k, v = (a.reshape(-1, group, S, H) for a in (k, v))

  def heads(them):
    q, k, v = them
    return jax.lax.map(lambda chunk: _attend(chunk, k, v), q)

  out = jax.lax.map(heads, (q, k, v)).swapaxes(1, 2)
  return out.reshape(B, N, count * size, H)[:, :, :T]


def _group(count, most) -> int:
  """The largest divisor of `count` up to `most`."""
  most = max(most, 1)
  return max(n for n in range(1, count + 1) if count % n == 0 and n <= most)


def _chunk(T, most) -> int:
  """Queries at a time: chunks of nearly equal size, a multiple of 8."""
  most = min(_QUERIES[1], max(most, 8))
  even = -(-T // -(-T // most))
  return T if most >= T else -(-even // 8) * 8


def _attend(q, k, v):
  scores = jnp.einsum("NTH,NSH->NTS", q, k, preferred_element_type=jnp.float32)
  weights = jnp.exp(scores - jnp.max(scores, axis=-1, keepdims=True))
  total = jnp.sum(weights, axis=-1, keepdims=True)
  out = jnp.einsum(
    "NTS,NSH->NTH",
    weights.astype(q.dtype),
    v,
    preferred_element_type=jnp.float32,
  )
  return (out / total).astype(q.dtype)
