"""Attention of all tokens to all, in bounded memory.

Axis letters: B batch, N heads, T query tokens, S key tokens, H head dim.
"""

import jax
import jax.numpy as jnp

# Scores of one chunk of queries may take this many bytes; at 3,601 tokens all
# at once would be 6.6 GB for ViT-L and a batch of 8.
_SCORE_BYTES = 512 << 20
_MAX_QUERIES = 256


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
