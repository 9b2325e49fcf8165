"""Tokens a second of answers: ours, and Hugging Face's generate beside it.

    python tools/bench_decode.py                       # 66m, batch 8, 32 tokens
    python tools/bench_decode.py --size 200m --px 224
    python tools/bench_decode.py --size 3b_224 --layers 4 --vocab 65536

A PaliGemma-2 with random weights (it has no point map; transformers has none)
is written as Hugging Face's files, which both sides read, each in a process of
its own, on the same CPU. Both get the same pictures and prompts and make --new
tokens by greedy choice, whatever ends an answer; that the tokens are the same
is checked first. Then they take turns. Medians are printed: the time to the
first token (the whole prompt is read for it), the time of each further one,
all new tokens over all the time, and the most memory that the process held. A
further token needs all weights of the decoder: the time that all cores take to
read as many bytes, measured in between, is what no code can do without.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from bench_cases import decode, turns

_SIDES = {"ours": decode.ours, "transformers": decode.theirs}


def main(argv=None) -> int:
  """Returns the exit code: 0, or 1 after one line of error."""
  args = _parse(argv)
  try:
    if args.serve:
      side, folder = args.serve
      turns.serve(_SIDES[side](pathlib.Path(folder)))
      return 0
    found = compare(args)
  except (OSError, ValueError, RuntimeError, ImportError) as error:
    print(f"bench_decode: error: {error}", file=sys.stderr)
    return 1
  print(table(found))
  if args.json:
    args.json.write_text(json.dumps(found, indent=2) + "\n")
  return 0


def _parse(argv):
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add = parser.add_argument
  add(
    "--size", default="66m", help=f"{', '.join(decode.names())} (%(default)s)"
  )
  add("--px", type=int, help="pixels of a side (the size's)")
  add("--layers", type=int, help="of the decoder (the size's)")
  add("--vocab", type=int, help="tokens of the vocabulary (the size's)")
  add("--batch", type=int, default=8, help="prompts (%(default)s)")
  add("--text", type=int, default=12, help="tokens of a prompt (%(default)s)")
  add("--new", type=int, default=32, help="tokens of an answer (%(default)s)")
  add("--turns", type=int, default=3, help="of each side (%(default)s)")
  add("--dtype", choices=("float32", "bfloat16"), default="float32")
  add("--json", type=pathlib.Path, help="writes the figures there, too")
  add("--serve", nargs=2, help=argparse.SUPPRESS)
  args = parser.parse_args(argv)
  least = min(args.batch, args.text, args.turns, args.new - 1)
  if least < 1:
    parser.error("--batch, --text and --turns are at least 1, --new 2")
  return args


def compare(args) -> dict:
  """All figures.

  Raises:
    ValueError: an unknown size, or the sides' tokens differ.
    RuntimeError: a side failed.
  """
  taken = {name: {"first": [], "all": []} for name in _SIDES}
  tokens, peaks, read = {}, {}, []
  with tempfile.TemporaryDirectory() as folder:
    facts = decode.write(args, pathlib.Path(folder))
    command = [sys.executable, __file__, "--serve"]
    with (
      turns.Side([*command, "ours", folder]) as mine,
      turns.Side([*command, "transformers", folder]) as theirs,
    ):
      sides = dict(zip(_SIDES, (mine, theirs), strict=True))
      for name, side in sides.items():
        side.ask({"new": 1})
        tokens[name] = side.ask({"new": args.new})["tokens"]
      _check(tokens)
      for _ in range(args.turns):
        for name, side in sides.items():
          taken[name]["first"].append(side.ask({"new": 1})["seconds"])
          reply = side.ask({"new": args.new})
          taken[name]["all"].append(reply["seconds"])
          peaks[name] = reply["peak"]
        read.append(turns.seconds_to_read(facts["decoder_bytes"]))
  facts["different_tokens"] = len({t for row in tokens["ours"] for t in row})
  shown = {k: v for k, v in vars(args).items() if k not in ("json", "serve")}
  found = {"options": shown, **facts, "machine": turns.machine()}
  found["weights_read_seconds"] = statistics.median(read)
  for name, times in taken.items():
    found[name] = _figures(args, times, peaks[name])
  rates = [found[name]["tokens_per_second"] for name in _SIDES]
  return found | {"times_as_fast": rates[0] / rates[1]}


def _check(tokens) -> None:
  mine, theirs = tokens.values()
  rows = sum(a != b for a, b in zip(mine, theirs, strict=True))
  if rows:
    raise ValueError(
      f"{rows} of {len(mine)} rows have other tokens than transformers': "
      "expected the same; in bfloat16 a near tie may fall either way"
    )


def _figures(args, times, peak) -> dict:
  first, whole = (statistics.median(times[key]) for key in ("first", "all"))
  return {
    "first_token_seconds": first,
    "token_seconds": (whole - first) / (args.new - 1),
    "tokens_per_second": args.batch * args.new / whole,
    "fastest_and_slowest_seconds": [min(times["all"]), max(times["all"])],
    "peak_bytes": peak,
  }


def table(found) -> str:
  """The figures as Markdown."""
  options = found["options"]
  lines = [
    f"{found['parameters'] / 1e6:,.0f} M random parameters, "
    f"{options['dtype']}, batch {options['batch']}, {found['image_tokens']} "
    f"image and {options['text']} text tokens, {options['new']} new ones: the "
    f"same ({found['different_tokens']} different)",
    f"{found['machine']}; medians of {options['turns']}",
    "",
    "| | first token, ms | further ones, ms | tokens/s | memory, GiB |",
    "|---|---:|---:|---:|---:|",
  ]
  for name in _SIDES:
    x = found[name]
    lines.append(
      f"| {name} | {1e3 * x['first_token_seconds']:.0f} "
      f"| {1e3 * x['token_seconds']:.1f} | {x['tokens_per_second']:.0f} "
      f"| {x['peak_bytes'] / 2**30:.2f} |"
    )
  seconds, size = found["weights_read_seconds"], found["decoder_bytes"]
  return "\n".join(
    [
      *lines,
      "",
      f"{found['times_as_fast']:.2f} times as fast",
      f"reading the decoder's {size / 1e6:.0f} MB once: {1e3 * seconds:.1f} ms "
      f"({size / 1e9 / seconds:.0f} GB/s)",
    ]
  )


if __name__ == "__main__":
  sys.exit(main())
