"""What tools/bench_decode.py measures: models, prompts, and both codes."""

import collections
import json
import pathlib
import time

import numpy as np

_TOWER = {"width": 128, "depth": 2, "mlp_dim": 256, "num_heads": 2}
_KEYS = ("width", "depth", "mlp_dim", "num_heads", "num_kv_heads", "head_dim")
# Gemma-2's proportions, and of 30m also that of the table to the layers.
_DECODERS = {
  "30m": ((448, 8, 1792, 4, 2, 112), 12_288),
  "66m": ((512, 8, 2048, 4, 2, 128), 65_536),
  "200m": ((768, 12, 3072, 6, 3, 128), 131_072),
}


def names() -> list[str]:
  """Of all sizes."""
  from hispatial_jax.models import sizes

  return [*_DECODERS, *sizes.names()]


def config(args, *, fused=False) -> dict:
  """Arguments of `hispatial.Model`; only if `fused` it has a point map."""
  from hispatial_jax.core import spec
  from hispatial_jax.models import sizes

  if args.size not in names():
    near = spec.did_you_mean(args.size, names())
    raise ValueError(f"--size {args.size}{near}")
  if args.size in _DECODERS:
    values, vocabulary = _DECODERS[args.size]
    llm = dict(zip(_KEYS, values, strict=True), vocab_size=vocabulary)
    cfg = sizes.config("toy", img=_TOWER, llm=llm)
    outputs = {"num_outputs": llm["width"]}
    cfg["img"] |= {**outputs, "image_size": 56}
    cfg["pointmap"] |= {**outputs, "width": _TOWER["width"]}
  else:
    cfg = sizes.config(args.size)
  if not fused:
    cfg["pointmap"] = None
  for part, key, value in (
    ("img", "image_size", args.px),
    ("llm", "depth", args.layers),
    ("llm", "vocab_size", args.vocab),
  ):
    if value:
      cfg[part][key] = value
  if cfg["img"]["image_size"] % 14:
    raise ValueError(f"--px {args.px} is not a multiple of 14")
  return cfg | {"dtype": args.dtype}


def write(args, folder: pathlib.Path) -> dict:
  """Random weights as Hugging Face's files, and prompts; says what they are."""
  cfg = config(args)
  counts = write_weights(cfg, folder)
  rng = np.random.default_rng(0)
  side = cfg["img"]["image_size"]
  image = rng.uniform(-1, 1, (args.batch, side, side, 3)).astype(np.float32)
  # 0 to 2 are for padding, end and begin.
  text = rng.integers(3, cfg["llm"]["vocab_size"], (args.batch, args.text))
  np.savez(folder / "prompts.npz", image=image, text=text.astype(np.int32))
  size = {"float32": 4, "bfloat16": 2}[cfg["dtype"]]
  return {
    "parameters": sum(counts.values()),
    "decoder_bytes": size * counts["llm"],
    "image_tokens": (side // 14) ** 2,
  }


def write_weights(cfg, folder: pathlib.Path) -> dict[str, int]:
  """Random weights: Hugging Face's, pointmap.npz; ours.json.

  Returns:
    {"img" | "llm" | "pointmap": number of parameters}.
  """
  from hispatial_jax.core import tree
  from hispatial_jax.models import sizes
  from hispatial_jax.weights import export, lazy, source

  rng = np.random.default_rng(1)
  shapes = tree.flatten(sizes.param_shapes(cfg))

  def draw(shape):
    fan = shape[-1] if len(shape) == 2 else shape[-2] if len(shape) > 2 else 100
    return fan**-0.5 * rng.standard_normal(shape, dtype=np.float32)

  params = {name: draw(x.shape) for name, x in shapes.items()}
  fusion = {k: params.pop(k) for k in list(params) if k.startswith("pointmap/")}
  np.savez(folder / "pointmap.npz", **fusion)
  arrays = {name: lazy.of(x) for name, x in params.items()}
  plain = source.Checkpoint(arrays, {**cfg, "pointmap": None}, "npz")
  export.save(folder / "model", plain, "huggingface", dtype=cfg["dtype"])
  (folder / "ours.json").write_text(json.dumps(cfg))
  counts = collections.Counter()
  for name, x in shapes.items():
    counts[name.split("/")[0]] += x.size
  return dict(counts)


def ours(folder: pathlib.Path):
  """fn(new) -> {"seconds", "tokens"}: `models/decode.py`."""
  import jax
  import jax.numpy as jnp

  from hispatial_jax.models import decode, hispatial
  from hispatial_jax.weights import source

  cfg = json.loads((folder / "ours.json").read_text())
  params = source.load(folder / "model")[0]
  params = jax.device_put(params)
  prompts = np.load(folder / "prompts.npz")
  real = jnp.ones(prompts["text"].shape, jnp.int32)
  batch = {"image": prompts["image"], "points": None, "text": prompts["text"]}
  batch |= {"mask_ar": 0 * real, "mask_input": real}
  model = hispatial.Model(**cfg)

  def run(new):
    begin = time.perf_counter()
    out = decode.generate(model, params, batch, max_new_tokens=new, eos_id=-1)
    tokens = np.asarray(out["tokens"])
    return _reply(begin, tokens)

  return run


def theirs(folder: pathlib.Path):
  """fn(new) -> {"seconds", "tokens"}: transformers' `generate`, greedy.

  With "eager" attention: the other kinds drop Gemma-2's softcap of scores.
  """
  import os

  import torch
  import transformers

  transformers.logging.set_verbosity_error()
  torch.set_num_threads(len(os.sched_getaffinity(0)))
  model = transformers.PaliGemmaForConditionalGeneration.from_pretrained(
    folder / "model", dtype="auto", attn_implementation="eager"
  ).eval()
  model.generation_config.eos_token_id = None
  cfg = json.loads((folder / "ours.json").read_text())
  model = model.to(getattr(torch, cfg["dtype"]))
  prompts = np.load(folder / "prompts.npz")
  count = (cfg["img"]["image_size"] // 14) ** 2
  image = np.full((len(prompts["text"]), count), model.config.image_token_id)
  ids = torch.tensor(np.concatenate([image, prompts["text"]], 1)).long()
  pixels = torch.tensor(prompts["image"]).permute(0, 3, 1, 2).contiguous()
  inputs = {
    "input_ids": ids,
    "pixel_values": pixels.to(model.dtype),
    "attention_mask": torch.ones_like(ids),
  }

  def run(new):
    begin = time.perf_counter()
    with torch.inference_mode():
      out = model.generate(
        **inputs, do_sample=False, max_new_tokens=new, pad_token_id=0
      )
    return _reply(begin, out[:, ids.shape[1] :].numpy())

  return run


def _reply(begin, tokens) -> dict:
  return {"seconds": time.perf_counter() - begin, "tokens": tokens.tolist()}
