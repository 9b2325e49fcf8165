"""A training step: ours beside PyTorch's here, or big_vision's on a TPU.

    python tools/bench_train.py                        # 30m, float32, this CPU
    python tools/bench_train.py --device cuda --size 3b_448 --dtype bfloat16
    BIG_VISION_DIR=~/big_vision python tools/bench_train.py --pod v5e:4x4 \\
      --batch 64

Beside PyTorch: transformers' PaliGemma-2 with HiSpatial's point map, the same
random weights, batch and AdamW, the vision tower frozen, each side in a process
of its own on the same device. That the losses of the first updates are the same
is checked first, then they take turns; medians are printed, and the most memory
that the process (on a GPU: the device) held. In bfloat16 both keep float32
masters.

--pod: both steps compiled for TPUs that are not there (libtpu, one such process
at a time), float32 masters and Adam moments, the vision tower frozen, rows of
--length text tokens, big_vision with its default rematerialisation and without
a point map; what a chip holds, computes and moves, counted alike in both
programs (core/hlo.py).
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile

_ROOT = pathlib.Path(__file__).parent.parent
_SIDES = ("ours", "PyTorch")


def main(argv=None) -> int:
  """Returns the exit code: 0, or 1 after one line of error."""
  args = _parse(argv)
  os.environ["JAX_PLATFORMS"] = args.device
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
  # torch and JAX share a GPU: JAX takes what it needs, not three quarters.
  os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
  sys.path.insert(0, str(_ROOT))  # configs
  try:
    if args.serve:
      _serve(*args.serve)
      return 0
    found, page = _of_pod(args) if args.pod else _here(args)
  except (OSError, ValueError, RuntimeError, ImportError) as error:
    print(f"bench_train: error: {error}", file=sys.stderr)
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
  add("--size", help="30m, 66m, 200m, toy, 3b_448, … (30m; of a pod 3b_448)")
  add("--px", type=int, help="pixels of a side (the size's)")
  add("--layers", type=int, help="of the decoder (the size's)")
  add("--vocab", type=int, help="tokens of the vocabulary (the size's)")
  add("--batch", type=int, default=8, help="rows (%(default)s)")
  add("--length", type=int, help="text tokens of a row (32; of a pod 128)")
  add("--turns", type=int, default=3, help="of each side (%(default)s)")
  add("--dtype", choices=("float32", "bfloat16"), default="float32")
  add("--device", choices=("cpu", "cuda"), default="cpu")
  add("--pod", metavar="TOPOLOGY", help="v5e:4x4, …: beside big_vision")
  add("--json", type=pathlib.Path, help="writes the figures there, too")
  add("--serve", nargs=2, help=argparse.SUPPRESS)
  args = parser.parse_args(argv)
  args.size = args.size or ("3b_448" if args.pod else "30m")
  args.length = args.length or (128 if args.pod else 32)
  if min(args.batch, args.turns, args.length - 1) < 1:
    parser.error("--batch and --turns are at least 1, --length 2")
  return args


def _serve(side, folder):
  from bench_cases import train_step, turns

  make = {"ours": train_step.ours, "PyTorch": train_step.theirs}[side]
  turns.serve(make(pathlib.Path(folder)))


def _here(args):
  """(figures, their page) of both steps on this machine."""
  from bench_cases import train_step, turns

  taken = {name: [] for name in _SIDES}
  losses = {name: [] for name in _SIDES}
  peaks = {}
  with tempfile.TemporaryDirectory() as folder:
    facts = train_step.write(args, pathlib.Path(folder))
    command = [sys.executable, __file__, "--device", args.device, "--serve"]
    with (
      turns.Side([*command, "ours", folder]) as mine,
      turns.Side([*command, "PyTorch", folder]) as theirs,
    ):
      for turn in range(2 + args.turns):
        for name, side in zip(_SIDES, (mine, theirs), strict=True):
          reply = side.ask({})
          losses[name].append(reply["loss"])
          peaks[name] = reply.get("device_peak", reply["peak"])
          if turn > 1:
            taken[name].append(reply["seconds"])
        if turn == 1:
          check(losses, 1e-4 if args.dtype == "float32" else 1e-2)
  found = {"options": _shown(args), **facts, "machine": turns.machine()}
  found["losses"] = losses
  for name in _SIDES:
    seconds = statistics.median(taken[name])
    found[name] = {
      "step_seconds": seconds,
      "examples_per_second": args.batch / seconds,
      "peak_bytes": peaks[name],
    }
  return found, page(found)


def check(losses, tolerance: float) -> None:
  """Asserts that both sides' losses are the same.

  Raises:
    ValueError: they are not.
  """
  for mine, theirs in zip(*losses.values(), strict=True):
    if not abs(mine - theirs) <= tolerance * abs(theirs):
      raise ValueError(
        f"loss {mine:.6f}, PyTorch's {theirs:.6f}: expected no more than "
        f"{tolerance:g} of it apart, so these are not the same steps"
      )


def page(found) -> str:
  """The figures as Markdown."""
  options, losses = found["options"], found["losses"]
  lines = [
    f"{found['parameters'] / 1e6:,.0f} M random parameters, "
    f"{options['dtype']}, batch {options['batch']}, {found['image_tokens']} "
    f"image and {options['length']} text tokens; first losses "
    f"{losses['ours'][0]:.5f} and {losses['PyTorch'][0]:.5f}, second "
    f"{losses['ours'][1]:.5f} and {losses['PyTorch'][1]:.5f}",
    f"{found['machine']}; medians of {options['turns']}",
    "",
    "| | step, ms | examples/s | memory, GiB |",
    "|---|---:|---:|---:|",
  ]
  for name in _SIDES:
    x = found[name]
    lines.append(
      f"| {name} | {1e3 * x['step_seconds']:.0f} "
      f"| {x['examples_per_second']:.2f} | {x['peak_bytes'] / 2**30:.2f} |"
    )
  mine, theirs = (found[name] for name in _SIDES)
  speed = mine["examples_per_second"] / theirs["examples_per_second"]
  memory = mine["peak_bytes"] / theirs["peak_bytes"]
  return "\n".join(
    [*lines, "", f"{speed:.2f} times as fast, {memory:.2f} times the memory"]
  )


def _of_pod(args):
  """(figures, their page) of both steps on a topology."""
  from bench_cases import pods

  found = pods.compare(args)
  what = (
    f"{args.pod}, {args.size}, batch {args.batch}, {args.length} text tokens"
  )
  return {"options": _shown(args), **found}, f"{what}\n\n{pods.table(found)}"


def _shown(args) -> dict:
  return {k: v for k, v in vars(args).items() if k not in ("json", "serve")}


if __name__ == "__main__":
  sys.exit(main())
