"""Puts a run's report together: WORKDIR/report.html, one page, no network."""

import itertools
import json
import math
from collections.abc import Callable

from etils import epath

from hispatial_jax.benchmarks import levels, quantities, tables
from hispatial_jax.core import metrics, remote
from hispatial_jax.report import curves, pictures, template


def write(
  workdir,
  *,
  evaluation=None,
  records: Callable[[int], dict] | None = None,
  out=None,
  count: int = 12,
  title: str = "HiSpatial: a run in numbers and pictures",
) -> epath.Path:
  """Writes the report of a run.

  Args:
    workdir: of training: metrics.jsonl, config.json.
    evaluation: folder that tools/evaluate.py wrote; default WORKDIR/eval.
      Where it is missing, the page has curves only and says so.
    records: number in the split -> record with image, depth_m, intrinsics;
      default: those that were evaluated.
    out: the file; default WORKDIR/report.html.
    count: pictures to show.
    title: of the page.

  Returns:
    The path of the page.

  Raises:
    FileNotFoundError: neither metrics nor an evaluation there.
    ImportError: matplotlib, plotly or jinja2 is missing.
  """
  import jinja2

  workdir = remote.path(workdir)
  folder = remote.path(evaluation or workdir / "eval")
  lines, result, rows = metrics.read(workdir), *read_evaluation(folder)
  if not lines and not result:
    raise FileNotFoundError(
      f"nothing to report: no {metrics.FILE} in {workdir} and no metrics.json "
      f"in {folder}"
    )
  table = result.get("table", {}).get("lines", [])
  shown = choose(rows, count)
  if shown and records is None:
    records = open_records(result["data"])
  values = {
    "title": title,
    "lead": _lead(lines, result),
    "style": template.STYLE,
    "questions": f"{len(rows):,}",
    "count": str(len(shown)),
    "curves": _curves(lines, table),
    "tiles": [_line(x) for x in table if x["cut"] == "level"],
    "lines": [_line(x) for x in table],
    "cards": [_card(row, records(row["index"])) for row in shown],
    "facts": _facts(workdir, folder, result),
    **_cloud(rows, records),
  }
  environment = jinja2.Environment(autoescape=True, trim_blocks=True)
  page = environment.from_string(template.PAGE).render(values)
  out = remote.path(out or workdir / "report.html")
  out.write_text(page)
  return out


def read_evaluation(folder: epath.Path) -> tuple[dict, list[dict]]:
  """(metrics.json, rows of predictions.jsonl); empty where there is none."""
  if not (folder / "metrics.json").exists():
    return {}, []
  result = json.loads((folder / "metrics.json").read_text())
  text = (folder / "predictions.jsonl").read_text()
  return result, [json.loads(line) for line in text.splitlines()]


def open_records(data: dict) -> Callable[[int], dict]:
  """number -> decoded record of the data that was evaluated."""
  from hispatial_jax.data import builder
  from hispatial_jax.data import records as records_lib

  stored = builder.open_split(data["dir"], data["split"])
  return lambda number: records_lib.decode(stored[number])


def choose(rows: list[dict], count: int) -> list[dict]:
  """Rows to show, whatever their verdict.

  Levels take turns, in a level its tasks, in a task the order of the file; a
  picture comes twice only where there are too few.
  """
  queues = []
  for level in sorted({row["level"] for row in rows}):
    mine = [row for row in rows if row["level"] == level]
    tasks = sorted({row["task"] for row in mine})
    each = [[r for r in mine if r["task"] == task] for task in tasks]
    queues.append([r for r in _in_turn(each) if r is not None])
  chosen, seen = [], set()
  while any(queues) and len(chosen) < count:
    for queue in queues:
      fresh = [r for r in queue if r["index"] not in seen] or queue
      if fresh and len(chosen) < count:
        row = fresh[0]
        queue.remove(row)
        chosen.append(row)
        seen.add(row["index"])
  return sorted(chosen, key=lambda row: row["level"])


def _in_turn(lists):
  return itertools.chain.from_iterable(itertools.zip_longest(*lists))


def _lead(lines, result) -> str:
  steps = max((line["step"] for line in lines), default=0)
  parts = ["Questions about space, in metres, answered from one picture and "]
  parts.append("its depth.")
  if steps:
    parts.append(f" Trained for {steps:,} steps.")
  if result:
    parts.append(
      f" Scored on {result['questions']:,} questions about pictures it never "
      "saw, each figure beside the best constant answer."
    )
  else:
    parts.append(" Not evaluated yet: run tools/evaluate.py for the scores.")
  return "".join(parts)


