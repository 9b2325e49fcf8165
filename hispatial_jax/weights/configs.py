"""The model's config: from config.json, to config.json, from shapes alone.

Widths, depths and the image size are always taken from the tensors; only heads
and scales need config.json.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from hispatial_jax.models import gemma2
from hispatial_jax.weights import paligemma

_Shapes = Mapping[str, tuple[int, ...]]
_VISION = "vision_tower.vision_model"
_TEXT = "language_model.model"


def from_huggingface(config: Mapping[str, Any], shapes: _Shapes) -> dict:
  """Arguments of `hispatial.Model` for a PaliGemma-2 or HiSpatial checkpoint.

  Args:
    config: content of its config.json.
    shapes: {canonical name: shape} of its tensors.

  Raises:
    ValueError: config.json or the checkpoint lacks what is needed.
  """
  heads = _heads(config)
  patch = _shape(shapes, f"{_VISION}.embeddings.patch_embedding.weight")
  table = _shape(shapes, f"{_VISION}.embeddings.position_embedding.weight")
  vocab_size, width = _shape(shapes, paligemma.EMBEDDING)
  vision, text = f"{_VISION}.encoder.layers", f"{_TEXT}.layers"
  queries = _shape(shapes, f"{text}.0.self_attn.q_proj.weight")[0]
  img = {
    "width": patch[0],
    "depth": _depth(shapes, vision),
    "mlp_dim": _shape(shapes, f"{vision}.0.mlp.fc1.weight")[0],
    "num_heads": heads["img"],
    "num_outputs": width,
    "patch_size": patch[2],
    "image_size": math.isqrt(table[0]) * patch[2],
  }
  llm = {
    "width": width,
    "depth": _depth(shapes, text),
    "mlp_dim": _shape(shapes, f"{text}.0.mlp.gate_proj.weight")[0],
    "num_heads": heads["llm"],
    "num_kv_heads": heads["kv"],
    "head_dim": queries // heads["llm"],
    "vocab_size": min(vocab_size, paligemma.VOCAB_SIZE),
    **_scales(config["text_config"]),
  }
  return _model(img, llm, shapes.get("depth_encoder.conv.weight"))


def _model(img, llm, conv) -> dict:
  """conv: shape of the point map's patch convolution, channels second."""
  pointmap = conv and {
    "width": img["width"],
    "num_outputs": llm["width"],
    "num_freqs": (conv[1] - 1) // 6,
    "patch_size": conv[2],
  }
  towers = {"img": img, "llm": llm, "pointmap": pointmap}
  return {**towers, "dtype": "float32", "image_sees_text": True}


def _heads(config) -> dict[str, int]:
  keys = {
    "img": ("vision_config", "num_attention_heads"),
    "llm": ("text_config", "num_attention_heads"),
    "kv": ("text_config", "num_key_value_heads"),
  }
  lacking = [
    f"{part}.{key}"
    for part, key in keys.values()
    if key not in config.get(part, {})
  ]
  if lacking:
    raise ValueError(
      f"config.json lacks {', '.join(lacking)}; expected that of a PaliGemma-2"
    )
  return {name: int(config[part][key]) for name, (part, key) in keys.items()}


def _scales(text) -> dict[str, float]:
  """Softcaps and query scale; what is absent is Gemma 2's own."""
  scales = {
    "attn_softcap": text.get("attn_logit_softcapping", 50.0),
    "final_softcap": text.get("final_logit_softcapping", 30.0),
  }
  if text.get("query_pre_attn_scalar"):
    scales["query_scale"] = float(text["query_pre_attn_scalar"]) ** -0.5
  return scales


def _shape(shapes, name):
  if name not in shapes:
    raise ValueError(f"not a PaliGemma-2 checkpoint: it has no {name}")
  return shapes[name]


def _depth(shapes, prefix) -> int:
  """Number of layers: one more than the largest index."""
  pattern = re.compile(re.escape(prefix) + r"\.(\d+)\..*")
  found = [int(m[1]) for m in map(pattern.fullmatch, shapes) if m]
  return max(found, default=-1) + 1


