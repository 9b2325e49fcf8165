"""Mixed precision: float32 parameters whose gradients are not.

    grad_fn = mixed.value_and_grad("bfloat16")(loss_fn, has_aux=True)
    (loss, aux), grads = grad_fn(params, batch)

A layer's matrices are held in float32, since an update is a millionth of a
weight, and read in the model's dtype. Their gradients are made by products in
that dtype; held in float32 they would have no more digits and twice the bytes,
at the moment when a step needs most. So what is differentiated is not the
parameter but a stand-in of the same shape and the lesser dtype, whose value is
never read. Whoever takes the gradient widens each where it is consumed.

In a model whose dtype is that of its parameters nothing changes.
"""

import dataclasses
import re

import jax
import jax.numpy as jnp

from hispatial_jax.core import tree

# The matrices of the stacked layers, each read once, by `astype`. The others
# are small (adapters, too), or read in float32, or like the embedding's table
# used twice.
LAYERS = r"llm/layers/(attn|mlp)/(?!.*lora_[ab]).*"


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Weight:
  """A parameter, and where its gradient goes; stands for the array in a layer.

  Attributes:
    held: the parameter, which itself gets no gradient.
    stand_in: of the same shape, in the dtype of the gradient; never read.
  """

  held: jax.Array
  stand_in: jax.Array

  def astype(self, dtype) -> jax.Array:
    """The weight in the dtype of its gradient.

    Raises:
      TypeError: it is wanted in another one.
    """
    if self.stand_in.dtype != dtype:
      raise TypeError(
        f"a weight with gradients in {self.stand_in.dtype} is wanted in "
        f"{jnp.dtype(dtype)}: expected the model's dtype"
      )
    return _read(self.held, self.stand_in)


@jax.custom_vjp
def _read(held, stand_in):
  # Else the compiler casts all layers before the loop over them, and holds
  # every matrix in both dtypes.
  return jax.lax.optimization_barrier(held).astype(stand_in.dtype)


def _read_forward(held, stand_in):
  return _read(held, stand_in), None


def _read_backward(_, gradient):
  return None, gradient


_read.defvjp(_read_forward, _read_backward)


def value_and_grad(dtype: str, weights: str = LAYERS):
  """`jax.value_and_grad` for a model that computes in `dtype`.

  Args:
    dtype: the model's.
    weights: regex of whole names of parameters that the model reads by
      `astype` to that dtype and in no other way.

  Returns:
    Like jax.value_and_grad, of functions whose first argument is a nested dict
    of parameters. The gradients of `weights` are in `dtype`.
  """

  def transform(fn, has_aux=False):
    def run(params, *args):
      held = tree.flatten(params)
      stand_ins = {
        name: jnp.zeros(x.shape, dtype)
        for name, x in held.items()
        if re.fullmatch(weights, name) and x.dtype != jnp.dtype(dtype)
      }

      def of(varied, *args):
        pairs = {name: Weight(held[name], varied[name]) for name in stand_ins}
        return fn(tree.unflatten({**varied, **pairs}), *args)

      grad_fn = jax.value_and_grad(of, has_aux=has_aux)
      value, grads = grad_fn({**held, **stand_ins}, *args)
      return value, tree.unflatten(grads)

    return run

  return transform
