"""The page of a benchmark run: OUT/report.html, which needs no network.

    benchmark_page.write("out/report.html", rows, metrics, picture)

Rows and metrics are those of predictions.jsonl and metrics.json
(evaluation/score.py); the page says nothing that they do not hold.
"""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from hispatial_jax.benchmarks import levels
from hispatial_jax.report import benchmark_items as items
from hispatial_jax.report import benchmark_template as own
from hispatial_jax.report import template

_TILES = 4
_COUNTS = (
  ("questions", "all of them"),
  ("answered", "the model said something"),
  ("parsed", "with one clear reading"),
  ("unparsed", "no single reading; count as wrong"),
  ("cut", "answers that reached the limit of new tokens"),
  ("errors", "could not be asked, or were not answered; count as wrong"),
  ("no_points", "answered without a point map"),
)


def write(
  path,
  rows: list[dict[str, Any]],
  metrics: dict[str, Any],
  picture: Callable[[str], np.ndarray | None] = lambda key: None,
) -> pathlib.Path | None:
  """Writes the page.

  Args:
    path: of the file.
    rows: of predictions.jsonl.
    metrics: of metrics.json; also "judge", see evaluation/judge.py.
    picture: key -> u8[H,W,3] as the model saw it, or None.

  Returns:
    The path, or None where jinja2 is not installed.
  """
  try:
    import jinja2
  except ImportError:
    return None
  environment = jinja2.Environment(autoescape=True, trim_blocks=True)
  page = environment.from_string(own.PAGE)
  text = page.render(values(rows, metrics, picture))
  path = pathlib.Path(path)
  path.write_text(text, encoding="utf-8", errors="replace")
  return path


def values(rows, metrics, picture) -> dict[str, Any]:
  """What the template shows."""
  names = items.rules(rows, metrics["benchmark"])
  apart = items.apart(rows, names)
  drawn, note = items.charts(rows, metrics["calibration"])
  return {
    "title": f"{metrics['benchmark']}: {model_name(metrics['model'])}",
    "lead": _lead(metrics),
    "style": template.STYLE + own.STYLE,
    "tiles": _tiles(metrics),
    "figures": _figures(metrics),
    "questions": f"{len(rows):,}",
    "counts": _counts(metrics["counts"]),
    "errors": metrics["errors"],
    "error_count": metrics["counts"]["errors"],
    "judge": _judge(metrics.get("judge")),
    "cuts": _cuts(metrics["cuts"]),
    "charts": drawn,
    "charts_note": note,
    "rules": [items.rule(rows, name, names[0]) for name in names],
    "apart": [items.line(row, names) for row in items.some(apart)],
    "apart_count": len(apart),
    "galleries": items.galleries(rows, picture),
    "facts": _facts(metrics),
  }


def model_name(model: dict[str, Any]) -> str:
  """How a model is called for short."""
  name = next((model[k] for k in ("name", "model", "file") if model.get(k)), "")
  said = name or model.get("kind", "a model")
  return f"{said}, blind" if model.get("blind") else said


def _lead(metrics) -> str:
  counts, points = metrics["counts"], metrics["points"]
  parts = [f"{counts['questions']:,} questions, prompts “{metrics['prompt']}”"]
  if points:
    parts.append(f"; points: {_plain(points)}")
  parts.append(f". {counts['unparsed']:,} answers could not be read")
  parts.append(f", {counts['errors']:,} questions ended in an error.")
  return "".join(parts)


def _plain(value) -> str:
  if isinstance(value, dict):
    return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
  if isinstance(value, list):
    return ", ".join(map(_plain, value))
  return str(value)


def _interval(pair) -> str:
  return f"{items.percent(pair[0])}–{items.percent(pair[1])}" if pair else "–"


def _place(share: float | None, pair) -> dict[str, Any]:
  """Where dot and band stand on a track."""
  at = None if share is None else round(100 * share, 2)
  low, high = pair or (None, None)
  span = None if not pair else round(100 * (high - low), 2)
  place = {"percent": at, "low": pair and round(100 * low, 2), "span": span}
  return {**place, "value": items.percent(share), "interval": _interval(pair)}


