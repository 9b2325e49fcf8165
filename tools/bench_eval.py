"""Questions a second of an evaluation: in batches, and one at a time.

  python tools/bench_eval.py                             # a mid-size model
  python tools/bench_eval.py --checkpoint runs/toy
  python tools/bench_eval.py --model 3b_448 --dtype bfloat16 --batch 1,32

The same model, questions and code: pictures are decoded and prepared in
threads, every answer is journaled, each rate is of whole runs after one that
compiles. The rates take turns, so that what else the machine does hits all
alike; medians are printed. Random models rarely say that they have ended, so
that every answer has NEW tokens, as many in a batch as alone.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import sys
import tempfile
import time

_SIDE = 448
# Reading an image is work that no batch spares, and a CPU is slow at it; new
# tokens wait for the memory. Few image tokens give the proportions of a GPU.
_MID = {
  "img": {"width": 128, "depth": 2, "mlp_dim": 256, "num_heads": 2},
  "llm": {
    "width": 512,
    "depth": 8,
    "mlp_dim": 2048,
    "num_heads": 4,
    "num_kv_heads": 2,
    "head_dim": 128,
    "vocab_size": 65536,
  },
  "pointmap": {"width": 128, "num_outputs": 512, "num_freqs": 4},
}
_ASKED = (
  "How far is the red chair from the camera?",
  "What is the distance between the table and the door?",
  "Is the lamp left of the sofa? Answer with Yes or No.",
  "Which is nearer, the blue car or the green bucket?",
)


def main(argv=None) -> int:
  """Returns the exit code: 0, or 2 after one line of error."""
  args = _parser().parse_args(argv)
  try:
    sizes = [int(x) for x in args.batch.split(",")]
    run(args, sizes)
  except (OSError, ValueError) as error:
    print(f"bench_eval.py: error: {error}", file=sys.stderr)
    return 2
  return 0


def _parser():
  out = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add = out.add_argument
  add("--model", default="mid", help="mid, toy, 3b_448, ... random weights")
  add("--checkpoint", help="WORKDIR, a step or FILE.npz instead")
  add("--dtype", default="float32", help="of a random model (%(default)s)")
  add("--pixels", type=int, default=56, help="of mid's pictures (%(default)s)")
  add("--batch", default="1,32", help="sizes (%(default)s)")
  add("--questions", type=int, default=32, help="of a run (%(default)s)")
  add("--new", type=int, default=48, help="tokens of an answer (%(default)s)")
  add("--repeats", type=int, default=2, help="runs of each (%(default)s)")
  add("--json", metavar="FILE", help="writes the figures there, too")
  return out


def run(args, sizes: list[int]) -> None:
  """Measures and prints."""
  import jax

  make, described = _model(args)
  asked = _examples(args.questions)
  times: dict[int, list[float]] = {size: [] for size in sizes}
  tokens = {}
  decoders = {size: make(size) for size in sizes}
  for repeat in range(args.repeats + 1):
    for size in sizes:
      # Alone a quarter of them is enough to know.
      some = asked if size > 1 else asked[: max(1, args.questions // 4)]
      seconds, tokens[size] = _timed(decoders[size], some)
      if repeat:
        times[size].append(len(some) / seconds)
  rates = {size: statistics.median(found) for size, found in times.items()}
  print(f"{described}; {args.new} new tokens; {_machine(jax)}")
  print(f"{' '.join(['python', 'tools/bench_eval.py', *sys.argv[1:]])}")
  for size, rate in rates.items():
    low, high = min(times[size]), max(times[size])
    print(
      f"batch {size:3d}  {rate:8.2f} questions/s  ({low:.2f}–{high:.2f})  "
      f"{rate / rates[sizes[0]]:5.1f} x  {tokens[size]:.1f} tokens an answer"
    )
  if args.json:
    figures = {"model": described, "questions_per_second": rates}
    pathlib.Path(args.json).write_text(json.dumps(figures) + "\n")


def _model(args):
  """(batch size -> model, what it is)."""
  import jax

  from hispatial_jax.core import mesh
  from hispatial_jax.evaluation import checkpoint
  from hispatial_jax.evaluators import decoding, predict_fns
  from hispatial_jax.models import hispatial, sizes

  if args.checkpoint:
    first = checkpoint.open(args.checkpoint, batch_size=1)
    name = first.describe()["name"]

    def reopened(size):
      return checkpoint.open(
        args.checkpoint, batch_size=size, max_new_tokens=args.new
      )

    return reopened, name
  if args.model == "mid":
    config = sizes.config("toy", **_MID, dtype=args.dtype)
    config["img"] |= {
      "num_outputs": config["llm"]["width"],
      "image_size": args.pixels,
    }
  else:
    config = sizes.config(args.model, dtype=args.dtype)
  words = _words()
  grid = mesh.make()
  shapes = sizes.param_shapes(config)
  with mesh.use(grid):
    params = _random(shapes, args.dtype)
  fns = predict_fns.make(hispatial.Model(**config), grid)
  count = sum(x.size for x in jax.tree.leaves(shapes))

  def make(size):
    decoder = decoding.Decoder(
      fns["generate"],
      words,
      size=config["img"]["image_size"],
      rows=decoding.rows_here(size, jax.device_count(), jax.process_count()),
      max_new_tokens=args.new,
    )
    facts = {"kind": "random", "batch": size}
    return checkpoint.Checkpoint(params, decoder, grid, facts)

  side = config["img"]["image_size"] // 14
  described = (
    f"{args.model}, random, {count / 1e6:,.0f} M parameters in {args.dtype}, "
    f"{side * side} image tokens"
  )
  return make, described


def _random(shapes, dtype):
  """Normal values of a matmul's scale, made on the device leaf by leaf."""
  import jax
  import jax.numpy as jnp

  leaves, tree = jax.tree.flatten(shapes)
  out = []
  for number, leaf in enumerate(leaves):
    scale = 0.02 if leaf.ndim > 1 else 0.0
    key = jax.random.key(number)
    out.append(
      (scale * jax.random.normal(key, leaf.shape, jnp.float32)).astype(dtype)
    )
  return jax.tree.unflatten(tree, out)


