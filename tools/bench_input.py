"""How fast examples are read, where the time goes, and what that can feed.

  python tools/bench_input.py                       # on a shard made for it
  HISPATIAL_DIR=~/HiSpatial UTILS3D_DIR=~/utils3d python tools/bench_input.py
  python tools/bench_input.py --dir data/mine --tokenizer words.model --pp "..."

Without --dir a tar shard in the layout of the released wild data is made
(--size of image and depth, toy-world scenes with a photo's grain), records are
built from it, and on one core are measured: the reference's reading of the
shard (where HISPATIAL_DIR names a checkout of it), ours straight from the
shard, ours from records at the shard's own size and at --px. Each is read to
the network's inputs in batches of 8: pixels in -1..1, points, ids. They take
turns. Then CPU milliseconds by operation, and examples/s with --threads.
"""

import argparse
import collections
import itertools
import os
import pathlib
import platform
import statistics
import sys
import tempfile
import time

_PP = "decode|points({0})|resize({0})|wild_qa(1)|tokenize(384)"
# A training step of the 3B model at 448 px with its image tower frozen, and a
# TPU v5e chip's peak in bfloat16, of which a good half is a good rate.
_TFLOP, _PEAK_TFLOPS, _MFU = 16.4, 197.0, 0.5
_BATCH = 8


def main(argv=None) -> int:
  """Returns the exit code: 0, or 1 after one line of error."""
  args = _parse(argv)
  import cv2

  cv2.setNumThreads(1)
  try:
    if args.dir:
      _of_records(args)
    else:
      with tempfile.TemporaryDirectory() as folder:
        _of_shard(args, pathlib.Path(folder))
  except (ValueError, OSError, ImportError) as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  return 0


def _parse(argv):
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add = parser.add_argument
  add("--dir", help="records of tools/build_records.py, instead of a shard")
  add("--tokenizer", help="a .model file; without, a small one is trained")
  add("--pp", help=f"operations ({_PP.format('PX')})")
  add("--split", default="train")
  add("--px", type=int, default=448, help="the network's pixels (448)")
  add("--shard", help="a wild tar, instead of the one that is made")
  add("--size", default="640x480", help="of the shard's pictures (640x480)")
  add("--samples", type=int, default=32, help="of the shard (32)")
  add("--runs", type=int, default=3, help="turns of each (3)")
  add("--threads", type=int, default=2)
  add("--seconds", type=float, default=10, help="for the operations")
  args = parser.parse_args(argv)
  args.pp = args.pp or _PP.format(args.px)
  if bool(args.dir) and not args.tokenizer:
    parser.error("--dir needs --tokenizer")
  return args


def _of_shard(args, folder: pathlib.Path) -> None:
  """Everything beside the reference, on one shard."""
  from hispatial_jax.core import tokenizer
  from hispatial_jax.data import builder, released

  shard = args.shard or str(folder / "o365-000000.tar")
  if not args.shard:
    from bench_cases import released_shard

    width, height = (int(n) for n in args.size.split("x"))
    print(f"making a shard of {args.samples} samples of {args.size}")
    released_shard.write(shard, args.samples, (width, height))
  path = args.tokenizer or _small_tokenizer(shard, folder)
  words = tokenizer.load(path)
  source = released.Shards(shard, kind="wild")
  native = _build(shard, folder / "native", 0)
  small = _build(shard, folder / "small", args.px)
  sides = {
    "ours, the shard itself": lambda: _straight(source, args, words),
    "ours, records as the shard": lambda: _train(native, args, words),
    f"ours, records of {args.px} px": lambda: _train(small, args, words),
  }
  if os.environ.get("HISPATIAL_DIR"):
    from bench_cases import released_reference

    def reference():
      return released_reference.read(shard, path, args.px, _BATCH)

    sides = {"the reference": reference, **sides}
  else:
    print("No reference (set HISPATIAL_DIR): ours alone")
  stored = {
    "the reference": os.path.getsize(shard),
    "ours, the shard itself": os.path.getsize(shard),
    "ours, records as the shard": _bytes(native),
    f"ours, records of {args.px} px": _bytes(small),
  }
  count = len(source.splits["train"])
  rate = _table(_turns(sides, args.runs), stored, count)
  _feeds(rate)
  print(f"\nCPU ms an example by operation, records of {args.px} px:")
  by_operation(
    builder.open_split(str(small), "train"), args.pp, words, args.seconds / 2
  )
  _threads(small, args, words, count)


