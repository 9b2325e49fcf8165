"""One update: microbatches, gradients of what trains, clip, AdamW.

    update = step.make(loss_fn, opt, accumulate=4)
    state = step.init(params, opt)
    state, out = jax.jit(update, donate_argnums=0)(state, batch)

The loss is one function of the whole batch: accumulated gradients are weighted
by what each microbatch's mean was taken over (tokens, say), so that the update
does not depend on how the batch was cut.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from hispatial_jax.core import mesh, optim

# fn(params, batch) -> (mean loss f32[], {"weight": f32[] what it was the mean
# over, name: f32[] sums over the batch}).
LossFn = Callable[[Any, Any], tuple[jax.Array, dict[str, jax.Array]]]


def init(params, opt: optim.Optimizer) -> dict[str, Any]:
  """Fresh state: {"params", "opt", "step"}."""
  trainable, _ = opt.split(params)
  count = jnp.zeros((), jnp.int32)
  return {"params": params, "opt": opt.tx.init(trainable), "step": count}


def make(
  loss_fn: LossFn,
  opt: optim.Optimizer,
  *,
  accumulate: int = 1,
  layout=None,
  value_and_grad=jax.value_and_grad,
):
  """Builds the update function.

  Args:
    loss_fn: see LossFn.
    opt: the optimizer; its frozen leaves get no gradient.
    accumulate: microbatches of an update; it must divide the rows.
    layout: pytree of shardings of the trainable leaves, which gradients are
      constrained to, so that they are reduced straight into their shards.
    value_and_grad: what differentiates the loss; gradients may come in a lesser
      dtype than their parameters (see `models/mixed.py`).

  Returns:
    fn(state, batch) -> (state, {"loss", "grad_norm", "lr", and the sums of
    loss_fn's aux}), all f32[].
  """

  def update(state, batch):
    trainable, frozen = opt.split(state["params"])

    def loss_of(part, rows):
      return loss_fn(opt.join(part, frozen), rows)

    grad_fn = value_and_grad(loss_of, has_aux=True)
    (loss, sums), grads = accumulated(grad_fn, trainable, batch, accumulate)
    if layout is not None:
      grads = jax.lax.with_sharding_constraint(grads, layout)
    # The compiler widens each number where it is read: no copy is held.
    grads = _widened(grads, trainable)
    out = {
      **sums,
      "loss": loss,
      "grad_norm": optim.global_norm(grads),
      "lr": opt.rate(state["step"]),
    }
    norms = optim.subtree_norms(grads)
    out |= {f"grad_norm/{name}": norm for name, norm in norms.items()}
    updates, moments = opt.tx.update(grads, state["opt"], trainable)
    trainable = optax.apply_updates(trainable, updates)
    params = opt.join(trainable, frozen)
    return {"params": params, "opt": moments, "step": state["step"] + 1}, out

  return update


def accumulated(grad_fn, params, batch, parts: int):
  """((loss, sums), grads) of the batch, computed in `parts` microbatches.

  Gradients are summed in their parameters' dtype, whatever theirs is.

  Args:
    grad_fn: fn(params, rows) -> ((mean loss, aux), grads); aux as in LossFn.
    params: what the gradient is taken of.
    batch: pytree of arrays [B, ...].
    parts: number of microbatches, a divisor of B.
  """
  if parts == 1:
    return grad_fn(params, mesh.constrain(batch))
  rows = microbatches(batch, parts)
  first = jax.tree.map(lambda x: x[0], rows)
  shapes, _ = jax.eval_shape(grad_fn, params, first)
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (shapes, params))

  def add(total, part):
    (loss, sums), grads = grad_fn(params, mesh.constrain(part))
    grads = _widened(grads, params)
    weight = sums["weight"]

    def weighted(x):
      return x * weight.astype(x.dtype)

    new = ((weighted(loss), sums), jax.tree.map(weighted, grads))
    return jax.tree.map(jnp.add, total, new), None

  ((loss, sums), grads), _ = jax.lax.scan(add, zeros, rows)
  # A microbatch without a single token weighs nothing and has no gradient.
  share = 1.0 / jnp.maximum(sums["weight"], 1.0)

  def scaled(x):
    return x * share.astype(x.dtype)

  return (scaled(loss), sums), jax.tree.map(scaled, grads)


def _widened(grads, params):
  return jax.tree.map(lambda g, p: g.astype(p.dtype), grads, params)


def microbatches(batch, parts: int):
  """[B, ...] -> [parts, B / parts, ...], each part spread over all devices.

  Rows are dealt out in turn, so that none has to move to another device.

  Raises:
    ValueError: parts does not divide B.
  """

  def cut(x):
    rows = x.shape[0]
    if rows % parts:
      raise ValueError(
        f"optim.accumulate={parts} must divide the batch of {rows} rows"
      )
    return x.reshape(rows // parts, parts, *x.shape[1:]).swapaxes(0, 1)

  return jax.tree.map(cut, batch)