def _words():
  """A tokenizer whose ids fit every model; words of real length."""
  from hispatial_jax.core import tokenizer

  words = tokenizer.train_small(_ASKED * 8, vocab_size=600)

  class Anything:
    """Decodes ids that only the model knows."""

    bos_id, eos_id, newline_id = words.bos_id, words.eos_id, words.newline_id
    encode = staticmethod(words.encode)

    @staticmethod
    def decode(ids):
      return " ".join(str(i) for i in ids)

  return Anything()


def _examples(count: int):
  """Questions about noisy pictures, JPEG as benchmarks have them."""
  import cv2
  import numpy as np

  from hispatial_jax.benchmarks import base

  rng = np.random.default_rng(0)
  small = rng.integers(0, 255, (16, 24, 24, 3), np.uint8)
  photos = [cv2.resize(x, (_SIDE, _SIDE)) for x in small]
  files = [cv2.imencode(".jpg", photo)[1].tobytes() for photo in photos]
  plane = np.full((_SIDE, _SIDE), 2.5, np.float32)
  camera = np.array([[_SIDE, 0, 224], [0, _SIDE, 224], [0, 0, 1]], float)
  depth = base.Depth(plane, camera)
  return [
    base.Example(
      key=str(i),
      group=str(i),
      prompts={"plain": _ASKED[i % len(_ASKED)]},
      truth=None,
      image=lambda i=i: files[i % len(files)],
      depth=lambda: depth,
    )
    for i in range(count)
  ]


def _timed(model, examples) -> tuple[float, float]:
  """(seconds, mean tokens) of one run into a journal of its own."""
  from hispatial_jax.evaluation import ask, journal, points

  with tempfile.TemporaryDirectory() as folder:
    book = journal.Journal(folder)
    book.begin(model.describe())
    begin = time.perf_counter()
    ask.ask(examples, model, book, points.Points(), shown=False)
    seconds = time.perf_counter() - begin
    lines = book.read().values()
  wrong = [line["error"] for line in lines if "error" in line]
  if wrong:
    raise ValueError(f"{len(wrong)} questions failed, the first: {wrong[0]}")
  return seconds, statistics.fmean(line["tokens"] for line in lines)


def _machine(jax) -> str:
  device = jax.devices()[0]
  kind = device.device_kind if device.platform != "cpu" else platform.machine()
  cores = len(os.sched_getaffinity(0))
  return f"{jax.device_count()} {device.platform} ({kind}), {cores} cores"


if __name__ == "__main__":
  sys.exit(main())