def _small_tokenizer(shard: str, folder: pathlib.Path) -> str:
  """One that has seen the shard's questions."""
  from hispatial_jax.core import tokenizer
  from hispatial_jax.data import released

  source, texts = released.Shards(shard, kind="wild"), []
  for name in source.splits["train"]:
    for row in source.make(name)["qa"]:
      texts += [str(row["meta"])]
  path = str(folder / "words.model")
  tokenizer.train_small(texts, vocab_size=1024, path=path)
  return path


def _build(shard: str, out: pathlib.Path, size: int) -> pathlib.Path:
  """Records of the shard; made here, in one process."""
  import build_records

  command = ["wild", shard, "--out", str(out), "--workers", "1"]
  if build_records.main([*command, "--size", str(size)]):
    raise ValueError(f"no records of {shard}")
  return out


def _bytes(folder: pathlib.Path) -> int:
  return sum(p.stat().st_size for p in folder.rglob("*.array_record*"))


def _straight(source, args, words) -> int:
  """Reads the shard itself, in its order."""
  from hispatial_jax.data import batches
  from hispatial_jax.pp import build, questions

  ops = build.build(args.pp.removeprefix("decode|"), tokenizer=words)
  names = source.splits["train"]
  for first in range(0, len(names), _BATCH):
    examples = []
    for name in names[first : first + _BATCH]:
      record = _decoded(source.make(name))
      example = ops(record | {"draw": questions.Draw(name)})
      examples.append(example | {"index": 0})
    batches.of_examples(examples, 1, examples[0])
  return len(names)


def _decoded(record):
  from hispatial_jax.pp import codec

  image = codec.read_image(record["image"])
  native = (image.shape[:2], record["depth_m"].shape)
  return {**record, "image": image, "native": native}


