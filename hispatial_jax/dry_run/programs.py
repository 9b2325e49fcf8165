"""The programs of a recipe, lowered from shapes: no weights, no data.

lowered = programs.LOWER["train"](cfg, grid, options)
lowered.stage.compile()
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from hispatial_jax import program
from hispatial_jax.core import mesh, spec, tokenizer, traced
from hispatial_jax.evaluators import predict_fns
from hispatial_jax.models import flops, hispatial
from hispatial_jax.moge import dinov2, frame, infer, variants


@dataclasses.dataclass(frozen=True)
class Lowered:
  """A program before it is compiled.

  Attributes:
    stage: of jax, to `compile()`.
    arguments: {kind: bytes of a device}.
    weights: how many numbers the parameters have, whole or in parts.
    model_flops: {part: FLOPs of all devices} that it cannot do without.
    facts: what it was made for, to print.
    examples: rows of all devices.
    turns: of a loop that ends by what it finds; None: it has none.
  """

  stage: Any
  arguments: Mapping[str, int]
  weights: frozenset[int]
  model_flops: Mapping[str, float]
  facts: Mapping[str, Any]
  examples: int
  turns: int | None = None


@dataclasses.dataclass(frozen=True)
class Options:
  """What no recipe says.

  Attributes:
    new_tokens: of an answer (decode).
    variant, size, tokens, dtype: a MoGe-2 model, its pictures' pixels of a
      side, its patches (None: the most it takes), its precision (moge).
    batch: pictures of a device (moge).
  """

  new_tokens: int = 32
  variant: str = "moge-2-vitl-normal"
  size: int = 448
  tokens: int | None = None
  dtype: str = "bfloat16"
  batch: int = 8


def train(cfg, grid, options: Options) -> Lowered:
  """The update that hispatial_jax.train runs."""
  del options
  _, made, batch, length = _recipe(cfg, grid)
  state = made.state_shapes()
  trainable, frozen = made.opt.split(state["params"])
  arguments = {
    "parameters, trained": local_bytes(trainable),
    "parameters, frozen": local_bytes(frozen),
    "optimizer": local_bytes(state["opt"]),
    "batch": local_bytes(batch),
  }
  stage = made.update.lower(state, batch)
  sample = made.sample_flops(length)
  return _lowered(stage, arguments, state["params"], sample, batch)


def evaluate(cfg, grid, options: Options) -> Lowered:
  """A batch's loss, token by token, as evaluator qa_loss asks for it."""
  del options
  model_cfg, made, batch, length = _recipe(cfg, grid)
  params = made.abstract["params"]
  fns = predict_fns.programs(made.model, grid, cfg["tpu_options"])
  arguments = {"parameters": local_bytes(params), "batch": local_bytes(batch)}
  stage = fns["loss"]().lower(params, batch)
  sample = flops.of_sample(model_cfg, length, trained=frozenset())
  return _lowered(stage, arguments, params, sample, batch)


def decode(cfg, grid, options: Options) -> Lowered:
  """A batch's answers; parameters in the model's dtype, as they are served."""
  model_cfg, made, batch, _ = _recipe(cfg, grid)
  params = jax.tree.map(
    lambda x: _like(x, model_cfg["dtype"]), made.abstract["params"]
  )
  prompt = {k: x for k, x in batch.items() if k not in ("_mask", "mask_loss")}
  model = hispatial.Model(**model_cfg)
  fns = predict_fns.programs(model, grid, cfg["tpu_options"])
  run = fns["generate"](max_new_tokens=options.new_tokens)
  arguments = {"parameters": local_bytes(params), "batch": local_bytes(prompt)}
  return dataclasses.replace(
    _lowered(run.lower(params, prompt), arguments, params, {}, batch),
    turns=options.new_tokens - 1,
  )


