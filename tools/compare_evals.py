"""Compares runs of one benchmark, question by question.

  python tools/compare_evals.py runs/a/eval runs/b/eval --out runs/a_b

Each folder is an --out of tools/evaluate.py; the first is the one that the
others are compared with. Prints shares, their paired difference with its 95 %
interval and McNemar's exact p, over all questions and by category; writes
OUT/compare.json with the questions that flipped, and OUT/compare.html.
Different data or prompts are refused, and what differs is said.
"""

import argparse
import sys

_HEADER = ["", "n", "a %", "b %", "b − a", "95 %", "gained", "lost", "p"]


def main(argv=None) -> int:
  """Returns the exit code: 0, or 2 after one line of error."""
  args = parser().parse_args(argv)
  try:
    run(args)
  except (OSError, ValueError) as error:
    print(f"compare_evals.py: error: {error}", file=sys.stderr)
    return 2
  return 0


def parser() -> argparse.ArgumentParser:
  """The command line."""
  out = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  out.add_argument("runs", nargs="+", help="two folders or more")
  out.add_argument("--names", nargs="+", help="of the runs, as shown")
  out.add_argument("--out", help="folder for compare.json (B/vs_NAME_OF_A)")
  out.add_argument(
    "--rule", default="correct", help="entry of the rows to compare (correct)"
  )
  out.add_argument(
    "--flips", type=int, default=5, help="to print of each kind (5)"
  )
  out.add_argument(
    "--force", action="store_true", help="compare what they have in common"
  )
  return out


def run(args) -> None:
  """Compares, prints and writes.

  Raises:
    ValueError, OSError: bad input, in one line.
  """
  from hispatial_jax.core import mirror, remote
  from hispatial_jax.evaluation import compare, journal
  from hispatial_jax.report import compare_page

  names = args.names or args.runs
  if len(names) != len(args.runs):
    raise ValueError(f"{len(args.runs)} runs, but {len(names)} --names")
  runs = [
    compare.read(remote.fetch(folder, (".json", ".jsonl")), name)
    for folder, name in zip(args.runs, names, strict=True)
  ]
  found = compare.compare(runs, rule=args.rule, force=args.force)
  for pair in found["pairs"]:
    print(text(pair, args.flips))
  first, last = (remote.path(args.runs[i]) for i in (0, -1))
  target = remote.path(args.out or last / f"vs_{first.resolve().name}")
  with mirror.of(target) as out:
    out.mkdir(parents=True, exist_ok=True)
    journal.write_json(out / "compare.json", found)
    page = compare_page.write(out / "compare.html", found)
  page = f" and {target / page.name}" if page else ""
  print(f"wrote {target / 'compare.json'}{page}")


def text(pair: dict, shown: int) -> str:
  """A pair's table and its first flips."""
  from hispatial_jax.report import compare_page

  rows = [compare_page.cells(line) for line in pair["lines"]]
  wide = [max(map(len, column)) for column in zip(_HEADER, *rows, strict=True)]
  parts = [f"a = {pair['a']}\nb = {pair['b']}"]
  parts += [f"warning: {warning}" for warning in pair["warnings"]]
  for row in [_HEADER, *rows]:
    rest = zip(row[1:], wide[1:], strict=True)
    cells = [row[0].ljust(wide[0]), *(c.rjust(w) for c, w in rest)]
    parts.append("  ".join(cells).rstrip())
  for kind in ("gained", "lost"):
    some = [flip for flip in pair["flips"] if flip["flip"] == kind]
    parts.append(f"{kind}: {len(some)}")
    for flip in some[:shown]:
      said = [flip[x]["error"] or flip[x]["output"] for x in ("a", "b")]
      a, b = (repr(" ".join(words.split())[:70]) for words in said)
      parts.append(f"  {flip['key']}: truth {flip['truth']}, a {a}, b {b}")
  return "\n".join(parts) + "\n"


if __name__ == "__main__":
  sys.exit(main())
