"""How far two opinions on the same answers are one."""

from typing import Any

_LISTED = 100


def of(rows: list[dict], verdicts: dict[str, dict]) -> dict[str, Any]:
  """How far the judge's verdicts and ours are one.

  Args:
    rows: of predictions.jsonl.
    verdicts: of some of them, by key.

  Returns:
    JSON-able; `table[ours][judge]` counts, `share` and Cohen's `kappa` are of
    the judged, null where they don't exist. `accuracy` is the judge's share
    of right answers among all items, its failures counting as wrong.
  """
  mine = [row for row in rows if row["key"] in verdicts]
  found = [(row, verdicts[row["key"]]) for row in mine]
  judged = [(row, v["score"]) for row, v in found if "score" in v]
  table = [[0, 0], [0, 0]]
  for row, score in judged:
    table[int(row["correct"])][score] += 1
  failed = [
    {"key": row["key"], "error": v["error"]}
    for row, v in found
    if "score" not in v
  ]
  apart = [
    {"key": r["key"], "ours": int(r["correct"]), "judge": s}
    for r, s in judged
    if int(r["correct"]) != s
  ]
  hits, n = sum(score for _, score in judged), len(judged)
  return {
    "items": len(mine),
    "judged": n,
    "failed": len(failed),
    "accuracy": hits / len(mine) if mine else None,
    "ours": sum(r["correct"] for r in mine) / len(mine) if mine else None,
    "share": (table[0][0] + table[1][1]) / n if n else None,
    "kappa": kappa(table),
    "table": table,
    "apart": apart[:_LISTED],
    "failures": failed[:_LISTED],
  }


def kappa(table: list[list[int]]) -> float | None:
  """Cohen's kappa of a 2 x 2 table; None where chance alone agrees."""
  n = sum(map(sum, table))
  if not n:
    return None
  both = (table[0][0] + table[1][1]) / n
  ours, judge = sum(table[1]) / n, (table[0][1] + table[1][1]) / n
  chance = ours * judge + (1 - ours) * (1 - judge)
  return None if chance == 1 else (both - chance) / (1 - chance)
