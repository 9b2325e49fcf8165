"""Compiles a recipe's real program for TPUs that are not there: what it needs.

    python tools/compile_pod.py --config configs/hispatial_3b.py:batch=64 \\
      --topology v5e:4x4 [--set mesh.data=2 ...] [--what decode] [--json F]

The train step is the one that hispatial_jax.train runs (hispatial_jax.program),
lowered from shapes alone: no TPU, no weights, no data, but the libtpu package
(pip install 'hispatial_jax[tpu]'), which compiles one program at a time.

Bytes are those of the compiler's buffer assignment on each chip, as it dumps
it; memory_analysis().temp_size_in_bytes, which is larger than the memory that
is assigned, is in the JSON as temp_size_reported. FLOPs and bytes moved are
counted in the compiled program, its loops as often as they run (core/hlo.py):
XLA's own analysis counts a loop's body once. Model FLOPs are counted by hand
(models/flops.py). The least time of each resource is what it needs at its full
speed; the step takes at least the longest of them.
"""

import argparse
import functools
import importlib.metadata
import json
import os
import pathlib
import sys
import tempfile
import time

os.environ["JAX_PLATFORMS"] = "cpu"
# Without these libtpu asks the cloud's metadata server what machine this is.
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-16")
os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import jax
from pod_cases import report

from hispatial_jax import program
from hispatial_jax.core import chips, hlo, mesh, spec, tokenizer, tree
from hispatial_jax.core import config as config_lib
from hispatial_jax.models import decode, flops

_DUMP = tempfile.TemporaryDirectory(prefix="compile_pod_")


def main(argv=None) -> int:
  """Prints the figures of a program; returns the exit status."""
  args = _parse(argv)
  try:
    found = figures(args)
  except (ValueError, OSError, RuntimeError, ImportError) as error:
    print(f"compile_pod: {error}", file=sys.stderr)
    return 1
  print(report.table(found))
  if args.json:
    args.json.write_text(json.dumps(found, indent=2) + "\n")
  return 0


def _parse(argv):
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add = parser.add_argument
  add("--config", required=True, help="PATH.py or PATH.py:key=value,…")
  add("--topology", required=True, help="v5e:4x4, v5p:2x2x1, v6e:8x8, …")
  add("--set", nargs="*", default=[], metavar="KEY=VALUE", help="config values")
  add("--what", choices=("train", "decode"), default="train")
  add("--new_tokens", type=int, default=32, help="of an answer (decode)")
  add("--json", type=pathlib.Path, help="write the figures here, too")
  add("--hlo", type=pathlib.Path, help="write the compiled program's text here")
  return parser.parse_args(argv)


def figures(args) -> dict:
  """Compiles; everything that is known then.

  Raises:
    ValueError: the config, the topology, or a batch that does not divide.
    RuntimeError: no compiler, or a program too large for the chip.
  """
  chip, count = chips.read(args.topology)
  cfg = config_lib.load(args.config, args.set)
  if cfg.batch_size % count:
    raise ValueError(
      f"batch_size={cfg.batch_size} must be a multiple of the {count} chips "
      f"of {args.topology}"
    )
  length = text_length(cfg.data)
  grid = mesh.of(cfg.mesh, _devices(args.topology))
  lower = {"train": _train, "decode": _decode}[args.what]
  begin = time.monotonic()
  with mesh.use(grid):
    lowered, parts, model = lower(args, cfg, length, grid)
    compiled = compile_or_tell(lowered)
  seconds = time.monotonic() - begin
  text = compiled.as_text()
  if args.hlo:
    args.hlo.write_text(text)
  trips = args.new_tokens - 1 if args.what == "decode" else None
  cost = hlo.cost(text, unknown_trips=trips)
  return {
    "config": args.config,
    "set": args.set,
    "what": args.what,
    "topology": args.topology,
    "mesh": dict(grid.shape),
    "batch_size": cfg.batch_size,
    "text_length": length,
    "libtpu": importlib.metadata.version("libtpu"),
    "jax": jax.__version__,
    "compile_seconds": round(seconds, 1),
    **report.memory(
      compiled.memory_analysis(), parts, chip, pathlib.Path(_DUMP.name)
    ),
    **report.work(cost, model, chip, count),
  }


