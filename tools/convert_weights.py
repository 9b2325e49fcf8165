"""Converts a checkpoint: python tools/convert_weights.py SRC DST [--to FORMAT]

SRC and DST are any of
  FILE.npz        ours, or big_vision's PaliGemma-2 as released (f32, f16, bf16)
  FOLDER          orbax as training writes it; PaliGemma-2 of Hugging Face;
                  HiSpatial's weights.pt + config.json
  FILE.pt, FILE.safetensors   the weights alone (config.json read beside SRC)
or, all three, MoGe-2 (a FOLDER with one of these does, too)
  FILE.pt           as released, model_config inside
  FILE.safetensors  the same tensors, model_config in the metadata or beside
  FILE.npz          our names, model_config as a text entry
Formats are told from the files; a DST that could be several needs --to.
Adapters of a run with model.llm.lora are merged into the weights, in float32.

  python tools/convert_weights.py paligemma2-3b-pt-448.b16.npz out/ \
      --to huggingface --verify
  python tools/convert_weights.py moge-2-vitl-normal/model.pt moge.npz --verify
prints the formats, the number of parameters and, with --verify, the largest
difference between SRC and what reading DST gives back.
"""

import argparse
import math
import os
import sys
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from hispatial_jax.models import sizes
from hispatial_jax.moge import checkpoint
from hispatial_jax.weights import adapters, export, lazy, source


def main(argv=None) -> int:
  """Returns the exit code."""
  args = _parser().parse_args(argv)
  try:
    return _convert(args)
  except (ValueError, OSError, ImportError) as error:
    print(f"convert_weights: {error}", file=sys.stderr)
    return 1


def _parser():
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("src", help="checkpoint to read")
  parser.add_argument("dst", help="file or folder to write; must not exist")
  formats = [*source.FORMATS, *checkpoint.FORMATS]
  parser.add_argument("--to", choices=formats, help="format of DST")
  parser.add_argument(
    "--dtype", choices=list(lazy.DTYPES), help="of DST; default is SRC's"
  )
  parser.add_argument(
    "--config-from",
    metavar="CONFIG",
    help="config.json, or a name such as 3b_448 or moge-2-vitl, where SRC has "
    "none",
  )
  parser.add_argument(
    "--keep-adapters",
    action="store_true",
    help="do not merge them (npz and orbax; the run's config.json goes along)",
  )
  parser.add_argument(
    "--verify", action="store_true", help="read DST back and compare with SRC"
  )
  return parser


def _convert(args) -> int:
  started = time.time()
  is_moge = checkpoint.detect(args.src) is not None
  reader, writer = (checkpoint, checkpoint) if is_moge else (source, export)
  kind = writer.format_of(args.dst, args.to)
  found = reader.open(args.src, _config(args.config_from, reader))
  if not (is_moge or args.keep_adapters):
    found = adapters.merge(found)
  writer.save(args.dst, found, kind, dtype=args.dtype)
  count = sum(math.prod(x.shape) for x in found.params.values())
  print(
    f"{args.src} ({found.format}) -> {args.dst} ({kind}): {count:,} parameters "
    f"in {len(found.params)} arrays, {time.time() - started:.1f} s"
  )
  if not args.verify:
    return 0
  again = reader.open(args.dst, None if is_moge else found.config)
  gap, name = export.difference(found, again)
  print(
    f"largest difference of the round trip: {gap:g}" + (name and f" ({name})")
  )
  # Rounding to a shorter dtype is asked for; anything else must be exact.
  return 0 if gap == 0 or args.dtype else 1


def _config(name, reader):
  if name is None:
    return None
  named = name in sizes.names() and not os.path.exists(name)
  if named and reader is source:
    return sizes.config(name)
  return reader.read_config(name)


if __name__ == "__main__":
  sys.exit(main())
