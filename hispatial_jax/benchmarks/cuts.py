"""A benchmark's verdicts by category, for tables and reports.

Counted per item under our own verdict; what counts in groups (rotations) is in
the headlines. Intervals are Wilson, 95 %.
"""

from hispatial_jax.benchmarks import base, tables


def _line(cut: str, name, pairs, constant: list[dict]) -> dict:
  hits, n = sum(s["correct"] for _, s in pairs), len(pairs)
  return {
    "cut": cut,
    "name": str(name),
    "n": n,
    "correct": hits,
    "accuracy": hits / n,
    "interval": list(tables.wilson(hits, n)),
    "unparsed": sum(not s["parsed"] for _, s in pairs),
    "errors": sum(bool(s["error"]) for _, s in pairs),
    "constant": (sum(s["correct"] for s in constant) / n if constant else None),
  }


def lines(
  bench: base.Benchmark, examples, scores, constant: list[dict] | None = None
) -> list[dict]:
  """One line for all, then one for each value of each of the bench's cuts.

  Args:
    bench: the benchmark module.
    examples: all examples.
    scores: theirs.
    constant: of `constants.scores`, to print beside them.

  Returns:
    {"cut", "name", "n", "correct", "accuracy", "interval", "unparsed",
    "errors", "constant"} each; shares are 0..1. A value that is None (a range
    of what is no length) has no line.
  """
  pairs = list(zip(examples, scores, strict=True))
  if not pairs:
    raise ValueError("no answers to tabulate: the evaluation saw no question")
  out = [_line("all", "all", pairs, constant or [])]
  for cut in bench.CUTS:
    values = {e.category.get(cut) for e in examples} - {None}
    for value in sorted(values, key=str):
      at = [i for i, e in enumerate(examples) if e.category.get(cut) == value]
      part = [constant[i] for i in at] if constant else []
      out.append(_line(cut, value, [pairs[i] for i in at], part))
  return out