def _devices(topology):
  from jax.experimental import topologies

  # The TPU compiler reads it when it is loaded, which is now.
  flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_dump_to={_DUMP.name}"
  os.environ["XLA_FLAGS"] = flags.strip()

  try:
    return topologies.get_topology_desc(topology, platform="tpu").devices
  except Exception as error:  # libtpu raises many kinds; all are told
    reason = (str(error) or type(error).__name__).splitlines()[0]
    raise RuntimeError(
      f"no compiler for {topology} ({reason}): pip install "
      "'hispatial_jax[tpu]', and run one such process at a time"
    ) from None


def text_length(data) -> int:
  """Tokens of a row, as the recipe's tokenize(…) says.

  Raises:
    ValueError: no such operation.
  """
  parts = data.get("mixture") or {"all": data}
  lengths = [
    call_args[0]
    for part in parts.values()
    for name, call_args, _ in spec.parse(part["pp"])
    if name == "tokenize" and call_args
  ]
  if not lengths:
    raise ValueError("the config's data.pp has no tokenize(length)")
  return max(lengths)


def _model_config(cfg):
  out = cfg.model.to_dict()
  if not out["llm"]["vocab_size"]:
    out["llm"]["vocab_size"] = tokenizer.load(cfg.tokenizer).vocab_size
  return out


def _train(args, cfg, length, grid):
  """(lowered step, {kind: bytes of a chip}, {part: model FLOPs})."""
  model_cfg = _model_config(cfg)
  made = program.build(cfg, model_cfg, grid)
  state = made.state_shapes()
  size = model_cfg["img"]["image_size"]
  batch = program.batch_shapes(cfg.batch_size, length, size, grid)
  trainable, frozen = made.opt.split(state["params"])
  parts = {
    "parameters, trained": _local_bytes(trainable),
    "parameters, frozen": _local_bytes(frozen),
    "optimizer": _local_bytes(state["opt"]),
    "batch": _local_bytes(batch),
  }
  sample = flops.of_sample(
    model_cfg,
    length,
    loss_tokens=cfg.loss.max_tokens,
    trained=flops.trained_parts(tree.flatten(made.opt.frozen)),
  )
  model = {name: cfg.batch_size * x for name, x in sample.items()}
  return made.update.lower(state, batch), parts, model


def _decode(args, cfg, length, grid):
  """As `_train`, of a batch's answers; parameters in the model's dtype."""
  model_cfg = _model_config(cfg)
  made = program.build(cfg, model_cfg, grid)

  def cast(x):
    return jax.ShapeDtypeStruct(
      x.shape, model_cfg["dtype"], sharding=x.sharding
    )

  params = jax.tree.map(cast, made.abstract["params"])
  size = model_cfg["img"]["image_size"]
  batch = program.batch_shapes(cfg.batch_size, length, size, grid)
  prompt = {k: x for k, x in batch.items() if k not in ("_mask", "mask_loss")}
  run = jax.jit(
    functools.partial(
      decode.generate, made.model, max_new_tokens=args.new_tokens
    ),
    out_shardings=mesh.named(mesh.BATCH, grid),
  )
  parts = {"parameters": _local_bytes(params), "batch": _local_bytes(prompt)}
  return run.lower(params, prompt), parts, {}


def _local_bytes(shapes) -> int:
  return sum(
    x.dtype.itemsize * max(1, _size(x.sharding.shard_shape(x.shape)))
    for x in jax.tree.leaves(shapes)
  )


def _size(shape):
  return functools.reduce(lambda a, b: a * b, shape, 1)


def compile_or_tell(lowered):
  """Compiles.

  Raises:
    RuntimeError: it does not fit; says how many bytes XLA would need.
  """
  try:
    return lowered.compile()
  except jax.errors.JaxRuntimeError as error:
    raise RuntimeError(report.out_of_memory(str(error))) from None


if __name__ == "__main__":
  sys.exit(main())
