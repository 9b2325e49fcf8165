"""Makes records (TFDS, ArrayRecord) of the toy world or of your own pictures.

  python tools/build_records.py toyworld --out data/toy --train 2000 --val 200
  python tools/build_records.py jsonl my/pictures.jsonl --out data/mine
  python tools/build_records.py scannet scans/ --out data/scannet --stride 20
  python tools/build_records.py tum rgbd_dataset_freiburg1_xyz --out data/tum
  python tools/build_records.py images photos/ --out data/photos

Pictures of `images` (a folder, tar shards, a TFDS set) get no depth here.

The dataset appears in OUT/records/1.0.0 once it is whole. The same command
again finds it there and does nothing; other settings need --overwrite.
"""

import argparse
import logging
import os
import sys
import time

# Records and questions of each that the small tokenizer learns from.
_TEXT_RECORDS, _TEXT_QUESTIONS = 300, 16


def main(argv=None) -> int:
  """Returns the exit code: 0, or 1 after one line of error."""
  args = _parse(argv)
  logging.basicConfig(level=logging.ERROR, format="%(message)s")
  logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
  logging.getLogger("hispatial_jax").setLevel(logging.WARNING)
  try:
    source = _source(args)
    _build(args, source)
    if args.tokenizer:
      _train_tokenizer(args.out, args.tokenizer, args.vocab)
  except (ValueError, OSError) as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  return 0


def _parse(argv):
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
  toy = kinds.add_parser("toyworld", help="rendered rooms and tabletops")
  toy.add_argument("--train", type=int, default=2000, help="scenes (2000)")
  toy.add_argument("--val", type=int, default=200, help="scenes (200)")
  toy.add_argument("--size", type=int, default=112, help="pixels (112)")
  toy.add_argument("--seed", type=int, default=0, help="0..98 (0)")
  toy.add_argument(
    "--scene", choices=["room", "tabletop"], help="only one kind"
  )
  own = kinds.add_parser("jsonl", help="your own pictures")
  own.add_argument("file", help="one JSON object a line: data/sources.py says")
  for kind in (toy, own, *_picture_kinds(kinds)):
    kind.add_argument("--out", required=True, help="folder of the dataset")
    kind.add_argument(
      "--workers",
      type=int,
      default=os.cpu_count(),
      help="processes (all cores)",
    )
    kind.add_argument("--overwrite", action="store_true", help="replace it")
    kind.add_argument(
      "--skip-bad", action="store_true", help="leave bad records out"
    )
    kind.add_argument("--tokenizer", help="also train a small one: FILE.model")
    kind.add_argument("--vocab", type=int, default=1024, help="its pieces")
  return parser.parse_args(argv)


def _picture_kinds(kinds):
  """The parsers of `images`, `scannet` and `tum`."""
  images = kinds.add_parser("images", help="pictures without depth")
  images.add_argument("path", help="folder, tars or their pattern, TFDS set")
  images.add_argument(
    "--val", type=float, default=0.0, help="share of split val (0)"
  )
  measured = [
    kinds.add_parser(name, help=f"measured depth in the layout of {layout}")
    for name, layout in (("scannet", "ScanNet"), ("tum", "TUM RGB-D"))
  ]
  for kind in measured:
    kind.add_argument("path", help="a scene or sequence, or a folder of them")
    kind.add_argument("--size", type=int, default=0, help="longest side (all)")
    kind.add_argument("--stride", type=int, default=1, help="every Nth (1)")
  measured[1].add_argument(
    "--intrinsics", help="K.json of the camera, as `hispatial ask` takes it"
  )
  return [images, *measured]


def _source(args):
  from hispatial_jax.data import sources

  if args.kind == "toyworld":
    return sources.ToyWorld(
      train=args.train,
      val=args.val,
      size=args.size,
      seed=args.seed,
      kind=args.scene,
    )
  if args.kind == "jsonl":
    return sources.Folders(args.file)
  return _pictures(args)


def _pictures(args):
  """The source of `images`, `scannet` and `tum`; says what it left out."""
  from hispatial_jax.data import pictures, scannet, tum
  from hispatial_jax.pp import given

  if args.kind == "scannet":
    return scannet.ScanNet(args.path, args.size, args.stride)
  if args.kind == "tum":
    camera = None
    if args.intrinsics:
      said = given.read_json(args.intrinsics)
      camera = given.intrinsics(said, args.intrinsics).ravel().tolist()
    return tum.Tum(args.path, args.size, args.stride, camera)
  source = pictures.open_source(args.path, val=args.val)
  for reason, what in getattr(source, "problems", []):
    print(f"left out ({reason}): {what}", file=sys.stderr)
  return source


def _build(args, source) -> None:
  import tensorflow_datasets as tfds
  import tqdm

  from hispatial_jax.data import builder

  tfds.disable_progress_bar()
  there = builder.description(args.out)
  if there is not None and not args.overwrite:
    if there == source.describe():
      print(f"{args.out} already holds these records: nothing to do")
      return
    raise FileExistsError(
      f"{args.out} holds records of other settings ({there}); choose another"
      " --out, or --overwrite"
    )
  wanted = {split: len(ids) for split, ids in source.splits.items()}
  text = ", ".join(f"{count} {split}" for split, count in wanted.items())
  print(f"making {text} records in {args.out} with {args.workers} processes")
  begin = time.monotonic()
  with tqdm.tqdm(
    total=sum(wanted.values()), unit=" records", mininterval=2, leave=False
  ) as bar:
    found = builder.build(
      source,
      args.out,
      workers=args.workers,
      skip_bad=args.skip_bad,
      overwrite=args.overwrite,
      on_record=bar.update,
    )
  _summary(found, time.monotonic() - begin)


def _summary(found, seconds: float) -> None:
  total = sum(split["records"] for split in found.values())
  for name, split in found.items():
    size = split["bytes"] / max(split["records"], 1) / 1e3
    left_out = split["wanted"] - split["records"]
    note = f", {left_out} bad ones left out" if left_out else ""
    print(f"  {name}: {split['records']} records of {size:.1f} kB{note}")
  print(f"  {seconds:.1f} s, {total / seconds:.1f} records/s")


def _train_tokenizer(folder: str, path: str, vocab: int) -> None:
  """Learns pieces from the phrase bank and from what the records ask."""
  from hispatial_jax.core import tokenizer
  from hispatial_jax.data import builder, records
  from hispatial_jax.qa import generate, say

  texts = list(say.all_texts())
  train = builder.open_split(folder, "train")
  for number in range(min(len(train), _TEXT_RECORDS)):
    record = records.decode(train[number])
    texts += [qa[key] for qa in record["qa"] for key in ("question", "answer")]
    for qa in generate.draw(record, 0, _TEXT_QUESTIONS):
      texts += [qa.question, qa.answer]
  words = tokenizer.train_small(texts, vocab_size=vocab, path=path)
  print(f"  tokenizer of {words.vocab_size} tokens in {path}")


if __name__ == "__main__":
  sys.exit(main())
