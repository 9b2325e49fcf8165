"""Writes a benchmark in the format of the custom trio, with measured depth.

  python tools/make_custom_bench.py toyworld --out data/custom --count 60
  python tools/make_custom_bench.py my/records --out data/custom --count 300

SOURCE is toyworld, whose scenes are rendered here and never those of training
(split val), or any source with annotated objects (data/sources.py). OUT gets
custom_bench.jsonl, images/*.png and depth/*.png (millimetres): what
`tools/evaluate.py --benchmark hispatial_custom --data OUT` reads. COUNT
questions, a third of each task as far as the scenes allow.
"""

import argparse
import collections
import itertools
import pathlib
import sys

import numpy as np


def main(argv=None) -> int:
  """Returns the exit code: 0, or 2 after one line of error."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add = parser.add_argument
  add("source", metavar="SOURCE", help="toyworld, or records with objects")
  add("--out", required=True, help="folder of the benchmark")
  add("--count", type=int, default=60, help="questions (60)")
  add("--size", type=int, default=224, help="pixels of a toy scene (224)")
  add("--seed", type=int, default=0, help="other questions, other toy scenes")
  args = parser.parse_args(argv)
  try:
    counts = make(args)
  except (OSError, ValueError) as error:
    print(f"make_custom_bench.py: error: {error}", file=sys.stderr)
    return 2
  said = ", ".join(f"{n} {task}" for task, n in sorted(counts.items()))
  print(f"{args.out}: {said}")
  return 0


def make(args) -> dict[str, int]:
  """Writes the files; task -> number of questions.

  Raises:
    ValueError, OSError: a count below 3, a source without objects.
  """
  from hispatial_jax.benchmarks import custom_files

  if args.count < 3:
    raise ValueError(f"--count {args.count}: expected 3 or more")
  out = pathlib.Path(args.out)
  if (out / "custom_bench.jsonl").exists():
    raise ValueError(f"{out} holds a benchmark already: choose another folder")
  items = list(itertools.islice(_items(args), args.count))
  if not items:
    raise ValueError(
      f"{args.source}: no question: do its records have objects?"
    )
  custom_files.save(out, items)
  return collections.Counter(item["task"] for item in items)


def _items(args):
  """Questions with their pictures, the rarest task first of a scene."""
  from hispatial_jax.qa import trio

  counts: collections.Counter = collections.Counter()
  share = -(-args.count // 3)
  for record in _records(args):
    found = [
      item
      for item in trio.draw(record, args.seed)
      if counts[item["task"]] < share
    ]
    files = _files(record) if found else {}
    for item in sorted(found, key=lambda item: counts[item["task"]]):
      counts[item["task"]] += 1
      yield {"id": f"{item['task']}/{record['id']}", **item, **files}


def _records(args):
  from hispatial_jax.data import pictures, sources

  if args.source == "toyworld":
    source = sources.ToyWorld(
      train=0, val=4 * args.count, size=args.size, seed=args.seed
    )
  else:
    source = pictures.open_source(args.source)
  for ids in source.splits.values():
    for name in ids:
      yield {**source.make(name), "id": name}


def _files(record) -> dict:
  """Picture and depth of a record as PNG, and the camera."""
  import cv2

  from hispatial_jax.pp import codec, given

  rgb = given.read_image(record["image"])
  image = cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()
  if record.get("depth_m") is None:
    return {"image": image}
  metres = np.nan_to_num(record["depth_m"], nan=0.0, posinf=0.0)
  millimetres = np.clip(np.rint(metres * 1000), 0, 65535).astype(np.uint16)
  matrix = np.asarray(record["intrinsics"], float)
  return {
    "image": image,
    "depth": codec.write_png(millimetres),
    "intrinsics": [[round(v, 6) for v in row] for row in matrix.tolist()],
  }


if __name__ == "__main__":
  sys.exit(main())
