"""Low-rank adapters beside the frozen weights of Gemma 2's layers.

    y = x W + scale * (x A) B,    scale = alpha / rank

A is drawn at random and B starts at zero, so an untrained adapter changes
nothing. One pair belongs to a projection, as in PEFT: all heads share A, while
keys and values, or gate and input, which one array holds, have a pair each. A
and B are stacked over layers like W and stand beside it:
`llm/layers/attn/q_einsum/lora_a`, `llm/layers/mlp/linear_lora_b`.

Axis letters are those of `models/hispatial.py`; r is the rank, L the layers.

Source: LoRA (arXiv 2106.09685), sections 4.1 and 4.2.
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from hispatial_jax.core import spec


class Axes(NamedTuple):
  """Axes of a weight and of its two factors, without the layers."""

  weight: str
  a: str
  b: str


# The rank never comes last: a TPU pads a last axis to 128 numbers.
AXES = {
  "attn/q_einsum": Axes("NDH", "rD", "rNH"),
  "attn/kv_einsum": Axes("cKDH", "crD", "crKH"),
  "attn/attn_vec_einsum": Axes("NHD", "rNH", "rD"),
  "mlp/gating_einsum": Axes("cDF", "crD", "crF"),
  "mlp/linear": Axes("FD", "rF", "rD"),
}
NAME = r"llm/layers/.*lora_[ab]"  # of every leaf of an adapter, and no other
_KEYS = {"rank": 0, "alpha": 16.0, "weights": ".*"}


@dataclasses.dataclass(frozen=True)
class Adapter:
  """The adapter of one weight.

  Attributes:
    rank: r.
    scale: alpha / rank.
    axes: see `Axes`.
  """

  rank: int
  scale: float
  axes: Axes

  def factors(self, module: nn.Module, prefix: str, shape):
    """(A, B): parameters `<prefix>a` and `<prefix>b` of a module.

    Args:
      module: in its compact call.
      prefix: of their names.
      shape: of the weight.
    """
    sizes = dict(zip(self.axes.weight, shape, strict=True)) | {"r": self.rank}
    a, b = ([sizes[x] for x in axes] for axes in self.axes[1:])
    read = math.prod(sizes[x] for x in self.axes.a if x not in "cr")
    draw = nn.initializers.normal(read**-0.5)
    a = module.param(f"{prefix}a", draw, tuple(a))
    return a, module.param(f"{prefix}b", nn.initializers.zeros, tuple(b))

  def product(self, equation: str, x, a, b):
    """scale * (x A) B in x's dtype, never making A B.

    Args:
      equation: of the weight's own product, "BTD,NDH->BTNH".
      x: input.
      a, b: the factors; without axis c if the equation has none.
    """
    left, out = equation.split("->")
    rows, weight = left.split(",")
    a_axes, b_axes = self.axes[1:]
    if "c" not in weight:
      a_axes, b_axes = a_axes.replace("c", ""), b_axes.replace("c", "")
    kept = [letter for letter in rows if letter not in a_axes]
    both = [letter for letter in a_axes if letter in b_axes]
    low = "".join(kept + both)
    x = jnp.einsum(f"{rows},{a_axes}->{low}", x, a.astype(x.dtype))
    y = jnp.einsum(f"{low},{b_axes}->{out}", x, b.astype(x.dtype))
    return y * jnp.asarray(self.scale, x.dtype)


def read(cfg: Mapping[str, Any] | None) -> dict[str, Adapter]:
  """{weight of `AXES`: its adapter} of `model.llm.lora`.

  Args:
    cfg: rank (0, or no cfg: no adapters), alpha, and weights, a regex of whole
      names of `AXES`.

  Raises:
    ValueError: another key, a negative rank, or a regex that names no weight.
  """
  spec.check_keys(cfg or (), _KEYS, "model.llm.lora")
  rank, alpha, weights = {**_KEYS, **(cfg or {})}.values()
  if rank < 0:
    raise ValueError(f"model.llm.lora.rank={rank}: expected 1 or more, or 0")
  if not rank:
    return {}
  found = [name for name in AXES if re.fullmatch(weights, name)]
  if not found:
    raise ValueError(
      f"model.llm.lora.weights={weights!r} is the whole name of none of "
      f"{', '.join(AXES)}"
    )
  return {name: Adapter(rank, alpha / rank, AXES[name]) for name in found}


def names(weight: str) -> tuple[str, str, str]:
  """Names of the parameters W, A and B of a weight of `AXES`."""
  whole = f"llm/layers/{weight}"
  if weight.startswith("mlp/"):
    return whole, f"{whole}_lora_a", f"{whole}_lora_b"
  return f"{whole}/w", f"{whole}/lora_a", f"{whole}/lora_b"


def num_params(llm: Mapping[str, Any]) -> int:
  """How many numbers the adapters of all layers hold.

  Args:
    llm: arguments of `gemma2.Model`.
  """
  sizes = {"D": llm["width"], "F": llm["mlp_dim"], "H": llm["head_dim"]}
  sizes |= {"N": llm["num_heads"], "K": llm["num_kv_heads"], "c": 2}
  return llm["depth"] * sum(
    math.prod((sizes | {"r": adapter.rank})[x] for x in axes)
    for adapter in read(llm.get("lora")).values()
    for axes in adapter.axes[1:]
  )