def _curves(lines, table) -> list[str]:
  constants = {x["level"]: x["constant"] for x in table if x["cut"] == "level"}
  found = [
    curves.loss(lines),
    curves.accuracy(lines, "token_accuracy", {}),
    curves.accuracy(lines, "accuracy", constants),
  ]
  return [svg for svg in found if svg]


def _line(line: dict) -> dict:
  """A table line with what the template draws of it."""
  low, high = line["interval"] or (line["accuracy"],) * 2
  gap = line["difference_interval"]
  sign = "up" if gap and gap[0] > 0 else "down" if gap and gap[1] < 0 else ""
  level = line["level"]
  rows = {"task": "task", "level": "level", "all": "total", "mean": "total"}
  name = line["name"].replace("_", " ")
  constant = line["constant"]
  return {
    **line,
    "cells": tables.cells(line),
    "css": "all" if level is None else f"l{level}",
    "row": rows[line["cut"]],
    "title": levels.NAMES.get(level, name) if line["cut"] == "level" else name,
    "hint": levels.EXAMPLES.get(level, ""),
    "sign": sign,
    "percent": round(100 * line["accuracy"], 2),
    "low": round(100 * low, 2),
    "span": round(100 * (high - low), 2),
    "constant_percent": None if constant is None else round(100 * constant, 2),
    "label": ", ".join(
      f"{h} {c}" for h, c in zip(tables.HEADER, tables.cells(line), strict=True)
    ),
  }


def _card(row: dict, record: dict) -> dict:
  colours, near, far = pictures.depth_rgb(record["depth_m"])
  marks = pictures.marks(row["question"])
  for number, mark in enumerate(marks, 1):
    mark["n"] = number
  return {
    **row,
    "css": f"l{row['level']}",
    "task": f"Level {row['level']}, {row['task'].replace('_', ' ')}",
    "image": pictures.data_uri(record["image"]),
    "depth": pictures.data_uri(colours),
    "near": f"{near:.1f}",
    "far": f"{far:.1f}",
    "marks": marks,
    "question": pictures.words(row["question"]),
    "answer": pictures.words(row["answer"]) or "(nothing)",
    "truth": pictures.words(row["truth"]),
    "error": _error(row),
  }


def _error(row: dict) -> str:
  """How far off an answer is, where that can be said."""
  if not row["parsed"]:
    return f"unparsed: {row['why']}"
  if row["kind"] == "point":
    said = quantities.point(row["answer"]).value
    true = quantities.point(row["truth"]).value
    return f"{100 * math.dist(said, true):.0f} cm off"
  if row["kind"] in ("length", "number"):
    said = quantities.length(row["answer"]).value
    true = quantities.length(row["truth"]).value
    return f"{100 * (said / true - 1):+.0f} %"
  return ""


def _cloud(rows, records) -> dict:
  """The point cloud of the first question that asked for a point."""
  asked = [r for r in rows if r["kind"] == "point" and r["parsed"]]
  chosen = (asked or rows)[:1]
  if not chosen or records is None:
    return {}
  import plotly.offline

  row, marks = chosen[0], []
  note = "A held-out picture, each pixel where its depth puts it."
  if asked:
    for name, key, colour in (
      ("truth", "truth", "#12a37b"),
      ("answer", "answer", "#ff5a36"),
    ):
      xyz = quantities.point(row[key]).value
      marks.append({"name": name, "xyz": xyz, "colour": colour})
    note += (
      f" The model was asked for the marked pixel: green is the truth, "
      f"{row['truth']}, red its answer, {row['answer']}."
    )
  return {
    "cloud": pictures.cloud(records(row["index"]), marks),
    "cloud_note": note,
    "plotly": plotly.offline.get_plotlyjs(),
  }


def _facts(workdir, folder, result) -> str:
  keep = ("config", "checkpoint", "benchmark", "data", "seconds")
  keep += ("cut", "versions")
  facts = {"workdir": str(workdir), "evaluation": str(folder)}
  facts |= {key: result[key] for key in keep if key in result}
  facts["intervals"] = result.get("table", {}).get("method", {})
  config = workdir / "config.json"
  if config.exists():
    facts["recipe"] = json.loads(config.read_text())
  return json.dumps(facts, indent=2, ensure_ascii=False)
