"""Answers and examples -> rows and metrics; pure, and without a model.

A row of predictions.jsonl:

  key group category{}               of the example
  question prompt variant output     prompt is what was sent, of that variant
  truth                              in the form of `declared`
  declared why parsed correct        what was read, and our verdict, 0 or 1
  RULE ...                           each other entry of the benchmark's score
  error                              why it was not asked or answered, or ""
  logp tokens ended usage            of the answer; null where not known
  points depth_m                     source of the point map, its median depth

metrics.json (shares are 0..1; null, never NaN, for what can't be said):

  benchmark prompt points model data versions
  counts       questions, answered, parsed, unparsed, cut, errors, no_points
  headlines    [{name rule n value interval method}], the main one first
  published    [{figure model percent protocol source}]; figure = headline name
  aggregate    all figures of the benchmark, under every rule
  constant     {answers: {part: {answer hits n}}, headlines: [as above]}
  blind        {headlines, counts, fingerprint} of the blind run, or null
  cuts         {cut: {value: {n correct accuracy interval unparsed errors
               constant}}}; no constant by depth range
  calibration  {bins: [{low high n mean_p accuracy}], ece, n}, or null
  errors       [{key error}], at most 100
"""

import dataclasses
import importlib.metadata
import itertools
import json
import math
import platform
from typing import Any

import hispatial_jax
from hispatial_jax.benchmarks import base, constants, intervals, tables
from hispatial_jax.benchmarks import cuts as cuts_lib
from hispatial_jax.evaluation import journal

PREDICTIONS, METRICS = "predictions.jsonl", "metrics.json"
_RANGES = (1.0, 2.0, 4.0, 8.0)
_LISTED, _BINS = 100, 10


def rows(
  bench: base.Benchmark,
  examples: list[base.Example],
  answers: dict[str, dict[str, Any]],
  prompt: str,
) -> list[dict[str, Any]]:
  """One row an example, in their order.

  Args:
    bench: its module.
    examples: of it.
    answers: key -> line of the journal; must hold them all.
    prompt: the variant that was asked.
  """
  return [_row(bench, e, answers[e.key], prompt) for e in examples]


def _row(bench, example, line, prompt) -> dict[str, Any]:
  if line.get("error") and not example.error:
    example = base.failed(example, line["error"])
  verdict = bench.score(example, line.get("text", ""))
  return {
    "key": example.key,
    "group": example.group,
    "category": dict(example.category),
    "question": example.question,
    "prompt": base.prompt(example, prompt),
    "variant": prompt,
    "output": line.get("text", ""),
    "truth": example.truth,
    **verdict,
    "error": example.error,
    **{k: line.get(k) for k in ("logp", "tokens", "ended", "usage")},
    **{k: line.get(k) for k in ("points", "depth_m")},
  }


def metrics(
  bench: base.Benchmark,
  examples: list[base.Example],
  found: list[dict[str, Any]],
  settings: dict[str, Any],
  blind: dict[str, Any] | None = None,
) -> dict[str, Any]:
  """All that is said of a run.

  Args:
    bench: its module.
    examples: of it.
    found: their `rows`.
    settings: of run.json.
    blind: `blind_part` of the blind run.
  """
  best = constants.scores(bench, examples)
  errors = [{k: r[k] for k in ("key", "error")} for r in found if r["error"]]
  return {
    "benchmark": bench.NAME,
    **{k: settings[k] for k in ("prompt", "points", "model", "data")},
    "fingerprint": journal.sealed(settings)["fingerprint"],
    "versions": versions(),
    "counts": counts(found),
    "headlines": lines(bench, examples, found),
    "published": [dataclasses.asdict(figure) for figure in bench.PUBLISHED],
    "aggregate": bench.aggregate(examples, found),
    "constant": {
      "answers": constants.best(bench, examples),
      "headlines": lines(bench, examples, best),
    },
    "blind": blind,
    "cuts": cuts(bench, examples, found, best),
    "calibration": calibration(found),
    "errors": errors[:_LISTED],
  }


