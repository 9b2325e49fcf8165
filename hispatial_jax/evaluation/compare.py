"""Two or more runs of the same questions, compared question by question.

    runs = [compare.read("runs/a/eval"), compare.read("runs/b/eval")]
    found = compare.compare(runs)

The first run is the one that the others are compared with. Differences are
those of the same questions under the same prompts; everything else is refused
unless forced. Errors count as wrong, as in a run's own figures, and the line
"answered by both" shows what is left without them.
"""

import json
import pathlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from hispatial_jax.evaluation import journal, paired, score

_MOST_VALUES = 40  # More values than this are names, not a cut.
_SHOWN = 5


class Run(NamedTuple):
  """What a folder holds.

  Attributes:
    name: shown.
    rows: by key, in the file's order.
    settings: of run.json; {} where there is none.
  """

  name: str
  rows: dict[str, dict[str, Any]]
  settings: dict[str, Any]


def read(folder, name: str = "") -> Run:
  """The run of an OUT folder of tools/evaluate.py.

  Raises:
    FileNotFoundError: no predictions there.
    ValueError: they aren't a benchmark's rows, or a key comes twice.
  """
  folder = pathlib.Path(folder)
  path = folder / score.PREDICTIONS
  if not path.exists():
    inside = sorted(
      str(p.parent) for p in folder.glob(f"*/{score.PREDICTIONS}")
    )
    todo = f"run tools/evaluate.py --out {folder}"
    todo = f"did you mean {' or '.join(inside)}?" if inside else todo
    raise FileNotFoundError(f"no {path}: {todo}")
  rows: dict[str, dict] = {}
  for number, line in enumerate(path.read_text().splitlines(), 1):
    try:
      row = json.loads(line)
      key, _ = row["key"], row["correct"]
    except (ValueError, KeyError, TypeError):
      raise ValueError(
        f"{path}, line {number}: not a row of a benchmark: {line[:60]!r}"
      ) from None
    if key in rows:
      raise ValueError(f"{path}, line {number}: key {key!r} comes twice")
    rows[key] = row
  settings = journal.Journal(folder).settings() or {}
  return Run(name or str(folder), rows, settings)


def differences(a: Run, b: Run) -> list[str]:
  """What makes two runs incomparable; [] when nothing does."""
  out = []
  if a.settings and b.settings:
    same = ("benchmark", "data", "prompt")
    ours, theirs = (
      {k: run.settings[k] for k in same if k in run.settings} for run in (b, a)
    )
    out += journal.differences(ours, theirs)
  for one, other in ((a, b), (b, a)):
    alone = [key for key in one.rows if key not in other.rows]
    if alone:
      out.append(f"{len(alone)} questions only in {one.name}: {_some(alone)}")
  both = [key for key in a.rows if key in b.rows]
  for field, what in (("prompt", "other prompts"), ("truth", "other truths")):
    apart = [k for k in both if a.rows[k].get(field) != b.rows[k].get(field)]
    if apart:
      out.append(f"{len(apart)} questions have {what}: {_some(apart)}")
  return out


def _some(keys: list[str]) -> str:
  return ", ".join(keys[:_SHOWN]) + (", ..." if keys[_SHOWN:] else "")


def compare(
  runs: list[Run], *, rule: str = "correct", force: bool = False
) -> dict[str, Any]:
  """Each other run against the first.

  Args:
    runs: two or more.
    rule: entry of the rows to compare, 0 or 1; None leaves a question out.
    force: compare what two runs have in common, with a warning.

  Returns:
    {"rule", "method", "runs": [{name, questions, right, errors, unparsed,
    settings}], "pairs": [{a, b, warnings, lines, flips}]}, JSON-able; see
    `paired.line` and `flips`.

  Raises:
    ValueError: fewer than two runs, an unknown rule, nothing in common, or,
      unless forced, runs of different questions, saying what differs.
  """
  if len(runs) < 2:
    raise ValueError(f"two runs or more are compared, got {len(runs)}")
  pairs = []
  for run in runs[1:]:
    apart = differences(runs[0], run)
    if apart and not force:
      raise ValueError(
        f"{runs[0].name} and {run.name} are not of the same questions: "
        f"{'; '.join(apart)}. --force compares what they have in common"
      )
    pairs.append(_pair(runs[0], run, rule, apart))
  return {
    "rule": rule,
    "method": paired.METHOD,
    "runs": [_about(run, rule) for run in runs],
    "pairs": pairs,
  }


