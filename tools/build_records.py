"""Makes records (TFDS, ArrayRecord): toy world, your pictures, released data.

  python tools/build_records.py toyworld --out data/toy --train 2000 --val 200
  python tools/build_records.py jsonl my/pictures.jsonl --out data/mine
  python tools/build_records.py scannet scans/ --out data/scannet --stride 20
  python tools/build_records.py tum rgbd_dataset_freiburg1_xyz --out data/tum
  python tools/build_records.py images photos/ --out data/photos
  python tools/build_records.py ca1m 'CA1M/*.tar' --out data/ca1m --size 448

Depth is what the source says; pictures without (`images`, a `jsonl`) are kept
without: tools/precompute_points.py sees it for them. The same command goes on
where a killed or stopped one was, ends in the same files, and where it is done
does nothing; other settings need --overwrite. What cannot be used is listed in
OUT/quarantine.jsonl; OUT/report.html shows what was made.
"""

import argparse
import functools
import os
import sys

from hispatial_jax.precompute import command

# Records and questions of each that the small tokenizer learns from.
_TEXT_RECORDS, _TEXT_QUESTIONS = 300, 16
# Of what gave no id, lines on the screen; all are in the quarantine.
_MOST_SAID = 20
_RELEASED = {
  "wild": "Objects365 and COYO, as HiSpatial-Data releases them",
  "ca1m": "CA-1M, likewise",
  "general": "general questions with point maps, likewise",
}


def main(argv=None) -> int:
  """Returns the exit status: 0, 1 after a line of error, 128 + a signal's."""
  args, flags, own = _parse(argv)

  def make():
    _build(args, flags, own)
    if args.tokenizer:
      _train_tokenizer(args.out, args.tokenizer, args.vocab)

  return command.main(make, args.debug)


