"""Accuracy by task and level with its uncertainty, and how it is shown.

Intervals, all at 95 %:
  accuracy     Wilson score interval over questions
  difference   model minus constant answer on the same questions: percentile
               bootstrap over images (questions of one image stand or fall
               together), 2,000 draws, seed 0; left out below 8 images
  means        of several tasks, each task counting the same: the same
               bootstrap, for the accuracy too
"""

import collections
import math

import numpy as np

_DRAWS = 2000
_FEWEST = 8
_Z = 1.959963984540054
METHOD = {
  "accuracy": "Wilson 95 %",
  "difference": f"bootstrap over images 95 %, {_DRAWS} draws, seed 0",
  "means": "unweighted over tasks, bootstrap over images 95 %",
}


def wilson(hits: int, n: int) -> tuple[float, float]:
  """95 % Wilson score interval of a share; (0, 1) when n is 0."""
  if n == 0:
    return 0.0, 1.0
  share, z2 = hits / n, _Z * _Z
  middle = (share + z2 / (2 * n)) / (1 + z2 / n)
  half = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
  half /= 1 + z2 / n
  return max(0.0, middle - half), min(1.0, middle + half)


def _sums(rows: list[dict]) -> np.ndarray:
  """f64[images, tasks, 3]: questions, model's hits, constant's hits."""
  images = {r.get("id", i): 0 for i, r in enumerate(rows)}
  images = {name: i for i, name in enumerate(images)}
  tasks = {name: i for i, name in enumerate(sorted({r["task"] for r in rows}))}
  sums = np.zeros((len(images), len(tasks), 3))
  for i, r in enumerate(rows):
    at = images[r.get("id", i)], tasks[r["task"]]
    sums[at] += 1, r["correct"], r["constant_correct"]
  return sums


def _bootstrap(sums: np.ndarray) -> np.ndarray:
  """f64[draws, 2]: (accuracy, difference), tasks weighing the same."""
  rng, images = np.random.default_rng(0), len(sums)
  flat, out = sums.reshape(images, -1), []
  for _ in range(_DRAWS // 100):  # in parts: bounded memory
    times = rng.multinomial(images, np.full(images, 1 / images), size=100)
    n, model, constant = np.moveaxis((times @ flat).reshape(100, -1, 3), -1, 0)
    n = np.where(n > 0, n, np.nan)  # a task may be missing from a draw
    shares = np.nanmean(model / n, 1), np.nanmean((model - constant) / n, 1)
    out.append(np.stack(shares, 1))
  return np.concatenate(out)


def _interval(draws: np.ndarray) -> list[float]:
  return [float(v) for v in np.percentile(draws, [2.5, 97.5])]


def _cell(rows: list[dict], pooled: bool = True) -> dict:
  """One line's figures; `pooled` False is the mean over tasks."""
  n, hits = len(rows), sum(r["correct"] for r in rows)
  both = [r for r in rows if r["constant_correct"] is not None]
  cell = {
    "n": n,
    "correct": hits,
    "unparsed": sum(not r["parsed"] for r in rows),
    "accuracy": hits / n,
    "interval": list(wilson(hits, n)),
    "constant": None,
    "difference": None,
    "difference_interval": None,
  }
  if not both:
    return cell
  sums = _sums(both)
  if pooled:
    sums = sums.sum(1, keepdims=True)
  total = sums.sum(0)
  model, constant = total[:, 1] / total[:, 0], total[:, 2] / total[:, 0]
  cell["constant"] = float(constant.mean())
  cell["difference"] = float((model - constant).mean())
  enough = len(sums) >= _FEWEST
  draws = _bootstrap(sums) if enough else None
  if enough:
    cell["difference_interval"] = _interval(draws[:, 1])
  if not pooled:
    cell["accuracy"] = float(model.mean())
    cell["interval"] = _interval(draws[:, 0]) if enough else None
  return cell


def table(rows: list[dict]) -> dict:
  """Figures by task, level and over all.

  Args:
    rows: of `by_level.row`; the key `id` names the image, so that questions
      of one image are resampled together.

  Returns:
    {"method": ..., "lines": [{"cut", "level", "name", ...figures}]}: for each
    level its tasks, then the level; last "all" and the means over tasks of
    levels 0 to 2, of all tasks and of the numeric tasks. Shares are 0..1;
    None where nothing can be said; never NaN.

  Raises:
    ValueError: no rows.
  """
  if not rows:
    raise ValueError("no answers to tabulate: the evaluation saw no question")
  levels = collections.defaultdict(lambda: collections.defaultdict(list))
  for r in rows:
    levels[r["level"]][r["task"]].append(r)
  lines = []

  def add(cut, level, name, chosen, pooled=True):
    if chosen:
      cell = _cell(chosen, pooled)
      lines.append({"cut": cut, "level": level, "name": name, **cell})

  for level, tasks in sorted(levels.items()):
    whole = [r for r in rows if r["level"] == level]
    for task, chosen in sorted(tasks.items()):
      add("task", level, task, chosen)
    name = f"level {level}" if level >= 0 else "of no level"
    add("level", level, name, whole)
  add("all", None, "all", rows)
  low = [r for r in rows if 0 <= r["level"] <= 2]
  numeric = [r for r in rows if r["kind"] in ("point", "length", "number")]
  add("mean", None, "mean of tasks, levels 0-2", low, pooled=False)
  add("mean", None, "mean of tasks, all levels", rows, pooled=False)
  add("mean", None, "mean of tasks, numeric", numeric, pooled=False)
  return {"method": METHOD, "lines": lines}


def _percent(value) -> str:
  return "–" if value is None else f"{100 * value:.1f}"


def _signed(value) -> str:
  return "–" if value is None else f"{100 * value:+.1f}".replace("-", "−")


def cells(line: dict) -> list[str]:
  """A line's figures as text, in the order of `HEADER`, in percent."""
  low_high = line["interval"]
  gap = line["difference_interval"]
  return [
    line["name"],
    f"{line['n']:,}",
    _percent(line["accuracy"]),
    f"{_percent(low_high[0])}–{_percent(low_high[1])}" if low_high else "–",
    _percent(line["constant"]),
    _signed(line["difference"]),
    f"{_signed(gap[0])} … {_signed(gap[1])}" if gap else "–",
    f"{line['unparsed']:,}",
  ]


HEADER = [
  "task",
  "n",
  "right %",
  "95 %",
  "constant %",
  "gain",
  "95 %",
  "unparsed",
]


def text(table_: dict) -> str:
  """The table for a terminal; levels are set off by rules."""
  body = [cells(line) for line in table_["lines"]]
  wide = [max(map(len, column)) for column in zip(HEADER, *body, strict=True)]

  def show(values):
    first = values[0].ljust(wide[0])
    rest = zip(values[1:], wide[1:], strict=True)
    return "  ".join([first, *(v.rjust(w) for v, w in rest)]).rstrip()

  rule = "─" * len(show(HEADER))
  out = [show(HEADER), rule]
  for line, values in zip(table_["lines"], body, strict=True):
    out.append(show(values))
    if line["cut"] in ("level", "all"):
      out.append(rule)
  notes = [f"{name}: {how}" for name, how in table_["method"].items()]
  return "\n".join([*out, *notes])


def markdown(table_: dict) -> str:
  """The table for a README; levels in bold."""
  out = ["| " + " | ".join(HEADER) + " |", "|---" + "|--:" * 7 + "|"]
  for line in table_["lines"]:
    values = cells(line)
    if line["cut"] != "task":
      values = [f"**{value}**" for value in values]
    out.append("| " + " | ".join(values) + " |")
  return "\n".join(out)