def _tiles(metrics) -> list[dict[str, str]]:
  least = {h["name"]: h["value"] for h in metrics["constant"]["headlines"]}
  blind = (metrics["blind"] or {}).get("headlines", [])
  blind = {(h["name"], h["rule"]): h["value"] for h in blind}
  lines, out = metrics["headlines"], []
  main = [h for h in lines if h["rule"] == lines[0]["rule"]]
  for line in main[:_TILES]:
    said = [f"95 %: {_interval(line['interval'])}"] if line["interval"] else []
    if least.get(line["name"]) is not None:
      said.append(f"best constant answer {items.percent(least[line['name']])}")
    unseen = blind.get((line["name"], line["rule"]))
    if unseen is not None:
      said.append(f"blind {items.percent(unseen)}")
    out.append(
      {**line, "value": items.percent(line["value"]), "note": ", ".join(said)}
    )
  return out


def _figures(metrics) -> list[dict[str, Any]]:
  """By figure: this run under each rule, the least to beat, the others."""
  mine, others = metrics["headlines"], metrics["published"]
  names = [h["name"] for h in mine] + [p["figure"] for p in others]
  blind = (metrics["blind"] or {}).get("headlines", [])
  sources = (
    ("this run", "ours", mine),
    ("best constant answer", "least", metrics["constant"]["headlines"]),
    ("blind run", "least", blind),
  )
  out = []
  for name in dict.fromkeys(names):
    lines = [
      {"who": who, "css": css, **h}
      for who, css, found in sources
      for h in found
      if h["name"] == name
    ]
    theirs = [p for p in others if p["figure"] == name]
    theirs.sort(key=lambda p: -p["percent"])
    lines = [_own(line) for line in lines]
    out.append({"name": name, "lines": lines + [_other(p) for p in theirs]})
  return out


def _own(line) -> dict[str, Any]:
  place = _place(line["value"], line["interval"])
  more = {"n": f"{line['n']:,}", "protocol": line["rule"], "source": ""}
  return {"who": line["who"], "css": line["css"], **place, **more}


def _other(figure) -> dict[str, Any]:
  place = _place(figure["percent"] / 100, None)
  more = {"n": "", "interval": "", "protocol": figure["protocol"]}
  more["source"] = figure["source"]
  return {"who": figure["model"], "css": "theirs", **place, **more}


def _counts(found) -> list[tuple[str, str, str]]:
  return [
    (name.replace("_", " "), f"{found[name]:,}", hint)
    for name, hint in _COUNTS
    if name in found
  ]


def _judge(found) -> dict[str, Any] | None:
  if not found:
    return None
  kappa = "–" if found["kappa"] is None else f"{found['kappa']:.2f}"
  lines = [
    ("right by the judge", f"{items.percent(found['accuracy'])} %"),
    ("right by our rule", f"{items.percent(found['ours'])} %"),
    ("judged", f"{found['judged']:,} of {found['items']:,}"),
    ("failures of the judge (count as wrong)", f"{found['failed']:,}"),
    ("verdicts that agree", f"{items.percent(found['share'])} %"),
    ("Cohen's kappa", kappa),
  ]
  name = {k: found.get(k, "") for k in ("model", "version")}
  return {**name, "lines": lines}


def _cuts(found) -> list[dict[str, Any]]:
  out = []
  for name, cells in found.items():
    lines = []
    for value, cell in cells.items():
      shown = levels.NAMES.get(int(value)) if _is_level(name, value) else None
      place = _place(cell["accuracy"], cell["interval"])
      counts = {k: f"{cell[k]:,}" for k in ("n", "unparsed", "errors")}
      label = f"{value} {shown}" if shown else value.replace("_", " ")
      label = "not said" if value == "None" else label
      lines.append({"name": label, **place, **counts})
    if len(lines) > 1:
      out.append({"name": name.replace("_", " "), "lines": lines})
  return out


def _is_level(name: str, value: str) -> bool:
  return name == "level" and value.isdigit()


def _facts(metrics) -> str:
  keep = ("benchmark", "prompt", "points", "model", "data", "fingerprint")
  facts = {k: metrics[k] for k in (*keep, "versions") if k in metrics}
  facts["best constant answers"] = metrics["constant"]["answers"]
  facts["methods"] = sorted({h["method"] for h in metrics["headlines"]})
  return json.dumps(facts, indent=2, ensure_ascii=False)
