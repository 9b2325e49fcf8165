"""The page's part on questions and annotations, from their tally."""

import collections
from typing import Any

from hispatial_jax.benchmarks import levels
from hispatial_jax.precompute import chart, questions

_TASKS, _ANSWERS, _NAMES = 60, 4, 16
_NO_LEVEL = "of no level"
_FORMATS = {"mcq": "choice", "yes_no": "yes or no"}


def values(total: dict[str, Any]) -> dict[str, Any]:
  """What the template calls `asked` and `annotated`; None: nothing to show.

  Args:
    total: tally of all shards.
  """
  counted, objects = total["questions"], total["objects"]
  return {
    "asked": _asked(counted) if counted.get("stored") else None,
    "annotated": _annotated(objects) if objects.get("records") else None,
  }


def _asked(counted: dict[str, Any]) -> dict[str, Any]:
  stored = counted["stored"]
  by_level = {k: sum(v.values()) for k, v in counted["tasks"].items()}
  return {
    "stored": stored,
    "pairs": counted["asked"],
    "records": counted["records"],
    "levels": [
      _row(_level(level), count, stored, max(by_level.values()), level)
      for level, count in sorted(by_level.items(), key=_by_level)
    ],
    "formats": _shares(counted["formats"]),
    "yes_no": _shares(counted["yes_no"]),
    "places": _shares(counted["places"]),
    "tasks": _tasks(counted)[:_TASKS],
    "tasks_left": max(0, len(_tasks(counted)) - _TASKS),
    "charts": [
      chart.bars(counted[f"{which}_words"], _ticks(), f"words of {article}")
      for which, article in (
        ("question", "a question"),
        ("answer", "an answer"),
      )
    ],
  }


def _tasks(counted: dict[str, Any]) -> list[dict[str, Any]]:
  """A row for each task, by level and count, with its common answers."""
  most = max(max(part.values()) for part in counted["tasks"].values())
  rows = []
  for level, part in sorted(counted["tasks"].items(), key=_by_level):
    for task, count in sorted(part.items(), key=lambda x: (-x[1], x[0])):
      answers = collections.Counter(counted["answers"].get(task, {}))
      common = sorted(answers.items(), key=lambda x: (-x[1], x[0]))[:_ANSWERS]
      row = _row(task or "(no name)", count, counted["stored"], most, level)
      row["answers"] = [
        {"text": text or "(empty)", "count": n} for text, n in common if n > 1
      ]
      rows.append(row)
  return rows


def _annotated(objects: dict[str, Any]) -> dict[str, Any]:
  names = dict(objects["names"])
  total, others = sum(names.values()), names.pop(questions.OTHERS, 0)
  order = sorted(names.items(), key=lambda x: (-x[1], x[0]))
  others += sum(count for _, count in order[_NAMES:])
  most = max(names.values(), default=1)
  return {
    "records": objects["records"],
    "objects": total,
    "rows": [_row(name, n, total, most) for name, n in order[:_NAMES]],
    "others": others,
  }


def _row(name: str, count: int, of: int, most: int, level="") -> dict[str, Any]:
  return {
    "name": name.replace("_", " "),
    "count": count,
    "share": 100 * count / max(1, of),
    "width": 100 * count / max(1, most),
    "css": f"l{level}" if level in ("0", "1", "2", "3") else "all",
  }


def _shares(counts: dict[str, int]) -> list[dict[str, Any]]:
  total = max(1, sum(counts.values()))
  return [
    {"name": _FORMATS.get(name, name), "count": n, "share": 100 * n / total}
    for name, n in sorted(counts.items())
  ]


def _level(level: str) -> str:
  name = levels.NAMES.get(int(level), "")
  return f"level {level}  {name}".strip() if int(level) >= 0 else _NO_LEVEL


def _by_level(item) -> tuple[bool, int]:
  """Levels in their order; those that are none, last."""
  level = int(item[0])
  return level < 0, level


def _ticks() -> dict[float, str]:
  edges = questions.WORD_EDGES
  named = (1, 4, 16, 64, 256)
  return {float(edges.index(n)): str(n) for n in named}