def from_shapes(
  shapes: _Shapes, config: Mapping[str, Any] | None = None
) -> dict:
  """Arguments of `hispatial.Model` for parameters under our own names.

  Args:
    shapes: {our name: shape}.
    config: content of a Hugging Face config.json, for what shapes do not tell.
      Without it the query scale is that of the Gemma 2 with these shapes (27B
      has its own), else head_dim ** -0.5.

  Raises:
    ValueError: a name that tells a size is missing.
  """

  def shape(name):
    if name not in shapes:
      raise ValueError(f"not parameters of this model: there is no {name}")
    return shapes[name]

  block = "img/Transformer/encoderblock"
  attention = f"{block}/MultiHeadDotProductAttention_0"
  patch = shape("img/embedding/kernel")
  depth, _, heads, _ = shape(f"{attention}/query/kernel")
  img = {
    "width": patch[3],
    "depth": depth,
    "mlp_dim": shape(f"{block}/MlpBlock_0/Dense_0/kernel")[2],
    "num_heads": heads,
    "num_outputs": shape("img/head/kernel")[1],
    "patch_size": patch[0],
    "image_size": math.isqrt(shape("img/pos_embedding")[1]) * patch[0],
  }
  vocab_size, width = shape("llm/embedder/input_embedding")
  depth, heads, _, head_dim = shape("llm/layers/attn/q_einsum/w")
  llm = {
    "width": width,
    "depth": depth,
    "mlp_dim": shape("llm/layers/mlp/linear")[1],
    "num_heads": heads,
    "num_kv_heads": shape("llm/layers/attn/kv_einsum/w")[2],
    "head_dim": head_dim,
  }
  llm = next(
    (v for v in gemma2.VARIANTS.values() if llm.items() <= v.items()), llm
  )
  kernel = shapes.get("pointmap/embedding/kernel")
  conv = kernel and (kernel[3], kernel[2], *kernel[:2])
  llm = {**llm, "vocab_size": vocab_size}
  llm |= _scales(config["text_config"]) if config else {}
  return _model(img, llm, conv)


def to_huggingface(config: Mapping[str, Any], surplus: int) -> dict:
  """Content of config.json for the arguments of `hispatial.Model`.

  Args:
    config: the model's arguments.
    surplus: rows of the embedding beyond the vocabulary.
  """
  img, llm = config["img"], config["llm"]
  scale = llm.get("query_scale") or llm["head_dim"] ** -0.5
  tokens = (img["image_size"] // img["patch_size"]) ** 2
  text = {
    "model_type": "gemma2",
    "vocab_size": llm["vocab_size"] + surplus,
    "hidden_size": llm["width"],
    "intermediate_size": llm["mlp_dim"],
    "num_hidden_layers": llm["depth"],
    "num_attention_heads": llm["num_heads"],
    "num_key_value_heads": llm["num_kv_heads"],
    "head_dim": llm["head_dim"],
    "query_pre_attn_scalar": round(scale**-2, 6),
    "attn_logit_softcapping": llm.get("attn_softcap", 50.0),
    "final_logit_softcapping": llm.get("final_softcap", 30.0),
    "num_image_tokens": tokens,
    "sliding_window": 4096,
  }
  vision = {
    "model_type": "siglip_vision_model",
    "hidden_size": img["width"],
    "intermediate_size": img["mlp_dim"],
    "num_hidden_layers": img["depth"],
    "num_attention_heads": img["num_heads"],
    "patch_size": img["patch_size"],
    "image_size": img["image_size"],
    "num_image_tokens": tokens,
    "projection_dim": llm["width"],
    "vision_use_head": False,
  }
  return {
    "architectures": ["PaliGemmaForConditionalGeneration"],
    "model_type": "paligemma",
    "image_token_index": llm["vocab_size"],
    "hidden_size": img["width"],
    "projection_dim": llm["width"],
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": 2,
    "text_config": text,
    "vision_config": vision,
  }
