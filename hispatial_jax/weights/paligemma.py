"""PaliGemma-2 as Hugging Face stores it.

Linear weights are (out, in) there, heads lie flat, layers apart, keys and
values in two tensors. Norm weights need no offset and rotary embedding no
permutation: both sides agree.

Source: transformers 4.50 and 4.57 (parameter names), checked by loading what is
written into PaliGemmaForConditionalGeneration (tests/test_weights_paligemma).
"""

import re

from hispatial_jax.weights import lazy, rename

# Ids of the released models; Hugging Face pads the table to a multiple of 64
# with the `<image>` placeholder (id 257,152) and rows that mean nothing.
VOCAB_SIZE = 257_152
SURPLUS = 64

_BLOCK = "img/Transformer/encoderblock"
_ATTENTION = f"{_BLOCK}/MultiHeadDotProductAttention_0"
_VISION = "vision_tower.vision_model"
_LAYER = f"{_VISION}.encoder.layers.{{L}}"
_TEXT = "language_model.model"
_DECODER = f"{_TEXT}.layers.{{L}}"
EMBEDDING = f"{_TEXT}.embed_tokens.weight"
LM_HEAD = "language_model.lm_head.weight"


def _norm(ours, theirs, axes):
  return [
    rename.Row(f"{ours}/scale", axes, f"{theirs}.weight", axes[-1]),
    rename.Row(f"{ours}/bias", axes, f"{theirs}.bias", axes[-1]),
  ]


def _vision_attention(ours, theirs):
  ours, theirs = f"{_ATTENTION}/{ours}", f"{_LAYER}.self_attn.{theirs}"
  return [
    rename.Row(f"{ours}/kernel", "L D N H", f"{theirs}.weight", "(N H) D"),
    rename.Row(f"{ours}/bias", "L N H", f"{theirs}.bias", "(N H)"),
  ]


def _decoder(ours, axes, theirs, their_axes):
  ours, theirs = f"llm/layers/{ours}", f"{_DECODER}.{theirs}.weight"
  return rename.Row(ours, axes, theirs, their_axes)


_OUT, _MLP = f"{_ATTENTION}/out", f"{_BLOCK}/MlpBlock_0"
_PATCH = f"{_VISION}.embeddings.patch_embedding"
_POSITIONS = f"{_VISION}.embeddings.position_embedding"

IMG = [
  rename.Row("img/embedding/kernel", "h w C D", f"{_PATCH}.weight", "D C h w"),
  rename.Row("img/embedding/bias", "D", f"{_PATCH}.bias", "D"),
  rename.Row("img/pos_embedding", "0/1 P D", f"{_POSITIONS}.weight", "P D"),
  *_norm(f"{_BLOCK}/LayerNorm_0", f"{_LAYER}.layer_norm1", "L D"),
  *_norm(f"{_BLOCK}/LayerNorm_1", f"{_LAYER}.layer_norm2", "L D"),
  *_vision_attention("query", "q_proj"),
  *_vision_attention("key", "k_proj"),
  *_vision_attention("value", "v_proj"),
  rename.Row(
    f"{_OUT}/kernel",
    "L N H D",
    f"{_LAYER}.self_attn.out_proj.weight",
    "D (N H)",
  ),
  rename.Row(f"{_OUT}/bias", "L D", f"{_LAYER}.self_attn.out_proj.bias", "D"),
  rename.Row(
    f"{_MLP}/Dense_0/kernel", "L D F", f"{_LAYER}.mlp.fc1.weight", "F D"
  ),
  rename.Row(f"{_MLP}/Dense_0/bias", "L F", f"{_LAYER}.mlp.fc1.bias", "F"),
  rename.Row(
    f"{_MLP}/Dense_1/kernel", "L F D", f"{_LAYER}.mlp.fc2.weight", "D F"
  ),
  rename.Row(f"{_MLP}/Dense_1/bias", "L D", f"{_LAYER}.mlp.fc2.bias", "D"),
  *_norm("img/Transformer/encoder_norm", f"{_VISION}.post_layernorm", "D"),
]

PROJECTOR = "multi_modal_projector.linear"
HEAD = [
  rename.Row("img/head/kernel", "D M", f"{PROJECTOR}.weight", "M D"),
  rename.Row("img/head/bias", "M", f"{PROJECTOR}.bias", "M"),
]

LLM = [
  rename.Row("llm/embedder/input_embedding", "V D", EMBEDDING, "V+ D"),
  _decoder("attn/q_einsum/w", "L N D H", "self_attn.q_proj", "(N H) D"),
  _decoder("attn/kv_einsum/w", "L 0/2 K D H", "self_attn.k_proj", "(K H) D"),
  _decoder("attn/kv_einsum/w", "L 1/2 K D H", "self_attn.v_proj", "(K H) D"),
  _decoder("attn/attn_vec_einsum/w", "L N H D", "self_attn.o_proj", "D (N H)"),
  _decoder("mlp/gating_einsum", "L 0/2 D F", "mlp.gate_proj", "F D"),
  _decoder("mlp/gating_einsum", "L 1/2 D F", "mlp.up_proj", "F D"),
  _decoder("mlp/linear", "L F D", "mlp.down_proj", "D F"),
  _decoder("pre_attention_norm/scale", "L D", "input_layernorm", "D"),
  _decoder("post_attention_norm/scale", "L D", "post_attention_layernorm", "D"),
  _decoder("pre_ffw_norm/scale", "L D", "pre_feedforward_layernorm", "D"),
  _decoder("post_ffw_norm/scale", "L D", "post_feedforward_layernorm", "D"),
  rename.Row("llm/final_norm/scale", "D", f"{_TEXT}.norm.weight", "D"),
]

ROWS = [*IMG, *HEAD, *LLM]

# Newer transformers moved the prefixes; the tensors are the same.
_PREFIXES = [
  (r"model\.language_model\.", f"{_TEXT}."),
  (r"lm_head\.", "language_model.lm_head."),
  (r"model\.(vision_tower|multi_modal_projector|depth_encoder)\.", r"\1."),
]
_BUFFERS = re.compile(r".*\.(position_ids|inv_freq)")


def canonical(theirs: lazy.Arrays) -> dict[str, lazy.Array]:
  """Their tensors under the names of the table, buffers left out.

  The output table `lm_head` is tied to the embedding: a copy is dropped.

  Raises:
    ValueError: two tensors of one name, or an `lm_head` of its own.
  """
  found = {}
  for name, array in theirs.items():
    for old, new in _PREFIXES:
      name, count = re.subn(f"^{old}", new, name)
      if count:
        break
    if _BUFFERS.fullmatch(name):
      continue
    if name in found:
      raise ValueError(f"{name} is there twice, with old and new prefix")
    found[name] = array
  head, table = found.pop(LM_HEAD, None), found.get(EMBEDDING)
  if head is None:
    return found
  if table is None:
    return {**found, EMBEDDING: head}
  if head.shape != table.shape or lazy.difference(head, table) != 0:
    raise ValueError(
      f"{LM_HEAD} differs from {EMBEDDING}; expected tied tables, as Gemma's"
    )
  return found
