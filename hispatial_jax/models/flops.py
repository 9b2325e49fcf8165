"""Model FLOPs of a training step: a hand count of its products.

What a step must compute, whatever the program computes again to save memory.
A product [m,k] x [k,n] is 2mkn; elementwise work, softmax and norms are left
out (they are a thousandth). Masked scores count: the hardware makes them.

Each product runs once forward; backward it runs once more for the gradient of
its weights, if they are trained, and once more for that of its input, if
anything before it is trained. So a frozen tower costs one pass, a trained
language model three, and a frozen one between trained adapters two.

Axis letters are those of `models/hispatial.py`; S = P + T rows of the language
model.
"""

import re
from collections.abc import Callable

from hispatial_jax.models import lora

_ADAPTERS = "llm/adapters"
_EVERYTHING = frozenset(
  {"img", "img/head", "pointmap/embedding", "pointmap/head", "llm", _ADAPTERS}
)


def trained_parts(frozen) -> frozenset[str]:
  """Parts of the model of which some leaf is trained.

  Args:
    frozen: {name of a parameter: bool}.
  """
  return frozenset(_part(name) for name, held in frozen.items() if not held)


def _part(name):
  tower, *rest = name.split("/")
  if tower == "pointmap":
    return f"pointmap/{rest[0]}"
  if re.fullmatch(lora.NAME, name):
    return _ADAPTERS
  return "img/head" if name.startswith("img/head/") else tower


def of_sample(
  cfg: dict, length: int, *, loss_tokens: int = 0, trained=_EVERYTHING
) -> dict[str, float]:
  """FLOPs of one sample's training step, by what they are for.

  Args:
    cfg: arguments of `hispatial.Model`.
    length: text tokens of a batch row; the model sees all but the last.
    loss_tokens: positions with logits; 0 is all that the model sees.
    trained: parts with trained parameters (see `trained_parts`); empty counts
      the forward pass alone.

  Returns:
    {"image tower", "image head", "point map", "layers", "adapters",
    "attention", "loss"}; attention is that of the language model.
  """
  img, llm = cfg["img"], cfg["llm"]
  P, T = (img["image_size"] // img["patch_size"]) ** 2, length - 1
  passes = _passes(trained)
  patches, tower, scores = _siglip(img, P)
  head = 2.0 * P * img["width"] * img["num_outputs"]
  out = {
    "image tower": patches * passes("img")
    + tower * passes("img", "img")
    + scores * passes("img", input_too=True),
    "image head": head * passes("img/head", "img"),
    "point map": 0.0,
  }
  if cfg["pointmap"] is not None:
    out["point map"] = _pointmap(cfg["pointmap"], img["image_size"], passes)
  layers, scores = _gemma(llm, P + T)
  out["layers"] = layers * passes("llm", *_EVERYTHING)
  adapters = 2.0 * (P + T) * lora.num_params(llm)
  out["adapters"] = adapters * passes(_ADAPTERS, *_EVERYTHING)
  out["attention"] = scores * passes("llm", *_EVERYTHING, input_too=True)
  words = 2.0 * (loss_tokens or T) * llm["vocab_size"] * llm["width"]
  out["loss"] = words * passes("llm", *_EVERYTHING)
  return out


def _passes(trained) -> Callable[..., int]:
  """How often a product runs: fn(its part, *parts before it)."""

  def count(own, *before, input_too=False):
    weights, inputs = own in trained, bool(trained & set(before))
    if input_too:  # both factors are activations
      weights = inputs = weights or inputs
    return 1 + weights + inputs

  return count


def _siglip(img, P):
  """(patches, products with weights, products of activations), forward."""
  D, F, L = img["width"], img["mlp_dim"], img["depth"]
  patch = 2.0 * P * 3 * img["patch_size"] ** 2 * D
  layer = 2.0 * P * (4 * D * D + 2 * D * F)
  return patch, L * layer, L * 4.0 * P * P * D


def _pointmap(cfg, image_size, passes):
  p, D = cfg["patch_size"], cfg["width"]
  patches = (image_size // p) ** 2
  embed = 2.0 * patches * p * p * (6 * cfg["num_freqs"] + 1) * D
  head = 2.0 * patches * D * cfg["num_outputs"]
  return embed * passes("pointmap/embedding") + head * passes(
    "pointmap/head", "pointmap/embedding"
  )


def _gemma(llm, S):
  """(products with weights, products of activations) of all layers, forward."""
  D, F = llm["width"], llm["mlp_dim"]
  N, K, H = llm["num_heads"], llm["num_kv_heads"], llm["head_dim"]
  layer = 2.0 * S * (2 * D * N * H + 2 * D * K * H + 3 * D * F)
  return llm["depth"] * layer, llm["depth"] * 4.0 * S * S * N * H
