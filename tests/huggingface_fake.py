"""Tiny random models with their processors, as transformers saves them."""

import weights_random

from hispatial_jax.weights import export, lazy, source

WORDS = "how wide is the red chair table in metres left or right yes no 1 2 3 ?"
_SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<image>")
_CHAT = (
  "{% for m in messages %}{% for c in m.content %}"
  "{% if c.type == 'image' %}<image>{% else %}{{ c.text }}{% endif %}"
  "{% endfor %}{% endfor %}{% if add_generation_prompt %} yes{% endif %}"
)


def save(folder, seed=0):
  """Writes a PaliGemma-2: 28 px, 4 image tokens, WORDS and locations."""
  import transformers

  processor = _processor(transformers)
  size = len(processor.tokenizer)
  cfg = weights_random.config(
    pointmap=False, vocab_size=size, final_softcap=None
  )
  arrays = {
    name: lazy.of(5 * x) for name, x in weights_random.params(cfg, seed).items()
  }
  export.save(folder, source.Checkpoint(arrays, cfg, "npz"), "huggingface")
  config = transformers.AutoConfig.from_pretrained(folder)
  config.image_token_index = processor.image_token_id
  config.text_config.bos_token_id = processor.tokenizer.bos_token_id
  config.text_config.eos_token_id = processor.tokenizer.eos_token_id
  config.text_config.pad_token_id = processor.tokenizer.pad_token_id
  config.save_pretrained(folder)
  processor.save_pretrained(folder)
  return folder


def save_llava(folder):
  """Writes a model of another kind, with a chat template."""
  import torch
  import transformers

  names = ["input_ids", "attention_mask"]
  words = _words(transformers.PreTrainedTokenizerFast, model_input_names=names)
  words.add_special_tokens({"additional_special_tokens": ["<image>"]})
  small = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
  small |= {"num_attention_heads": 2}
  config = transformers.LlavaConfig(
    transformers.CLIPVisionConfig(**small, image_size=28, patch_size=14),
    transformers.LlamaConfig(
      **small,
      num_key_value_heads=1,
      vocab_size=len(words),
      bos_token_id=words.bos_token_id,
      eos_token_id=words.eos_token_id,
    ),
    image_token_index=words.convert_tokens_to_ids("<image>"),
    vision_feature_layer=-1,
  )
  torch.manual_seed(0)
  transformers.LlavaForConditionalGeneration(config).save_pretrained(folder)
  size = {"height": 28, "width": 28}
  pictures = transformers.CLIPImageProcessor(size=size, crop_size=size)
  transformers.LlavaProcessor(
    pictures,
    words,
    patch_size=14,
    vision_feature_select_strategy="default",
    num_additional_image_tokens=1,
    chat_template=_CHAT,
  ).save_pretrained(folder)
  return folder


def _processor(transformers):
  pictures = transformers.SiglipImageProcessor(size={"height": 28, "width": 28})
  pictures.image_seq_length = 4
  words = _words(transformers.GemmaTokenizerFast)
  return transformers.PaliGemmaProcessor(pictures, words)


def _words(kind, **more):
  import tokenizers

  table = [*_SPECIAL, "\n", *dict.fromkeys(WORDS.split())]
  model = tokenizers.models.WordLevel(
    {word: i for i, word in enumerate(table)}, unk_token="<unk>"
  )
  raw = tokenizers.Tokenizer(model)
  split = tokenizers.pre_tokenizers.Split
  raw.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
    [split(" ", "removed"), split("\n", "isolated")]
  )
  return kind(
    tokenizer_object=raw,
    pad_token="<pad>",
    eos_token="<eos>",
    bos_token="<bos>",
    unk_token="<unk>",
    **more,
  )
