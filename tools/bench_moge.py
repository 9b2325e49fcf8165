"""Speed and memory of MoGe-2: ours, and Microsoft's PyTorch beside it.

    python tools/bench_moge.py                    # ViT-S, one picture of 448 px
    MOGE_DIR=~/MoGe UTILS3D_DIR=~/utils3d python tools/bench_moge.py --batch 8
    python tools/bench_moge.py --variant moge-2-vitl-normal --batch 8 \\
      --dtype bfloat16 --tpu             # compiles for a TPU v5e, needs none

Both see the same pictures through the same weights (random, or --model), on the
same device, and take turns, so that what else the machine does hits both alike;
medians are printed. MOGE_DIR names a checkout of Microsoft's MoGe, UTILS3D_DIR
one of utils3d if that is not installed; without them ours is measured alone.
Peak memory is of a process of its own that does one `infer` twice.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

_GIB = 2**30


def main(argv=None) -> int:
  """Returns the exit code: 0, or 1 after one line of error."""
  args = _parse(argv)
  # torch and JAX share a GPU: JAX takes what it needs, not three quarters.
  os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
  try:
    if args.tpu:
      from bench_cases import moge_tpu

      moge_tpu.compile_network(args)
    elif args.peak:
      print(json.dumps(_peak(args)))
    else:
      with tempfile.TemporaryDirectory() as folder:
        compare(args, pathlib.Path(folder))
  except (ValueError, OSError, ModuleNotFoundError, RuntimeError) as error:
    print(f"bench_moge: error: {error}", file=sys.stderr)
    return 1
  return 0


def _parse(argv):
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add = parser.add_argument
  add("--variant", default="moge-2-vits-normal", help="%(default)s")
  add("--model", help="a model.pt instead of random weights")
  add("--photos", nargs="+", help="instead of noise; scaled to --size")
  add("--size", type=int, default=448, help="pixels of a side (%(default)s)")
  add("--batch", type=int, default=1)
  add("--tokens", type=int, help="about so many patches (the model's most)")
  add("--dtype", choices=("float32", "bfloat16"), default="float32")
  add("--runs", type=int, default=5)
  add("--reference", action=argparse.BooleanOptionalAction, help="MOGE_DIR set")
  add("--tpu", action="store_true", help="compile for a TPU; nothing is run")
  add("--topology", default="v5e:2x2", help="one of its chips (%(default)s)")
  add("--peak", choices=("ours", "reference"), help=argparse.SUPPRESS)
  args = parser.parse_args(argv)
  if min(args.size, args.batch, args.runs, args.tokens or 1) < 1:
    parser.error("--size, --batch, --runs and --tokens are at least 1")
  if args.reference is None:
    args.reference = bool(os.environ.get("MOGE_DIR"))
  return args


def compare(args, folder) -> None:
  """Prints a Markdown table: seconds of each stage, ratio, peak memory."""
  from bench_cases import moge

  if args.reference:
    from hispatial_jax.moge import upstream

    upstream.import_moge()
  what = args.model or args.variant
  args.model = args.model or str(moge.write_random(args, folder))
  images = moge.images(args)
  sides = {"ours": moge.ours(args, images)}
  if args.reference:
    sides["reference"] = moge.reference(args, images)
  print(
    f"{what}, {args.batch} x {args.size} x {args.size}, {args.dtype}, "
    f"medians of {args.runs}\n{_machine()}"
  )
  if not args.reference:
    print("No reference (set MOGE_DIR): ours alone")
  _print_table(_interleaved(sides, args.runs), args, moge.SOLVE)
  for name in sides:
    found = _run_peak(args, name)
    print(
      f"peak memory, {name}: {found['bytes'] / _GIB:.2f} GiB ({found['of']})"
    )


def _print_table(taken, args, maps) -> None:
  columns = ["stage", "images"]
  columns += [f"{side}, {unit}" for side in taken for unit in ("s", "images/s")]
  if len(taken) == 2:
    columns.append("reference s / ours s")
  print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
  for stage in taken["ours"]:
    count = {"solve": maps, "encode record": 1}.get(stage, args.batch)
    row, seconds = [stage, str(count)], [t.get(stage) for t in taken.values()]
    for s in seconds:
      row += [f"{s:.4f}", f"{count / s:.2f}"] if s else ["", ""]
    if len(taken) == 2:
      row.append(f"{seconds[1] / seconds[0]:.2f}" if seconds[1] else "")
    print(f"| {' | '.join(row)} |", flush=True)
  print()


def _interleaved(sides, runs) -> dict:
  """{side: {stage: median seconds}}; heads are the rest of the forward pass."""
  taken = {name: {stage: [] for stage in side} for name, side in sides.items()}
  for side in sides.values():
    for function in side.values():
      function()
  for _ in range(runs):
    for stage in sides["ours"]:
      for name, side in sides.items():
        if stage in side:
          begin = time.perf_counter()
          side[stage]()
          taken[name][stage].append(time.perf_counter() - begin)
  out = {}
  for name, stages in taken.items():
    found = {stage: statistics.median(times) for stage, times in stages.items()}
    heads = found["forward"] - found["encoder"]
    out[name] = {"encoder": found.pop("encoder"), "neck and heads": heads}
    out[name] |= found
  return out


def _run_peak(args, name) -> dict:
  """Peak memory of a process that infers."""
  command = [sys.executable, __file__, "--peak", name, "--model", args.model]
  for option in ("size", "batch", "dtype", "tokens"):
    if getattr(args, option):
      command += [f"--{option}", str(getattr(args, option))]
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  if done.returncode:
    raise RuntimeError(f"--peak {name} failed: {done.stderr.strip()[-300:]}")
  return json.loads(done.stdout.splitlines()[-1])


def _peak(args) -> dict:
  """{"bytes": …, "of": …} after two calls of `infer`."""
  from bench_cases import moge

  images = moge.images(args)
  if args.peak == "ours":
    import jax

    from hispatial_jax.moge import infer

    eyes = infer.MoGe.load(args.model, dtype=args.dtype)
    for _ in range(2):
      jax.block_until_ready(eyes.infer(images, num_tokens=args.tokens))
    stats = jax.devices()[0].memory_stats()
    peak = stats and stats.get("peak_bytes_in_use")
  else:
    import torch

    eyes = moge.load_reference(args)
    for _ in range(2):
      eyes.infer(images, num_tokens=args.tokens)
    cuda = eyes.model.device.type == "cuda"
    peak = torch.cuda.max_memory_allocated() if cuda else None
  if peak:
    return {"bytes": peak, "of": "of the device"}
  # getrusage would tell the parent's peak if that is higher.
  status = pathlib.Path("/proc/self/status").read_text()
  line = next(s for s in status.splitlines() if s.startswith("VmHWM:"))
  return {"bytes": int(line.split()[1]) * 1024, "of": "of the process"}


def _machine() -> str:
  import jax

  device = jax.devices()[0]
  parts = [
    f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
    f"JAX {jax.__version__} on {device.device_kind}",
  ]
  if torch := sys.modules.get("torch"):
    parts.append(f"torch {torch.__version__}")
  return "; ".join(parts)


if __name__ == "__main__":
  sys.exit(main())
