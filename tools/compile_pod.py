"""Compiles a recipe's real program for TPUs that are not there: what it needs.

    python tools/compile_pod.py --config configs/hispatial_3b.py:batch=64 \\
      --topology v5e:4x4 [--slices 2] [--set mesh.data=2 ...] [--json F]
    ... --what decode | evaluate                  answers; held-out loss
    ... --what moge --topology v5e:2x2            MoGe-2, as precompute runs it
    ... --json F --search tensor=1,2 rows=4,8     the fastest that fits

The train step is the one that hispatial_jax.train runs (hispatial_jax.program),
lowered from shapes alone: no TPU, no weights, no data, but the libtpu package
(pip install 'hispatial_jax[tpu]'), which compiles one program at a time.

Bytes are those of the compiler's buffer assignment on each chip, as it dumps
it; temporaries are told by kind, when most is held and each kind's own most.
memory_analysis().temp_size_in_bytes, which is larger than the memory that is
assigned, is in the JSON as temp_size_reported. FLOPs and bytes moved are
counted in the compiled program, its loops as often as they run (core/hlo.py):
XLA's own analysis counts a loop's body once. Model FLOPs are counted by hand
(models/flops.py). The least time of each resource is what it needs at its full
speed; the step takes at least the longest of them. What goes between slices is
counted as if it went over a chip's links.

A search tries all of data, tensor (mesh axes; fsdp takes the rest), remat,
accumulate and rows (examples of a chip), each value of a list with each, and
ranks them by the least step time of an example. F's neighbour with the suffix
.jsonl keeps what was compiled, so the same command goes on after a kill.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ["JAX_PLATFORMS"] = "cpu"

from hispatial_jax.core import chips, mesh
from hispatial_jax.core import config as config_lib
from hispatial_jax.dry_run import (
  figures,
  programs,
  report,
  search,
  space,
  topology,
)

_DUMP = tempfile.TemporaryDirectory(prefix="compile_pod_")
_GIB = 2**30


def main(argv=None) -> int:
  """Prints the figures of a program; returns the exit status."""
  args = _parse(argv)
  try:
    chip, count = chips.read(args.topology)
    if args.search is None:
      found = compile_one(args, chip)
      page = report.table(found)
    else:
      found = search_all(args, count * args.slices)
      page = search.table(found, args.reserve * _GIB)
  except (ValueError, OSError, RuntimeError, ImportError) as error:
    print(f"compile_pod: {error}", file=sys.stderr)
    return 1
  print(page)
  if args.json:
    args.json.write_text(json.dumps(found, indent=2) + "\n")
  return 0


def _parse(argv):
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add = parser.add_argument
  add("--config", help="PATH.py or PATH.py:key=value,… (not for moge)")
  add("--topology", required=True, help="v5e:4x4, v5p:2x2x1, v6e:8x8, …")
  add("--slices", type=int, default=1, help="of that topology (%(default)s)")
  add("--set", nargs="*", default=[], metavar="KEY=VALUE", help="config values")
  add("--what", choices=tuple(programs.LOWER), default="train")
  add("--json", type=pathlib.Path, help="write the figures here, too")
  add("--hlo", type=pathlib.Path, help="write the compiled program's text here")
  add("--search", nargs="*", metavar="KEY=V,V", help="try these (see above)")
  add("--reserve", type=float, default=1.0, help="GiB to be left (%(default)s)")
  default = programs.Options()
  add("--new_tokens", type=int, default=default.new_tokens, help="decode")
  add("--variant", default=default.variant, help="moge: %(default)s")
  add("--size", type=int, default=default.size, help="moge: pixels of a side")
  add("--tokens", type=int, help="moge: patches (the most it takes)")
  add("--dtype", default=default.dtype, help="moge: %(default)s")
  add("--batch", type=int, default=default.batch, help="moge: pictures a chip")
  args = parser.parse_args(argv)
  if not args.config and args.what != "moge":
    parser.error("--config is required, but for --what moge")
  if args.slices < 1:
    parser.error("--slices is 1 or more")
  if args.search is not None and (args.what != "train" or not args.json):
    parser.error("--search is of --what train, and needs --json")
  return args


def compile_one(args, chip) -> dict:
  """Compiles; everything that is known then.

  Raises:
    ValueError: the config, the topology, a batch that does not divide, or a
      program too large for the chip.
    RuntimeError: no compiler.
  """
  cfg, sizes = None, {"dcn": args.slices}
  if args.what != "moge":
    cfg = config_lib.load(args.config, args.set)
    sizes = {k: cfg.mesh[k] for k in mesh.AXES}
    if sizes["dcn"] == 1:
      sizes["dcn"] = args.slices
  grid = mesh.of(sizes, _devices(args.topology, args.slices))
  found = figures.of(
    args.what,
    cfg,
    grid,
    options=programs.Options(
      **{k: getattr(args, k) for k in programs.Options.__annotations__}
    ),
    chip=chip,
    dump=pathlib.Path(_DUMP.name),
    hlo_file=args.hlo,
  )
  several = f"{args.slices} slices of " if args.slices > 1 else ""
  return {
    "config": args.config,
    "set": args.set,
    "topology": args.topology,
    "slices": args.slices,
    "devices": several + args.topology,
    "libtpu": topology.version(),
    **found,
  }


def _devices(name, slices):
  topology.prepare(_DUMP.name)
  return topology.devices(name, slices)


def search_all(args, count) -> list[dict]:
  """Rows of `search.run`, each compiled by a process of its own."""
  cfg = config_lib.load(args.config, args.set)
  values = space.read(args.search, cfg, count)
  tried = space.candidates(values, cfg.model, chips=count, slices=args.slices)
  facts = {k: getattr(args, k) for k in ("config", "set", "topology", "slices")}
  facts["libtpu"] = topology.version()
  journal = search.Journal(args.json.with_suffix(".jsonl"), facts)

  def compile_apart(overrides):
    return _compile_apart(args, overrides)

  return search.run(
    tried,
    compile_apart,
    journal,
    reserve=args.reserve * _GIB,
    report=lambda line: print(line, flush=True),
  )


def _compile_apart(args, overrides):
  """`compile_one` in a process: libtpu keeps memory, and may crash.

  Raises:
    RuntimeError: what it said, in one line.
  """
  with tempfile.TemporaryDirectory(prefix="compile_pod_") as folder:
    out = pathlib.Path(folder) / "found.json"
    command = [sys.executable, __file__, "--config", args.config]
    command += ["--topology", args.topology, "--slices", str(args.slices)]
    command += ["--json", str(out), "--set", *args.set, *overrides]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
      said = done.stderr.strip().splitlines() or ["it said nothing"]
      ours = [s for s in said if s.startswith("compile_pod: ")]
      line = (ours or said)[-1].removeprefix("compile_pod: ")
      if done.returncode < 0:
        line = f"killed by signal {-done.returncode} ({line})"
      raise RuntimeError(line)
    return json.loads(out.read_text())


if __name__ == "__main__":
  sys.exit(main())
