"""Questions and answers on a benchmark's page: pictures, charts, rules."""

import random
import statistics
from typing import Any

from hispatial_jax.benchmarks import registry
from hispatial_jax.report import benchmark_charts, pictures

_CARDS, _LISTED, _LONG = 12, 60, 600
_NOT_RULES = {"correct", "tokens"}


def percent(share: float | None) -> str:
  """In percent, without the sign."""
  return "–" if share is None else f"{100 * share:.1f}"


def rules(rows: list[dict], benchmark: str) -> list[str]:
  """The 0/1 entries of rows, ours first."""
  if benchmark in registry.names():
    known = registry.get(benchmark).RULES
  else:
    found = {k for r in rows for k, v in r.items() if type(v) is int}
    known = sorted(
      name
      for name in found - _NOT_RULES
      if all(r.get(name) in (0, 1, None) for r in rows)
    )
  there = [name for name in known if all(name in r for r in rows)]
  if there and all(r[there[0]] == r["correct"] for r in rows):
    return there
  return ["correct", *there]


def apart(rows: list[dict], names: list[str]) -> list[dict]:
  """Rows that are right by one rule and wrong by another."""
  return [r for r in rows if len({r[name] for name in names} - {None}) > 1]


def some(rows: list[dict], most: int = _LISTED) -> list[dict]:
  """At most so many, drawn at random by a fixed seed, in their order."""
  if len(rows) <= most:
    return rows
  kept = sorted(random.Random(0).sample(range(len(rows)), most))
  return [rows[i] for i in kept]


def rule(rows: list[dict], name: str, ours: str) -> dict[str, Any]:
  """How a rule compares with ours; both judge `judged` questions or more."""
  judged = [r for r in rows if r[name] is not None]
  both = [(r[name], r[ours]) for r in judged if r[ours] is not None]
  share = sum(r[name] for r in judged) / len(judged) if judged else None
  return {
    "name": name,
    "judged": f"{len(judged):,}",
    "value": percent(share),
    "more": f"{sum(a > b for a, b in both):,}",
    "less": f"{sum(b > a for a, b in both):,}",
  }


def line(row: dict[str, Any], names: list[str]) -> dict[str, Any]:
  """A question's verdicts under each rule."""
  return {
    "key": row["key"],
    "output": _short(row["output"]) or "(nothing)",
    "declared": say(row["declared"]),
    "why": row["error"] or row["why"],
    "truth": say(row["truth"]),
    "verdicts": [row[name] for name in names],
  }


def say(value) -> str:
  """A parsed value or truth in words."""
  if value is None:
    return "unparsed"
  if isinstance(value, float):
    return f"{value:.3g} m"
  if isinstance(value, list | tuple):
    return "(" + ", ".join(_plain(v) for v in value) + ")"
  return str(value)


def _plain(value) -> str:
  return f"{value:.3g}" if isinstance(value, float) else say(value)


def _short(text: str) -> str:
  text = text.strip()
  return text if len(text) <= _LONG else f"{text[:_LONG]} … ({len(text)} signs)"


def galleries(rows: list[dict], picture) -> list[tuple[str, str, list]]:
  """(title, note, cards) of failures and of successes.

  Args:
    rows: of predictions.jsonl.
    picture: key -> u8[H,W,3] or None.
  """
  answered = [r for r in rows if not r["error"]]
  out = []
  for right, title in ((0, "failures"), (1, "successes")):
    found = [r for r in answered if int(r["correct"]) == right]
    cards = [_card(r, picture) for r in choose(found, _CARDS)]
    drawn = "all" if len(found) <= _CARDS else "these drawn at random, seed 0"
    note = f"{len(found):,} answers, {drawn}."
    if cards:
      name = f"{len(cards)} of the {title}"
      out.append((name, note, cards))
  return out


def choose(rows: list[dict], count: int) -> list[dict]:
  """Rows at random by a fixed seed, other pictures first; in their order."""
  order = list(range(len(rows)))
  random.Random(0).shuffle(order)
  fresh, again, seen = [], [], set()
  for i in order:
    group = rows[i].get("group", rows[i]["key"])
    (again if group in seen else fresh).append(i)
    seen.add(group)
  return [rows[i] for i in sorted((fresh + again)[:count])]


def _card(row: dict[str, Any], picture) -> dict[str, Any]:
  rgb = picture(row["key"])
  right = bool(row["correct"])
  cuts = [x for x in row["category"].values() if x not in (None, "")]
  cuts = [str(x).replace("_", " ") for x in cuts]
  return {
    "key": row["key"],
    "css": "good" if right else "bad",
    "sign": "up" if right else "down",
    "image": None if rgb is None else pictures.data_uri(rgb, 480),
    "label": " · ".join(dict.fromkeys(cuts)) or row["key"],
    "question": pictures.words(row["prompt"].replace("<image>", "").strip()),
    "output": ("✓ " if right else "✗ ")
    + (_short(row["output"]) or "(nothing)"),
    "truth": say(row["truth"]),
    "why": _why(row),
  }


def _why(row: dict[str, Any]) -> str:
  read, truth = row["declared"], row["truth"]
  said = [f"read as {say(read)}" if read is not None else "unparsed"]
  said.append(row["why"])
  if _is_length(truth) and _is_length(read):
    said.append(f"{100 * (read / truth - 1):+.0f} %")
  if row["ended"] is False:
    said.append("cut at the limit")
  return ", ".join(part for part in said if part)


def _is_length(value) -> bool:
  return isinstance(value, float) and value > 0


def charts(rows: list[dict], calibration) -> tuple[list[str], str]:
  """(SVGs, what they show) of the lengths and of the log-probabilities.

  Args:
    rows: of predictions.jsonl.
    calibration: of metrics.json, or None.
  """
  out, notes = [], []
  points = [
    (r["truth"], r["declared"], bool(r["correct"]))
    for r in rows
    if _is_length(r["truth"]) and _is_length(r["declared"]) and not r["error"]
  ]
  if points:
    out.append(benchmark_charts.scatter(points))
    off = [abs(said / true - 1) for true, said, _ in points]
    near = sum(x <= 0.25 + 1e-9 for x in off) / len(off)
    ratio = statistics.median(said / true for true, said, _ in points)
    notes.append(
      f"{len(points):,} lengths that could be read: green right, red wrong; "
      f"the median error is {percent(statistics.median(off))} %, "
      f"{percent(near)} % lie in the band of ±25 %, and the median answer is "
      f"{ratio:.2f} times the truth."
    )
  if calibration and calibration["n"]:
    out.append(benchmark_charts.reliability(calibration))
    notes.append(
      "A model that knows what it knows stays on the diagonal; the gap to it, "
      f"over {calibration['n']:,} answers, is "
      f"{percent(calibration['ece'])} points. Bars: answers in the bin."
    )
  return [svg for svg in out if svg], " ".join(notes)