def _about(run: Run, rule: str) -> dict[str, Any]:
  rows = list(run.rows.values())
  judged = [row[rule] for row in rows if row.get(rule) is not None]
  return {
    "name": run.name,
    "questions": len(rows),
    "right": sum(judged) / len(judged) if judged else None,
    "errors": sum(bool(row.get("error")) for row in rows),
    "unparsed": sum(
      not row.get("parsed", True) and not row.get("error") for row in rows
    ),
    "settings": run.settings,
  }


def _pair(a: Run, b: Run, rule: str, warnings: list[str]) -> dict[str, Any]:
  both = [(a.rows[k], b.rows[k]) for k in a.rows if k in b.rows]
  judged = [(x, y) for x, y in both if None not in (x.get(rule), y.get(rule))]
  if not judged:
    known = sorted({k for x, _ in both for k, v in x.items() if v in (0, 1)})
    raise ValueError(
      f"{a.name} and {b.name}: no question that both have is judged by "
      f"{rule!r}; rules there: {', '.join(known) or 'none, nothing in common'}"
    )
  answered = [
    (x, y) for x, y in judged if not x.get("error") and not y.get("error")
  ]
  lines = [paired.line("all", "all", judged, rule)]
  if 0 < len(answered) < len(judged):
    lines.append(paired.line("all", "answered by both", answered, rule))
  whole = _whole(judged, rule)
  if len(whole) < len(judged):
    lines.append(paired.line("all", "groups right as a whole", whole, rule))
  for cut, value, part in _cuts(judged):
    lines.append(paired.line(cut, value, part, rule))
  return {
    "a": a.name,
    "b": b.name,
    "warnings": warnings,
    "lines": lines,
    "flips": flips(judged, rule),
  }


def _whole(pairs, rule: str) -> list[tuple[dict, dict]]:
  """One pair of rows a group: right when all of its questions are."""
  held: dict[str, list[int]] = {}
  for x, y in pairs:
    old = held.setdefault(paired.group(x), [1, 1])
    held[paired.group(x)] = [min(old[0], x[rule]), min(old[1], y[rule])]
  return [
    ({"key": g, "group": g, rule: p}, {"key": g, "group": g, rule: q})
    for g, (p, q) in held.items()
  ]


def _cuts(pairs) -> Iterable[tuple[str, str, list]]:
  """(cut, value, pairs) of the categories that are few enough to tabulate."""
  names = dict.fromkeys(k for x, _ in pairs for k in x.get("category", {}))
  for name in names:
    parts: dict[str, list] = {}
    for pair in pairs:
      value = pair[0].get("category", {}).get(name)
      for one in value if isinstance(value, list) else [value]:
        if one is not None:
          parts.setdefault(str(one), []).append(pair)
    if 1 < len(parts) <= _MOST_VALUES:
      for value, part in sorted(parts.items()):
        yield name, value, part


def flips(pairs, rule: str) -> list[dict[str, Any]]:
  """The questions right in one run alone: gained, then lost."""
  out = []
  for x, y in pairs:
    if x[rule] != y[rule]:
      out.append(
        {
          "key": x["key"],
          "flip": "gained" if y[rule] > x[rule] else "lost",
          "category": x.get("category", {}),
          "prompt": x.get("prompt", ""),
          "truth": x.get("truth"),
          "a": _said(x),
          "b": _said(y),
        }
      )
  return sorted(out, key=lambda flip: flip["flip"])


def _said(row) -> dict[str, Any]:
  return {k: row.get(k) for k in ("output", "declared", "why", "error")}
