"""Compares the model with a reference's numbers: python tools/parity.py DIR

DIR is a fixture folder laid out as tests/golden/*/FORMAT.md say, of any size;
its kind is told from its files. Every array is compared in float32 at full
matmul precision: one line each with the largest absolute difference, the same
relative to the array's largest |value|, the tolerance and ok or FAIL. An array
that no comparison covers is a FAIL. Exit code 0 only if all are ok.

  python tools/parity.py tests/golden/hispatial_model
  python tools/parity.py tests/golden/big_vision --kind big_vision
  python tools/parity.py DIR --perturb llm/layers/attn/q_einsum/w   (must FAIL)
"""

import argparse
import importlib
import os
import pathlib
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax

KINDS = {
  "hispatial": ("config.json", "weights.npz", "forward.npz"),
  "big_vision": ("meta.json", "params.npz"),
  "moge2": ("modules.npz", "focal.npz"),
}


def main(argv=None) -> int:
  """Returns the exit code."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("dir", type=pathlib.Path, help="fixture folder")
  parser.add_argument("--kind", choices=list(KINDS), help="default: told")
  parser.add_argument(
    "--perturb",
    metavar="NAME",
    help="change parameter NAME (ours, a/b/c) by 1 %%, to see it FAIL",
  )
  args = parser.parse_args(argv)
  jax.config.update("jax_default_matmul_precision", "highest")
  try:
    return _run(args)
  except (ValueError, OSError, KeyError) as error:
    reason = f"lacks {error}" if isinstance(error, KeyError) else error
    print(f"parity: {reason}", file=sys.stderr)
    return 2


def _run(args) -> int:
  if not args.dir.is_dir():
    raise FileNotFoundError(f"{args.dir}: no such folder")
  kind = args.kind or _told(args.dir)
  # Imported late: a wrong folder is told at once, and --help is quick.
  cases = importlib.import_module(f"parity_cases.{kind}")
  return cases.run(args.dir, args.perturb)


def _told(folder) -> str:
  for kind, files in KINDS.items():
    if all((folder / file).exists() for file in files):
      return kind
  if "moge" in folder.name:
    return "moge2"
  expected = "; ".join(f"{k}: {', '.join(files)}" for k, files in KINDS.items())
  raise ValueError(f"{folder}: not a fixture folder; expected {expected}")


if __name__ == "__main__":
  sys.exit(main())
