"""Compiles a recipe's program; everything that is known then, as a dict."""

import pathlib
import re
import time

import jax

from hispatial_jax.core import chips, hlo, mesh
from hispatial_jax.dry_run import memory, programs, work


def of(
  what: str,
  cfg,
  grid,
  *,
  options: programs.Options | None = None,
  chip: chips.Chip | None = None,
  hbm: float | None = None,
  dump: pathlib.Path | None = None,
  hlo_file: pathlib.Path | None = None,
) -> dict:
  """The figures of a program, of one device where nothing else is said.

  Args:
    what: of programs.LOWER.
    cfg: locked ConfigDict; None for "moge".
    grid: the mesh, of devices that are there or not.
    options: what the recipe does not say.
    chip: what a device can do, if that is known.
    hbm: bytes of a device; None: the chip's.
    dump: folder that the compiler writes its buffer assignment into.
    hlo_file: the compiled program's text is written here.

  Raises:
    ValueError: the recipe, a batch that does not divide, or a program that
      does not fit; says how many bytes it needs.
  """
  begin = time.monotonic()
  with mesh.use(grid):
    lower = programs.LOWER[what]
    lowered = lower(cfg, grid, options or programs.Options())
    compiled = compile_or_tell(lowered.stage)
  seconds = time.monotonic() - begin
  text = compiled.as_text()
  if hlo_file:
    hlo_file.write_text(text)
  cost = hlo.cost(text, unknown_trips=lowered.turns)
  found = memory.read(
    compiled.memory_analysis(), lowered.arguments, lowered.weights, dump
  )
  hbm = hbm or (chip.hbm if chip else None)
  if hbm:
    found["bytes"]["HBM"] = hbm
  return {
    "what": what,
    "mesh": dict(grid.shape),
    **lowered.facts,
    "examples": lowered.examples,
    "jax": jax.__version__,
    "compile_seconds": round(seconds, 1),
    **found,
    **work.read(cost, lowered.model_flops, chip, grid.size),
  }


def compile_or_tell(lowered):
  """Compiles.

  Raises:
    ValueError: it does not fit; says how many bytes XLA would need.
  """
  try:
    return lowered.compile()
  except jax.errors.JaxRuntimeError as error:
    raise ValueError(out_of_memory(str(error))) from None


def out_of_memory(message: str) -> str:
  """One line of the compiler's report."""
  used = re.search(r"Used ([\d.]+\w) of ([\d.]+\w) hbm", message)
  if used:
    return (
      f"the program does not fit: it needs {used[1]} of a chip's {used[2]} "
      "HBM; take a smaller batch, more chips, or remat 'nothing_saveable'"
    )
  return message.strip().splitlines()[0]
