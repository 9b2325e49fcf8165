"""Images -> MoGe point maps -> records that training reads (TFDS, ArrayRecord).

  python tools/precompute_points.py my/photos --out data/mine --moge MODEL
  python tools/precompute_points.py 'cc12m/*.tar' --out gs://BUCKET/cc12m \\
    --moge MODEL --size 448 --on_devices --distributed
  python tools/precompute_points.py scans/ --kind scannet --out data/scannet

SOURCE is a folder of pictures, a pattern of tar shards, a jsonl of your own
(data/sources.py), a TFDS dataset, a ScanNet or TUM folder: told from what is
there, or by --kind. Depth that a source has measured is kept and needs no
model. The work is spread by Apache Beam, or over JAX devices (--on_devices).

The same command goes on where a killed or stopped one was. Pictures that cannot
be used are listed in OUT/quarantine.jsonl; OUT/report.html shows what was made.
"""

import argparse
import functools
import importlib
import inspect
import os

from hispatial_jax.precompute import command

_EPILOG = f"""{command.BEAM_FLAGS}
Compiled programs are kept between runs where JAX_COMPILATION_CACHE_DIR says."""


# Kind -> module of data/ and the source in it.
_KINDS = {
  "folder": ("pictures", "ImageFolder"),
  "tar": ("tars", "TarShards"),
  "jsonl": ("sources", "Folders"),
  "tfds": ("pictures", "Dataset"),
  "scannet": ("scannet", "ScanNet"),
  "tum": ("tum", "Tum"),
}


def main(argv=None) -> int:
  """Returns the exit status: 0, 1 after a line of error, 128 + a signal's."""
  args, flags, own = _parse(argv)
  return command.main(
    lambda: _print_summary(args, _run(args, flags, own)), args.debug
  )


def _parse(argv):
  parser = argparse.ArgumentParser(
    description=__doc__,
    epilog=_EPILOG,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  add = parser.add_argument
  add("source", metavar="SOURCE", help="pictures, see above")
  add("--kind", choices=_KINDS, help="of the source, where it cannot be told")
  add("--val", type=float, default=0.0, help="share for split val, by name (0)")
  add("--stride", type=int, help="of ScanNet and TUM, every so many frames")
  add("--out", required=True, help="folder of the dataset, or a bucket")
  add("--moge", metavar="MODEL", help="MoGe-2 checkpoint")
  add(
    "--overwrite", action="store_true", help="replace records of other options"
  )
  _add_options(parser.add_argument_group("what the records depend on"))
  _add_work(parser.add_argument_group("who works"))
  command.add_bad(parser.add_argument_group("bad pictures"), "0.01")
  parser.set_defaults(max_bad_share=0.01)
  args, flags = parser.parse_known_args(argv)
  if args.on_devices and flags:
    parser.error(f"unknown with --on_devices: {' '.join(flags)}")
  return args, tuple(flags), tuple(parser._option_string_actions)


def _add_options(group) -> None:
  number = functools.partial(group.add_argument, type=int)
  number("--size", default=0, help="at most so many pixels a side (0: as is)")
  number(
    *command.names("batch-size"), default=8, help="pictures for each device (8)"
  )
  number(
    *command.names("resolution-level"),
    default=9,
    help="0..9, how finely to look (9)",
  )
  group.add_argument(
    "--dtype",
    default="float32",
    choices=["float32", "bfloat16"],
    help="that the model computes in (float32)",
  )


def _add_work(group) -> None:
  add = group.add_argument
  command.add_work(group, workers=1, shard_size=256)
  add(
    *command.names("on-devices"),
    action="store_true",
    help="all local and remote JAX devices, instead of Beam",
  )
  add("--distributed", action="store_true", help="several processes (a pod)")
  add("--coordinator", help="HOST:PORT, where nothing tells it")
  add(*command.names("num-processes"), type=int)
  add(*command.names("process-id"), type=int)


def _run(args, flags, own):
  from hispatial_jax.precompute import plan, run

  options = plan.Options(
    shard_size=args.shard_size,
    batch_size=args.batch_size,
    size=args.size,
    resolution_level=args.resolution_level,
  )
  crew = _crew(args, flags, own)
  source = _source(args)
  return run.run(
    source,
    args.out,
    options,
    crew,
    model=_model_facts(args),
    max_bad_share=args.max_bad_share,
    overwrite=args.overwrite,
    redo_bad=args.redo_bad,
  )


def _crew(args, flags, own):
  """Whoever works; flags of Beam's are checked here, before anything is."""
  load = _loader(args)
  if not args.on_devices:
    return command.beam_crew(args, flags, own, load)
  from hispatial_jax.core import rendezvous
  from hispatial_jax.precompute import devices, work

  rendezvous.join_as_told(args)
  return devices.Crew(load, args.threads or work.THREADS)


def _loader(args):
  """What loads the model; Beam sends it to its workers."""
  if not args.moge:
    return None
  from hispatial_jax.moge import infer

  return functools.partial(infer.MoGe.load, args.moge, dtype=args.dtype)


def _model_facts(args):
  if not args.moge:
    return None
  from hispatial_jax.core import remote
  from hispatial_jax.precompute import plan

  return {
    "file": os.path.basename(args.moge.rstrip("/")),
    "sha256": plan.checksum(remote.fetch(args.moge)),
    "dtype": args.dtype,
  }


def _source(args):
  """The source; what was given for another kind is an error there."""
  options = {"val": args.val, "stride": args.stride}
  options = {key: value for key, value in options.items() if value}
  if args.kind is None:
    from hispatial_jax.data import pictures

    return pictures.open_source(args.source, **options)
  from hispatial_jax.core import remote

  remote.refuse(args.source, "pictures of a source")
  module, name = _KINDS[args.kind]
  kind = getattr(importlib.import_module(f"hispatial_jax.data.{module}"), name)
  wrong = options.keys() - inspect.signature(kind).parameters
  if wrong:
    names = ", ".join(f"--{key}" for key in sorted(wrong))
    raise ValueError(f"{names}: not for --kind {args.kind}")
  return kind(args.source, **options)


def _print_summary(args, done) -> None:
  counted, speed = done["tally"], done["speed"]
  size = counted["bytes"]["stored"] / max(1, counted["records"]) / 1e3
  pixels = counted["pixels"]
  valid = 100 * pixels["valid"] / max(1, pixels["all"])
  lines = [
    f"{args.out}: {counted['records']:,} records of {size:.1f} kB",
    f"  {valid:.1f} % of the pixels valid; {speed['images']:,} images in"
    f" {speed['seconds']:.1f} s, {speed['images_per_second']:.2f} a second",
    *command.left_out(args.out, done),
  ]
  print("\n".join(lines))


if __name__ == "__main__":
  command.leave(main())