def lines(bench, examples, scores) -> list[dict[str, Any]]:
  """The headlines with their intervals."""
  return [intervals.line(h) for h in bench.headlines(examples, scores)]


def blind_part(bench, examples, found, settings) -> dict[str, Any]:
  """What a run shows of its blind run."""
  return {
    "headlines": lines(bench, examples, found),
    "counts": counts(found),
    "fingerprint": journal.sealed(settings)["fingerprint"],
  }


def counts(found: list[dict[str, Any]]) -> dict[str, int]:
  """How many questions went which way."""
  well = [r for r in found if not r["error"]]
  return {
    "questions": len(found),
    "answered": len(well),
    "parsed": sum(bool(r["parsed"]) for r in well),
    "unparsed": sum(not r["parsed"] for r in well),
    "cut": sum(r["ended"] is False for r in well),
    "errors": len(found) - len(well),
    "no_points": sum(r["points"] == "none" for r in well),
  }


def cuts(bench, examples, found, constant=None) -> dict[str, dict[str, dict]]:
  """Our verdict by category, and by the median depth of the picture."""
  out: dict[str, dict] = {}
  for line in cuts_lib.lines(bench, examples, found, constant)[1:]:
    cell = {k: v for k, v in line.items() if k not in ("cut", "name")}
    out.setdefault(line["cut"], {})[line["name"]] = cell
  some = [r for r in found if r["depth_m"] is not None]
  return out | ({"depth range": _by_depth(some)} if some else {})


def _by_depth(found) -> dict[str, dict]:
  bounds = (0.0, *_RANGES, math.inf)
  out = {}
  for low, high in itertools.pairwise(bounds):
    some = [r for r in found if low <= r["depth_m"] < high]
    name = f"{low:g}-{high:g} m" if high < math.inf else f"{low:g} m or more"
    if some:
      out[name] = _cell(some)
  return out


def _cell(found) -> dict[str, Any]:
  hits, n = sum(r["correct"] for r in found), len(found)
  return {
    "n": n,
    "correct": hits,
    "accuracy": hits / n,
    "interval": list(tables.wilson(hits, n)),
    "unparsed": sum(not r["parsed"] for r in found),
    "errors": sum(bool(r["error"]) for r in found),
  }


def calibration(found) -> dict[str, Any] | None:
  """Probability of the answer against how often it is right."""
  seen = [
    (math.exp(min(0.0, r["logp"])), r["correct"])
    for r in found
    if r["logp"] is not None and not r["error"]
  ]
  if not seen:
    return None
  bins, gap = [], 0.0
  for i in range(_BINS):
    part = [(p, c) for p, c in seen if min(int(p * _BINS), _BINS - 1) == i]
    n = len(part)
    mean_p = sum(p for p, _ in part) / n if n else None
    share = sum(c for _, c in part) / n if n else None
    gap += n / len(seen) * abs(mean_p - share) if n else 0.0
    edges = {"low": i / _BINS, "high": (i + 1) / _BINS}
    bins.append({**edges, "n": n, "mean_p": mean_p, "accuracy": share})
  return {"bins": bins, "ece": gap, "n": len(seen)}


def versions() -> dict[str, str]:
  """Of what the figures depend on."""
  out = {
    "python": platform.python_version(),
    "hispatial_jax": hispatial_jax.__version__,
  }
  for name in ("jax", "numpy"):
    out[name] = importlib.metadata.version(name)
  return out


def write(out, found: list[dict], figures: dict[str, Any]) -> None:
  """predictions.jsonl and metrics.json; each whole, or as it was."""
  texts = [
    json.dumps(row, ensure_ascii=False, allow_nan=False) for row in found
  ]
  journal.write_text(out / PREDICTIONS, "".join(f"{t}\n" for t in texts))
  journal.write_json(out / METRICS, figures)
