"""Headlines and their 95 % intervals.

A headline is a mean over strata of ratios of sums. One stratum of 0/1 values,
each a group of its own, gets the Wilson interval; everything else a
percentile bootstrap that draws groups within each set of strata they touch,
2,000 draws, seed 0, and none below 8 groups.
"""

import numpy as np

from hispatial_jax.benchmarks import base, tables

_DRAWS = 2000
_FEWEST = 8


def headline(
  name: str,
  rule: str,
  examples,
  scores,
  keep=None,
  by: str = "",
  weights=None,
) -> base.Headline | None:
  """A headline over examples; None when the rule judges none of them.

  Args:
    name: of the headline.
    rule: entry of a score, 0/1 or None.
    examples: all of them.
    scores: theirs.
    keep: which examples count; all by default.
    by: category entry that makes the strata; "" for one.
    weights: share of each stratum; a stratum that is missing from the
      examples makes the headline None.
  """
  units = tuple(
    (str(e.category[by]) if by else "", e.group, float(s[rule]), 1.0)
    for e, s in zip(examples, scores, strict=True)
    if s.get(rule) is not None and (keep is None or keep(e))
  )
  there = {unit[0] for unit in units}
  if not units or set(weights or ()) - there:
    return None
  return base.Headline(name, rule, units, weights or {})


def of_groups(name: str, rule: str, held: dict | None) -> base.Headline | None:
  """A headline over groups that are right or wrong as a whole."""
  if not held:
    return None
  units = tuple(("", str(g), float(hit), 1.0) for g, hit in held.items())
  return base.Headline(name, rule, units)


def _weights(line: base.Headline, strata: list[str]) -> np.ndarray:
  if not line.weights:
    return np.full(len(strata), 1 / len(strata))
  return np.array([line.weights.get(name, 0.0) for name in strata])


def _sums(line: base.Headline, strata: list[str]) -> np.ndarray:
  """f64[groups, strata, 2]: numerators and denominators."""
  groups = {
    name: i for i, name in enumerate(dict.fromkeys(u[1] for u in line.units))
  }
  index = {name: i for i, name in enumerate(strata)}
  sums = np.zeros((len(groups), len(strata), 2))
  for stratum, group, top, bottom in line.units:
    sums[groups[group], index[stratum]] += top, bottom
  return sums


def _ratio(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
  """Weighted ratios of [..., strata, 2]; nan where a stratum is empty."""
  with np.errstate(invalid="ignore", divide="ignore"):
    return (sums[..., 0] / sums[..., 1]) @ weights


def _bootstrap(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
  rng, total = np.random.default_rng(0), np.zeros((_DRAWS, *sums.shape[1:]))
  kinds, member = np.unique(sums[:, :, 1] > 0, axis=0, return_inverse=True)
  for kind in range(len(kinds)):
    part = sums[member.ravel() == kind]
    flat = part.reshape(len(part), -1)
    for start in range(0, _DRAWS, 100):  # in parts: bounded memory
      times = rng.multinomial(len(part), np.full(len(part), 1 / len(part)), 100)
      total[start : start + 100] += (times @ flat).reshape(-1, *sums.shape[1:])
  draws = _ratio(total, weights)
  return draws[np.isfinite(draws)]


def line(headline_: base.Headline) -> dict:
  """{"name", "rule", "n", "value", "interval", "method"}, JSON-able.

  `n` counts units, `value` and `interval` are 0..1 or None.
  """
  strata = sorted({unit[0] for unit in headline_.units})
  weights, sums = _weights(headline_, strata), _sums(headline_, strata)
  value = float(_ratio(sums.sum(0), weights))
  n, interval, method = len(headline_.units), None, "too few groups"
  plain = all(top in (0, 1) and low == 1 for _, _, top, low in headline_.units)
  if len(strata) == 1 and plain and len(sums) == n:
    hits = int(sums[:, :, 0].sum())
    interval, method = list(tables.wilson(hits, n)), "Wilson 95 %"
  elif len(sums) >= _FEWEST:
    draws = _bootstrap(sums, weights)
    if len(draws):
      interval = [float(v) for v in np.percentile(draws, [2.5, 97.5])]
      method = f"bootstrap over groups 95 %, {_DRAWS} draws, seed 0"
  return {
    "name": headline_.name,
    "rule": headline_.rule,
    "n": n,
    "value": value if np.isfinite(value) else None,
    "interval": interval,
    "method": method,
  }


def each(name: str, rules, examples, scores) -> list[base.Headline]:
  """The same headline under each rule that judges anything."""
  lines = [headline(name, rule, examples, scores) for rule in rules]
  return [line_ for line_ in lines if line_]
