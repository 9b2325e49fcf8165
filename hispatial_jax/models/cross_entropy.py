"""Cross entropy over a large vocabulary without its logits.

The logits of all tokens together, f32[B,T,V], are the largest array of a plain
step: 8 GB for 64 rows of 128 tokens. Here a scan makes those of C positions of
every row at a time, and takes gradients in the same turn, so that they are
neither stored nor computed twice.

On a mesh the table lies split over V (see `core.layouts`) and stays where it
is: each device makes its words' logits for every row of its group. The rows'
activations travel, some megabytes, not the table's gigabyte, and the table's
gradient comes out in its shards.

Axis letters are those of `models/hispatial.py`; C positions of a chunk.
"""

import functools

import jax
import jax.numpy as jnp

from hispatial_jax.core import mesh
from hispatial_jax.models import attention


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def weighted(x, table, targets, weights, softcap, chunk):
  """Sum of weights * negative log-likelihood, and what it was made of.

  Args:
    x: [B,T,D] activations before the output table, in the compute dtype.
    table: [V,D] parameters, in any dtype.
    targets: i32[B,T].
    weights: f32[B,T]; no gradient is taken of them.
    softcap: of the logits; 0 or None for none.
    chunk: C, positions of every row at a time; 0 for all.

  Returns:
    (f32[] sum, nll f32[B,T], correct bool[B,T] whether the largest logit is
    the target's). The gradient is that of the sum alone; none is computed of
    a table that is not differentiated.
  """
  return _scan(x, table, targets, weights, softcap, chunk)[:3]


def _value_and_gradient(*args):
  *arrays, softcap, chunk = args
  x, table, targets, weights = (a.value for a in arrays)
  trained = arrays[1].perturbed
  total, nll, correct, dx, dtable = _scan(
    x, table, targets, weights, softcap, chunk, of_x=True, of_table=trained
  )
  if trained:
    # Its sum is done: until the optimizer takes it, it is held in the compute
    # dtype. Together, so that the layers' gradients, which start from dx, wait
    # until the float32 sum is gone.
    dx, dtable = jax.lax.optimization_barrier((dx, dtable.astype(x.dtype)))
  # An empty piece of the table stands for its dtype.
  return (total, nll, correct), (dx, dtable, table[:0])


def _backward(softcap, chunk, kept, cotangents):
  del softcap, chunk
  dx, dtable, like = kept
  by = cotangents[0]
  if isinstance(by, jax.custom_derivatives.SymbolicZero):
    return None, None, None, None
  if dtable is not None:
    dtable = (dtable.astype(jnp.float32) * by).astype(like.dtype)
  return dx * by.astype(dx.dtype), dtable, None, None


weighted.defvjp(_value_and_gradient, _backward, symbolic_zeros=True)


def _scan(
  x, table, targets, weights, softcap, chunk, *, of_x=False, of_table=False
):
  """(sum, nll, correct, gradient of_x, of_table); None for one not wanted."""
  B, T = x.shape[:2]
  V, D = table.shape
  C = min(chunk, T) if chunk else T
  turns = -(-T // C)
  # Over its whole group the rows are needed only if it splits the words.
  split = V % mesh.axis_size(*mesh.WORDS) == 0
  rows, words = (mesh.GROUPS, mesh.WORDS) if split else (mesh.ROWS, None)
  w = mesh.constrain(table.astype(x.dtype), words)

  def cut(a):
    a = jnp.pad(a, ((0, 0), (0, turns * C - T)) + ((0, 0),) * (a.ndim - 2))
    return a.reshape(B, turns, C, *a.shape[2:]).swapaxes(0, 1)

  def turn(dtable, part):
    x, targets, weights = mesh.constrain(part, rows)
    logits = jnp.einsum("BCD,VD->BCV", x, w, preferred_element_type=jnp.float32)
    logits = mesh.constrain(logits, rows, None, words)
    nll, correct, dlogits = _score(logits, targets, weights, softcap)
    if not of_x:
      return None, (nll, correct, None)
    dlogits = mesh.constrain(dlogits.astype(x.dtype), rows, None, words)
    dx = jnp.einsum(
      "BCV,VD->BCD", dlogits, w, preferred_element_type=jnp.float32
    )
    if of_table:
      dtable += jnp.einsum(
        "BCV,BCD->VD", dlogits, x, preferred_element_type=jnp.float32
      )
      dtable = mesh.constrain(dtable, words)
    return dtable, (nll, correct, mesh.constrain(dx).astype(x.dtype))

  start = None
  if of_table:
    start = mesh.constrain(jnp.zeros((V, D), jnp.float32), words)
  whole = mesh.constrain(x, rows)
  parts = jax.tree.map(cut, (whole, targets, weights))
  dtable, out = jax.lax.scan(turn, start, parts)

  def join(a):
    if a is None:
      return None
    a = a.swapaxes(0, 1)
    return a.reshape(B, turns * C, *a.shape[3:])[:, :T]

  nll, correct, dx = (join(a) for a in out)
  return jnp.sum(nll * weights), nll, correct, dx, dtable


def _score(logits, targets, weights, softcap):
  """f32[B,C,V] -> nll, correct [B,C] and the gradient of sum(weights * nll).

  A comparison with the word's number stands for a gather: over words that are
  split it needs no communication but a sum.
  """
  capped = attention.softcap(logits, softcap)
  word = jax.lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1)
  hit = word == targets[..., None]
  top = jnp.max(capped, axis=-1, keepdims=True)
  odds = jnp.exp(capped - top)
  total = jnp.sum(odds, axis=-1, keepdims=True)
  chosen = jnp.sum(jnp.where(hit, capped, 0.0), axis=-1)
  nll = jnp.log(total[..., 0]) + top[..., 0] - chosen
  # Of equal logits the first word counts, as argmax has it.
  first = jnp.min(jnp.where(capped == top, word, logits.shape[-1]), axis=-1)
  gradient = (odds / total - hit.astype(jnp.float32)) * weights[..., None]
  if softcap:
    gradient *= 1.0 - jnp.square(capped / softcap)
  return nll, first == targets, gradient