def _parse(argv):
  parser = argparse.ArgumentParser(
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
  add = functools.partial(
    kinds.add_parser, allow_abbrev=False, epilog=command.BEAM_FLAGS
  )
  toy = add("toyworld", help="rendered rooms and tabletops")
  toy.add_argument("--train", type=int, default=2000, help="scenes (2000)")
  toy.add_argument("--val", type=int, default=200, help="scenes (200)")
  toy.add_argument("--size", type=int, default=112, help="pixels (112)")
  toy.add_argument("--seed", type=int, default=0, help="0..98 (0)")
  toy.add_argument(
    "--scene", choices=["room", "tabletop"], help="only one kind"
  )
  _add_common(toy, "0")
  for kind in (*_own(add), *_measured(add)):
    _add_sizes(kind)
    _add_common(kind, "0")
  for kind in _released(add):
    _add_sizes(kind)
    _add_common(kind, "0.01")
  args, flags = parser.parse_known_args(argv)
  own = kinds.choices[args.kind]._option_string_actions
  return args, tuple(flags), tuple(own)


def _own(add):
  """The parsers of `jsonl`, `images` and `tfds`."""
  jsonl = add("jsonl", help="your own pictures")
  jsonl.add_argument("path", help="a JSON object a line: data/sources.py says")
  images = add("images", help="pictures without depth")
  images.add_argument("path", help="folder, tars or their pattern, TFDS set")
  _add_val(images)
  tfds = add("tfds", help="records of ours, or another set with pictures")
  tfds.add_argument("path", help="its folder, or one or two above it")
  return jsonl, images, tfds


def _measured(add):
  """The parsers of `scannet` and `tum`."""
  found = [
    add(name, help=f"measured depth in the layout of {layout}")
    for name, layout in (("scannet", "ScanNet"), ("tum", "TUM RGB-D"))
  ]
  for kind in found:
    kind.add_argument("path", help="a scene or sequence, or a folder of them")
    kind.add_argument("--stride", type=int, default=1, help="every Nth (1)")
  found[1].add_argument(
    "--intrinsics", help="K.json of the camera, as `hispatial ask` takes it"
  )
  return found


def _released(add):
  """The parsers of the data that HiSpatial's authors released."""
  for name, what in _RELEASED.items():
    kind = add(name, help=what)
    kind.add_argument("path", help="tar shards: folder or pattern")
    kind.add_argument("--name", help="of the source, as records call it")
    _add_val(kind)
    yield kind


def _add_val(kind) -> None:
  kind.add_argument(
    "--val", type=float, default=0.0, help="share of split val, by name (0)"
  )


def _add_sizes(kind) -> None:
  kind.add_argument(
    "--size",
    type=int,
    default=0,
    help="S: picture and depth at S x S, as resize(S) and points(S) would make"
    " them (0: as they are)",
  )
  kind.add_argument(
    *command.names("max-side"),
    type=int,
    default=0,
    help="instead: the longer side at most, by area averaging (0: any)",
  )


def _add_common(kind, share: str) -> None:
  """What every kind takes; `share` is its --max-bad-share."""
  add = kind.add_argument
  add("--out", required=True, help="folder of the dataset, or a bucket")
  add("--overwrite", action="store_true", help="replace other records there")
  command.add_work(kind, workers=os.cpu_count() or 1, shard_size=None)
  add(
    *command.names("skip-bad"),
    action="store_true",
    help="however many: --max-bad-share 1",
  )
  command.add_bad(kind, share)
  kind.set_defaults(max_bad_share=float(share))
  add("--tokenizer", help="also train a small one: FILE.model")
  add("--vocab", type=int, default=1024, help="its pieces")


def _source(args):
  from hispatial_jax.core import remote
  from hispatial_jax.data import pictures, scannet, sources, tum
  from hispatial_jax.pp import given

  remote.refuse(getattr(args, "path", ""), "pictures of a source")
  if args.tokenizer:
    remote.refuse(args.out, "records, of which --tokenizer learns,")
  match args.kind:
    case "toyworld":
      return sources.ToyWorld(
        train=args.train,
        val=args.val,
        size=args.size,
        seed=args.seed,
        kind=args.scene,
      )
    case "jsonl":
      return sources.Folders(args.path)
    case "images":
      return pictures.open_source(args.path, val=args.val)
    case "tfds":
      return pictures.Dataset(args.path)
    case "scannet":
      return scannet.ScanNet(args.path, stride=args.stride)
    case "tum":
      camera = None
      if args.intrinsics:
        said = given.read_json(args.intrinsics)
        camera = given.intrinsics(said, args.intrinsics).ravel().tolist()
      return tum.Tum(args.path, stride=args.stride, intrinsics=camera)
  from hispatial_jax.data import released

  name = {"name": args.name} if args.name else {}
  return released.Shards(args.path, kind=args.kind, val=args.val, **name)


def _build(args, flags, own) -> None:
  from hispatial_jax.precompute import plan, run

  crew = command.beam_crew(args, flags, own, None)
  source = _source(args)
  for reason, what in list(getattr(source, "problems", ()))[:_MOST_SAID]:
    print(f"left out ({reason}): {what}", file=sys.stderr)
  options = plan.Options(
    shard_size=args.shard_size or plan.even_size(source),
    size=getattr(args, "max_side", 0),
    square=0 if args.kind == "toyworld" else args.size,
    depth_optional=True,
  )
  wanted = {split: len(ids) for split, ids in source.splits.items()}
  text = ", ".join(f"{count} {split}" for split, count in wanted.items())
  print(f"{text} records for {args.out}, {args.workers} processes", flush=True)
  done = run.run(
    source,
    args.out,
    options,
    crew,
    max_bad_share=1.0 if args.skip_bad else args.max_bad_share,
    overwrite=args.overwrite,
    redo_bad=args.redo_bad,
  )
  if done["was_whole"]:
    print(f"{args.out} already holds these records: nothing to do")
  else:
    _print_summary(args.out, done)


def _print_summary(out: str, done) -> None:
  speed, lines = done["speed"], []
  for name, split in done["splits"].items():
    size = split["bytes"] / max(split["records"], 1) / 1e3
    lines.append(f"  {name}: {split['records']:,} records of {size:.1f} kB")
  lines += command.left_out(out, done)
  if speed["images"]:
    rate = speed["images_per_second"]
    lines.append(f"  {speed['seconds']:.1f} s, {rate:.1f} records/s")
  if done["report"]:
    lines.append(f"  {done['report']}")
  print("\n".join(lines))


def _train_tokenizer(folder: str, path: str, vocab: int) -> None:
  """Learns pieces from the phrase bank and from what the records ask."""
  from hispatial_jax.core import tokenizer
  from hispatial_jax.data import builder, records
  from hispatial_jax.qa import generate, released, say

  texts = list(say.all_texts())
  train = builder.open_split(folder, "train")
  for number in range(min(len(train), _TEXT_RECORDS)):
    record = records.decode(train[number])
    for qa in record["qa"]:
      texts += [qa["question"], qa["answer"], *released.texts(qa["meta"])]
    for qa in generate.draw(record, 0, _TEXT_QUESTIONS):
      texts += [qa.question, qa.answer]
  words = tokenizer.train_small(texts, vocab_size=vocab, path=path)
  print(f"  tokenizer of {words.vocab_size} tokens in {path}")


if __name__ == "__main__":
  command.leave(main())