def moge(cfg, grid, options: Options) -> Lowered:
  """MoGe-2's network over a batch of pictures, as precompute runs it.

  Args:
    cfg: is not looked at.
    grid: the mesh; each device takes `options.batch` pictures.
    options: which model, what pictures.
  """
  del cfg
  config = variants.config(options.variant)
  net = variants.build(config, options.dtype)
  most = config["num_tokens_range"][1]
  size = (options.size, options.size)
  rows, columns = frame.bucket(size, options.tokens or most)[:2]
  split = jax.sharding.NamedSharding(grid, jax.P(mesh.AXES))
  whole = mesh.named(mesh.REPLICATED, grid)
  count = options.batch * grid.size

  def of(shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=split)

  params = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, options.dtype, sharding=whole),
    variants.param_shapes(config),
  )
  sides = (dinov2.PATCH * rows, dinov2.PATCH * columns)
  pictures, aspect = of((count, *sides, 3)), of((count,))
  stage = infer.network.trace(net, params, pictures, aspect)
  arguments = {
    "parameters": local_bytes(params),
    "batch": local_bytes([pictures, aspect]),
  }
  facts = {
    "variant": options.variant,
    "tokens": rows * columns + 1,
    "dtype": options.dtype,
  }
  work = {"network": traced.flops(stage.jaxpr.jaxpr)}
  weights = part_sizes(params)
  return Lowered(stage.lower(), arguments, weights, work, facts, count)


LOWER = {"train": train, "decode": decode, "evaluate": evaluate, "moge": moge}


def _recipe(cfg, grid):
  """(arguments of the model, program.Program, batch shapes, text length)."""
  model_cfg = cfg["model"].to_dict()
  if not model_cfg["llm"]["vocab_size"]:
    words = tokenizer.load(cfg["tokenizer"])
    model_cfg["llm"]["vocab_size"] = words.vocab_size
  mesh.row_groups(cfg["batch_size"], grid)
  length, questions = text_rows(cfg["data"])
  batch = program.batch_shapes(
    cfg["batch_size"],
    length,
    model_cfg["img"]["image_size"],
    grid,
    questions=questions,
  )
  return model_cfg, program.build(cfg, model_cfg, grid), batch, length


def text_rows(data) -> tuple[int, int]:
  """(tokens of a row, rows of an image), as the recipe's operations say.

  Raises:
    ValueError: no tokenize(…).
  """
  parts = data.get("mixture") or {"all": data}
  lengths, questions = [], [1]
  for part in parts.values():
    for name, args, kwargs in spec.parse(part["pp"]):
      if name == "tokenize" and args:
        lengths.append(args[0])
      if name.endswith("_qa"):
        questions.append(args[0] if args else kwargs.get("num") or 1)
  if not lengths:
    raise ValueError("the config's data.pp has no tokenize(length)")
  return max(lengths), max(questions)


def _lowered(stage, arguments, params, sample, batch):
  """With model FLOPs of all rows, from those of one example by part."""
  (rows, length), images = batch["text"].shape, batch["image"].shape[0]
  facts = {"batch_size": images, "text_length": length}
  work = {name: images * x for name, x in sample.items()}
  if rows > images:
    facts["questions"] = rows // images
    work = {}  # counted for one row of text an image
  weights = part_sizes(params)
  return Lowered(stage, arguments, weights, work, facts, images)


def _like(x, dtype):
  return jax.ShapeDtypeStruct(x.shape, jnp.dtype(dtype), sharding=x.sharding)


def local_bytes(shapes) -> int:
  """Bytes of a device's part of arrays that have a sharding."""
  return sum(
    x.dtype.itemsize * math.prod(x.sharding.shard_shape(x.shape))
    for x in jax.tree.leaves(shapes)
  )


def part_sizes(shapes) -> frozenset[int]:
  """Sizes of matrices: whole, a device's part, and of a layer of a stack."""
  out = set()
  for x in jax.tree.leaves(shapes):
    for shape in (x.shape, x.sharding.shard_shape(x.shape)):
      # A leaf's first axes are layers, and the gate and input of an MLP.
      out |= {math.prod(shape[n:]) for n in range(min(3, len(shape) - 1))}
  return frozenset(out)
