"""How fast examples are read, and where the time goes.

  python tools/bench_input.py --dir data/toy --tokenizer data/toy/words.model

Prints milliseconds an example by operation (one thread, no cache), then the
examples a second of the whole pipeline: first epoch, and later ones, for which
what does not change is cached.
"""

import argparse
import collections
import sys
import time

_PP = "decode|scene|points({0})|resize({0})|draw_qa(8)|tokenize(64)"


def main(argv=None) -> int:
  """Returns the exit code: 0, or 1 after one line of error."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--dir", required=True, help="of tools/build_records.py")
  parser.add_argument("--tokenizer", required=True, help="a .model file")
  parser.add_argument("--pp", help=f"operations ({_PP.format(112)})")
  parser.add_argument("--split", default="train")
  parser.add_argument("--batch-size", type=int, default=32)
  parser.add_argument("--threads", type=int, default=2)
  parser.add_argument("--seconds", type=float, default=10, help="to measure")
  args = parser.parse_args(argv)
  try:
    _bench(args)
  except (ValueError, OSError) as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  return 0


def _bench(args) -> None:
  from hispatial_jax.core import tokenizer
  from hispatial_jax.data import builder, pipeline

  words = tokenizer.load(args.tokenizer)
  cfg = {
    "dir": args.dir,
    "split": args.split,
    "pp": args.pp or _PP.format(112),
    "num_threads": args.threads,
  }
  source = builder.open_split(args.dir, args.split)
  by_operation(source, cfg["pp"], words, args.seconds / 2)
  batches = pipeline.train_iterator(
    cfg, tokenizer=words, batch_size=args.batch_size
  )
  for name in ("first epoch", "later epochs"):
    count = max(1, len(source) // args.batch_size)
    begin, cpu, done = time.monotonic(), time.process_time(), 0
    while done < count and time.monotonic() - begin < args.seconds / 2:
      next(batches)
      done += 1
    seconds = time.monotonic() - begin
    cpu_ms = (time.process_time() - cpu) / done * 1e3
    print(
      f"{name}: {done * args.batch_size / seconds:.0f} examples/s,"
      f" {seconds / done * 1e3:.1f} ms (CPU {cpu_ms:.1f} ms) a batch of"
      f" {args.batch_size}"
    )
  print(
    f"bad: {dict(batches.tally.bad)}, dropped: {dict(batches.tally.dropped)}"
  )


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
