"""Training steps compiled for TPUs that are not there, counted alike."""

import pathlib
import tempfile

from hispatial_jax import program
from hispatial_jax.core import chips, hlo, mesh
from hispatial_jax.core import config as config_lib
from hispatial_jax.dry_run import assigned, figures, topology

_GEMMA = {"3b": "gemma2_2b", "10b": "gemma2_9b", "28b": "gemma2_27b"}
_FROZEN = "img/(?!head/).*"
_DUMP = tempfile.TemporaryDirectory(prefix="bench_train_")


def compare(args) -> dict:
  """{"big_vision": figures of a chip, "ours": …}.

  Raises:
    ValueError: the topology, the batch, BIG_VISION_DIR, or a program too large
      for the chip.
    RuntimeError: no compiler.
  """
  from bench_cases import big_vision

  _, count = chips.read(args.pod)
  if args.batch % count:
    raise ValueError(
      f"--batch {args.batch} must be a multiple of the {count} chips of "
      f"{args.pod}"
    )
  size, _, px = args.size.partition("_")
  if size not in _GEMMA or not px.isdigit():
    raise ValueError(
      f"--size {args.size}: big_vision has 3b_448, 10b_224, 28b_896, …"
    )
  big_vision.load()
  topology.prepare(_DUMP.name)
  devices = topology.devices(args.pod)
  shape = (args.batch, args.length, int(px))
  theirs = big_vision.lower(devices, _GEMMA[size], *shape, _FROZEN)
  mine = _ours(devices, size, *shape)
  return {"big_vision": _figures(theirs), "ours": _figures(mine)}


def _ours(devices, size, rows, length, px):
  """The recipe's step; same masters, moments, frozen tower and batch."""
  root = pathlib.Path(__file__).parents[2]
  recipe = f"{root}/configs/hispatial_3b.py:size={size},px={px}"
  cfg = config_lib.load(f"{recipe},length={length},batch={rows}", [])
  grid = mesh.make(data=1, fsdp=-1, devices=devices)
  with mesh.use(grid):
    made = program.build(cfg, cfg.model.to_dict(), grid)
    batch = program.batch_shapes(rows, length, px, grid)
    return made.update.lower(made.state_shapes(), batch)


def _figures(lowered) -> dict:
  compiled = figures.compile_or_tell(lowered)
  stats, cost = compiled.memory_analysis(), hlo.cost(compiled.as_text())
  held = assigned.read(pathlib.Path(_DUMP.name))
  return {
    "arguments": stats.argument_size_in_bytes,
    "temporaries": stats.temp_size_in_bytes,
    "temporaries_assigned": held and held.size,
    "flops": cost.flops,
    "hbm_bytes": cost.hbm_bytes,
    "bytes": cost.bytes,
  }


def table(found: dict) -> str:
  """The figures as Markdown, and what share of theirs ours are."""
  gib, rows = 2**30, []
  for key, name, unit in (
    ("arguments", "arguments, GiB", gib),
    ("temporaries", "temporaries (temp_size_in_bytes), GiB", gib),
    ("temporaries_assigned", "temporaries as laid out, GiB", gib),
    ("flops", "TFLOP", 1e12),
    ("hbm_bytes", "HBM GB moved", 1e9),
    ("bytes", "GB moved, on-chip memory included", 1e9),
  ):
    theirs, mine = found["big_vision"][key], found["ours"][key]
    if theirs is None or mine is None:
      continue
    rows.append(
      f"| {name} | {theirs / unit:.2f} | {mine / unit:.2f} "
      f"| {mine / theirs:.2f} |"
    )
  head = ["| of a chip | big_vision | ours | ours / big_vision |"]
  return "\n".join([*head, "|---|---:|---:|---:|", *rows])
