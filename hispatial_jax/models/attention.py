"""What the layers of Gemma 2 compute between queries, keys and values.

No parameters here: those are in `models/gemma2.py`. Axis letters are those of
`models/hispatial.py`.

Source: Gemma 2 report (arXiv 2408.00118), section 2; rotary positions as in
RoFormer (arXiv 2104.09864); arithmetic as big_vision's `models/ppp/gemma.py`.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hispatial_jax.core import mesh

# Finite, so that a row that sees nothing gives a uniform softmax and no NaN.
_MASKED = -2.3819763e38


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


def attend_by_head(q, parts, mask, cap):
  """`attend`, one key/value head at a time, for long rows on a TPU.

  The scores of all heads, f32[N,K,G,T,S], do not fit the chip's fast memory,
  and go out and in again some ten times in a training step; those of one head
  do. They are computed again for the gradient: a sixtieth of a step's FLOPs.
  Where devices share the heads (mesh axis tensor), each takes one of its own.
  """
  K, devices = q.shape[2], mesh.axis_size("tensor")
  devices = devices if K % devices == 0 else 1

  def turns(x):
    """[B,S,K,...] -> [turns, B, S, one head a device, ...]."""
    x = x.reshape(*x.shape[:2], devices, K // devices, *x.shape[3:])
    return jnp.moveaxis(x, 3, 0)

  pairs = [(turns(k), turns(v)) for k, v in parts]

  @functools.partial(jax.checkpoint, prevent_cse=False)
  def one(q, pairs):
    return attend(q, pairs, mask, cap)

  def turn(_, head):
    return None, one(*head)

  _, out = jax.lax.scan(turn, None, (turns(q), pairs))
  return jnp.moveaxis(out, 0, 3).reshape(q.shape)
