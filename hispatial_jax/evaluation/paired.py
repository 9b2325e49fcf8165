"""The difference of two runs on the same questions, and how sure it is."""

from typing import Any

import numpy as np

_DRAWS, _FEWEST = 2000, 8
METHOD = {
  "interval": f"percentile bootstrap over groups 95 %, {_DRAWS} draws, seed 0, "
  f"none below {_FEWEST} groups",
  "p": "McNemar, exact, two-sided, questions taken as independent",
}


def group(row: dict[str, Any]) -> str:
  """What a row is drawn with: questions of one group stand or fall together."""
  return row.get("group", row["key"])


def line(cut: str, name: str, pairs, rule: str) -> dict[str, Any]:
  """Figures of some questions: shares of a and b, b less a.

  `gained` is right in b alone, `lost` in a alone.
  """
  a = np.array([x[rule] for x, _ in pairs], float)
  b = np.array([y[rule] for _, y in pairs], float)
  gained, lost = int((b > a).sum()), int((a > b).sum())
  return {
    "cut": cut,
    "name": name,
    "n": len(pairs),
    "a": float(a.mean()),
    "b": float(b.mean()),
    "difference": float((b - a).mean()),
    "interval": bootstrap(b - a, [group(x) for x, _ in pairs]),
    "gained": gained,
    "lost": lost,
    "p": mcnemar(gained, lost),
  }


def bootstrap(values: np.ndarray, groups: list[str]) -> list[float] | None:
  """95 % interval of a mean, groups drawn whole; None below 8 groups."""
  index = {name: i for i, name in enumerate(dict.fromkeys(groups))}
  if len(index) < _FEWEST:
    return None
  sums = np.zeros((len(index), 2))
  np.add.at(
    sums, [index[g] for g in groups], np.c_[values, np.ones(len(values))]
  )
  rng, draws = np.random.default_rng(0), []
  share = np.full(len(sums), 1 / len(sums))
  for _ in range(_DRAWS // 100):  # in parts: bounded memory
    total = rng.multinomial(len(sums), share, size=100) @ sums
    draws.append(total[:, 0] / total[:, 1])
  low_high = np.percentile(np.concatenate(draws), [2.5, 97.5])
  return [float(v) for v in low_high]


def mcnemar(gained: int, lost: int) -> float:
  """Two-sided exact p of so uneven a split of the questions that flipped."""
  n, ways, total = gained + lost, 1, 0
  for k in range(min(gained, lost) + 1):
    total += ways
    ways = ways * (n - k) // (k + 1)
  return min(1.0, 2 * total / 2**n)