def _train(folder, args, words) -> int:
  """Reads as training does, in this thread alone and nothing kept."""
  from hispatial_jax.data import builder

  size = len(builder.open_split(str(folder), "train"))
  stream = _stream(folder, args, words, batch_size=_BATCH, num_threads=0)
  for _ in range(size // _BATCH):
    next(stream)
  return size // _BATCH * _BATCH


def _stream(folder, args, words, *, batch_size, **options):
  from hispatial_jax.data import pipeline

  cfg = {"dir": str(folder), "split": "train", "pp": args.pp, "cache_mb": 0}
  return pipeline.train_iterator(
    {**cfg, **options}, tokenizer=words, batch_size=batch_size
  )


def _turns(sides, runs: int) -> dict[str, float]:
  """Side -> median CPU seconds of an example, the sides taking turns."""
  taken: dict[str, list[float]] = {name: [] for name in sides}
  for turn, (name, read) in itertools.product(range(runs + 1), sides.items()):
    begin = time.process_time()
    count = read()
    if turn:  # the first one warms up
      taken[name].append((time.process_time() - begin) / count)
  return {name: statistics.median(times) for name, times in taken.items()}


def _table(taken, stored, count: int) -> float:
  """Prints the sides; returns the examples a second of the last one."""
  print(
    f"\n{platform.machine()}, one core of {os.cpu_count()}\n\n"
    "| one core | ms an example | examples/s | kB an example | speed |\n"
    "|---|---:|---:|---:|---:|"
  )
  first = next(iter(taken.values()))
  for name, seconds in taken.items():
    print(
      f"| {name} | {seconds * 1e3:.1f} | {1 / seconds:.1f} |"
      f" {stored[name] / count / 1e3:.0f} | {first / seconds:.2f} |"
    )
  return 1 / seconds


def _feeds(rate: float) -> None:
  """Says how much of a pod one core feeds."""
  chip = _PEAK_TFLOPS * _MFU / _TFLOP
  print(
    f"\nA TPU v5e chip at {_MFU:.0%} of its peak takes {chip:.1f} examples/s of"
    f" the 3B model ({_TFLOP} TFLOP each): one core feeds {rate / chip:.1f}"
    f" chips; the 4 chips of a host need {4 * chip / rate:.2f} cores, and a"
    f" host of 112 could feed a step of 64 examples every"
    f" {64 / (112 * rate) * 1e3:.0f} ms."
  )


def _threads(folder, args, words, count: int) -> None:
  """Wall-clock examples a second, threads reading ahead."""
  batch = min(_BATCH, count)
  stream = _stream(
    folder, args, words, batch_size=batch, num_threads=args.threads
  )
  next(stream)
  begin, done = time.monotonic(), 0
  while time.monotonic() - begin < args.seconds / 2:
    next(stream)
    done += batch
  rate = done / (time.monotonic() - begin)
  print(f"{args.threads} threads: {rate:.0f} examples/s by the clock")


def _of_records(args) -> None:
  """Operations, and the first and later epochs, of records that are there."""
  from hispatial_jax.core import tokenizer
  from hispatial_jax.data import builder

  words = tokenizer.load(args.tokenizer)
  source = builder.open_split(args.dir, args.split)
  by_operation(source, args.pp, words, args.seconds / 2)
  batch = min(32, len(source))
  stream = _stream(
    args.dir,
    args,
    words,
    batch_size=batch,
    split=args.split,
    cache_mb=512,
    num_threads=args.threads,
  )
  for name in ("first epoch", "later epochs"):
    count = max(1, len(source) // batch)
    begin, cpu, done = time.monotonic(), time.process_time(), 0
    while done < count and time.monotonic() - begin < args.seconds / 2:
      next(stream)
      done += 1
    seconds = time.monotonic() - begin
    cpu_ms = (time.process_time() - cpu) / done * 1e3
    print(
      f"{name}: {done * batch / seconds:.0f} examples/s,"
      f" {seconds / done * 1e3:.1f} ms (CPU {cpu_ms:.1f} ms) a batch of {batch}"
    )
  tally = stream.tally
  print(f"bad: {dict(tally.bad)}, dropped: {dict(tally.dropped)}")


def by_operation(source, string: str, words, seconds: float) -> None:
  """Prints CPU milliseconds an example of reading and of every operation."""
  from hispatial_jax.core import spec
  from hispatial_jax.data import reader
  from hispatial_jax.pp import build, questions

  chain = build.build(
    string, tokenizer=words, extra={"decode": reader.get_decode}
  )
  ops = [
    (name, op)
    for (name, _, _), op in zip(
      spec.parse(string), [*chain.fixed, *chain.drawn], strict=True
    )
  ]
  spent, done, begin = collections.Counter(), 0, time.monotonic()
  while time.monotonic() - begin < seconds:
    at = time.process_time()
    example = source[done % len(source)]
    draw = questions.Draw(str(example["id"]), done // len(source))
    spent["read"] += time.process_time() - at
    for name, op in ops:
      at = time.process_time()
      example = op(example)
      example["draw"] = draw
      spent[name] += time.process_time() - at
    done += 1
  total = sum(spent.values())
  for name, value in spent.items():
    print(f"  {name:10} {value / done * 1e3:7.3f} ms {value / total:6.1%}")
  print(f"  {'sum':10} {total / done * 1e3:7.3f} ms over {done} examples")


if __name__ == "__main__":
  sys.exit(main())
