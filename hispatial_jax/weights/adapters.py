"""Adapters merged into the weights they stand beside, and left out.

    found = adapters.merge(source.open("runs/lora"))    # a plain checkpoint

W + scale * A B is computed in float32, one layer at a time, and is float32
whatever W is held in: what the adapters learnt may be less than one step of
bfloat16.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from hispatial_jax.models import lora
from hispatial_jax.weights import lazy


def is_adapter(name: str) -> bool:
  """Whether a parameter is a factor of an adapter."""
  return re.fullmatch(lora.NAME, name) is not None


def any_in(names: Iterable[str]) -> bool:
  """Whether some of these parameters are adapters."""
  return any(is_adapter(name) for name in names)


def of_config(config: Mapping[str, Any]) -> dict[str, lora.Adapter]:
  """{weight: adapter} of the arguments of `hispatial.Model`."""
  return lora.read(config["llm"].get("lora"))


def merge(found):
  """The source.Checkpoint with its adapters merged; as it is without any."""
  wanted = of_config(found.config)
  if not wanted:
    return found
  plain = {n: x for n, x in found.params.items() if not is_adapter(n)}
  for weight, adapter in wanted.items():
    names = lora.names(weight)
    plain[names[0]] = _merged(adapter, *(found.params[n] for n in names))
  llm = {k: v for k, v in found.config["llm"].items() if k != "lora"}
  config = {**found.config, "llm": llm}
  return dataclasses.replace(found, params=plain, config=config)


def fit(found, config: Mapping[str, Any]):
  """The checkpoint as a model of this config begins with it.

  Its adapters stay apart where the model has the same, and are merged where it
  has others or none, so that the model says what the checkpoint's did.

  Args:
    found: source.Checkpoint.
    config: arguments of `hispatial.Model`.
  """
  same = of_config(found.config) == of_config(config)
  return found if same else merge(found)


def _merged(adapter, w, a, b) -> lazy.Array:
  """W + scale * A B, read by layer (and by projection, axis c)."""
  axes = adapter.axes

  def read(index):
    if not index:
      whole = np.empty(w.shape, np.float32)
      for layer in range(len(whole)):
        whole[layer] = read((layer,))
      return whole
    left, right, out = (
      x[len(index) - 1 :] for x in (axes.a, axes.b, axes.weight)
    )
    low = [x.read(index).astype(np.float32) for x in (a, b)]
    product = np.einsum(f"{left},{right}->{out}", *low, optimize=True)
    product *= np.float32(adapter.scale)
    return w.read(index).astype(np.float32) + product

  lead = min(1 + axes.weight.startswith("c"), a.lead, b.lead, w.lead)
  return lazy.Array(w.shape, np.dtype(np.float32), read, lead=lead)
