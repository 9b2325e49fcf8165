"""What one constant answer would have scored: the least a model must beat.

The constant is chosen on the very questions it is scored on, one for each
value of the benchmark's CONSTANT_BY: an upper bound of what guessing without
looking can reach, and so the honest line to print beside a figure.
"""

from hispatial_jax.benchmarks import base

_MOST = 400


def lengths(examples) -> list[float]:
  """Lengths worth trying: the ends of ±25 % and factor-2 windows of truths."""
  truths = sorted({e.truth for e in examples if isinstance(e.truth, float)})
  step = max(1, len(truths) // (_MOST // 3))
  few = truths[::step]
  return [t * scale for t in few for scale in (1.0, 1.25, 1.99)]


def _parts(bench: base.Benchmark, examples) -> dict:
  parts = {}
  for example in examples:
    name = bench.CONSTANT_BY
    key = str(example.category[name]) if name else ""
    parts.setdefault(key, []).append(example)
  return parts


def best(bench: base.Benchmark, examples) -> dict[str, dict]:
  """{part: {"answer", "hits", "n"}}; ties go to the first candidate."""
  out = {}
  for name, part in _parts(bench, examples).items():
    tried = [
      (sum(bench.hit(example, value) for example in part), value)
      for value in bench.candidates(part)
    ]
    hits, value = max(tried, key=lambda pair: pair[0], default=(0, None))
    out[name] = {"answer": value, "hits": hits, "n": len(part)}
  return out


def scores(bench: base.Benchmark, examples) -> list[dict]:
  """Scores that the best constant answers get, for `aggregate`'s first rule.

  They hold our rule alone: give them to `headlines`.
  """
  chosen, name, out = best(bench, examples), bench.CONSTANT_BY, []
  for example in examples:
    key = str(example.category[name]) if name else ""
    value = chosen[key]["answer"]
    right = 0 if example.error else bench.hit(example, value)
    found = base.Parse(value, "constant answer")
    out.append(base.verdict(example, found, right, **{bench.RULES[0]: right}))
  return out
