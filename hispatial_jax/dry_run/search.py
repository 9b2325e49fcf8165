"""Many ways to train, each compiled; the fastest that fits.

    rows = search.run(candidates, compile_one, journal, reserve=2**30)
    print(search.table(rows, reserve=2**30))

Compiling takes minutes, so every result is kept in a journal (JSON lines) at
once, and the same search goes on where it was ended. A batch that does not fit
rules out the larger ones of the same mesh and policies.
"""

import json
import os
import pathlib
import time
from collections.abc import Callable, Iterable
from typing import Any

from hispatial_jax.dry_run import space

_GIB = 2**30
_KEPT = (
  "bytes",
  "examples",
  "least_step_seconds",
  "least_seconds",
  "longest",
  "advice",
  "hardware_over_model",
  "mfu_at_most",
)


class Journal:
  """Results on disk, one a line; the first line says of which search."""

  def __init__(self, path: os.PathLike, facts: dict[str, Any]):
    """Opens it, or begins one.

    Args:
      path: of the file.
      facts: what the results depend on: recipe, topology, versions.

    Raises:
      ValueError: it is of another search.
    """
    self._path = pathlib.Path(path)
    facts = json.loads(json.dumps(facts))
    lines = self._read()
    if lines and lines[0] != {"search": facts}:
      raise ValueError(
        f"{path} is of another search ({json.dumps(lines[0])[:200]}): remove "
        "it, or name another file by --json"
      )
    self._rows = {_key(row["set"]): row for row in lines[1:]}
    # What a kill left of a line is dropped.
    with self._path.open("w") as file:
      for line in lines or [{"search": facts}]:
        file.write(json.dumps(line) + "\n")

  def _read(self):
    if not self._path.exists():
      return []
    out = []
    for line in self._path.read_text().splitlines():
      try:
        out.append(json.loads(line))
      except json.JSONDecodeError:
        break
    return out

  def find(self, overrides: list[str]) -> dict | None:
    """The result of these settings, if there is one."""
    return self._rows.get(_key(overrides))

  def add(self, row: dict) -> None:
    """Keeps a result."""
    self._rows[_key(row["set"])] = row
    with self._path.open("a") as file:
      file.write(json.dumps(row) + "\n")
      file.flush()
      os.fsync(file.fileno())


def _key(overrides):
  return tuple(sorted(overrides))


def run(
  candidates: Iterable[space.Candidate],
  compile_one: Callable[[list[str]], dict],
  journal: Journal,
  *,
  reserve: float,
  report: Callable[[str], None] = print,
) -> list[dict]:
  """Compiles what is not in the journal, one after the other.

  Args:
    candidates: of each mesh and policies the smallest batch first.
    compile_one: fn(overrides) -> what figures.of gives; raises ValueError,
      OSError or RuntimeError where that fails.
    journal: of this search.
    reserve: bytes of HBM that must be left.
    report: is given a line of progress after each.

  Returns:
    A row for each candidate that was compiled, now or before: its "set", and
    its figures or its "error".
  """
  candidates, rows, full, took = list(candidates), [], set(), []
  for number, candidate in enumerate(candidates, 1):
    overrides = candidate.overrides()
    if candidate.but_rows() in full:
      continue
    row = journal.find(overrides)
    if row is None:
      begin = time.monotonic()
      row = {"set": overrides, **_result(compile_one, overrides)}
      row["seconds"] = round(time.monotonic() - begin, 1)
      took.append(row["seconds"])
      journal.add(row)
    rows.append(row)
    if not fits(row, reserve):
      full.add(candidate.but_rows())
    left = sum(c.but_rows() not in full for c in candidates[number:])
    report(_progress(number, len(candidates), row, left, took))
  return rows


def _result(compile_one, overrides):
  try:
    found = compile_one(overrides)
  except (ValueError, OSError, RuntimeError) as error:
    return {"error": str(error)}
  return {name: found[name] for name in _KEPT if name in found}


def _progress(number, count, row, left, took):
  """[3/12] 4.5 GiB, 6.4 ms an example; ... at most 11 min left."""
  if "error" in row:
    said = row["error"].splitlines()[0]
  else:
    said = (
      f"{row['bytes']['together'] / _GIB:.2f} GiB, "
      f"{1e3 * seconds_an_example(row):.3g} ms an example"
    )
  eta = ""
  if took and left:
    minutes = left * sum(took) / len(took) / 60
    eta = f"; at most {minutes:.0f} min left"
  return f"[{number}/{count}] {' '.join(row['set'])}: {said}{eta}"


def fits(row: dict, reserve: float) -> bool:
  """Whether it was compiled, and leaves so many bytes of HBM."""
  if "error" in row:
    return False
  return row["bytes"]["together"] + reserve <= row["bytes"]["HBM"]


def seconds_an_example(row: dict) -> float:
  """The least step time by the step's examples."""
  return row["least_step_seconds"] / row["examples"]


def ranked(rows: Iterable[dict], reserve: float) -> list[dict]:
  """Those that fit, the fastest first; of equal ones the smallest."""
  return sorted(
    (row for row in rows if fits(row, reserve)),
    key=lambda row: (seconds_an_example(row), row["bytes"]["together"]),
  )


def table(rows: list[dict], reserve: float) -> str:
  """All rows, the best first, and the --set line of that one."""
  best = ranked(rows, reserve)
  full = [r for r in rows if "error" not in r and not fits(r, reserve)]
  failed = [row for row in rows if "error" in row]
  lines = [
    "| settings | GiB of a chip | ms a step, at least | ms an example | longest"
    " | |",
    "|---|---:|---:|---:|---|---|",
  ]
  for row in [*best, *full]:
    note = "" if fits(row, reserve) else "does not fit"
    lines.append(
      f"| {' '.join(row['set'])} | {row['bytes']['together'] / _GIB:.2f} | "
      f"{1e3 * row['least_step_seconds']:.1f} | "
      f"{1e3 * seconds_an_example(row):.3g} | {row['longest']} | {note} |"
    )
  lines += [
    f"| {' '.join(row['set'])} | | | | | {row['error'].splitlines()[0]} |"
    for row in failed
  ]
  lines += ["", f"fits: leaves {reserve / _GIB:.2f} GiB of HBM"]
  if best:
    lines += ["", f"best: --set {' '.join(best[0]['set'])}"]
    lines += [best[0]["advice"]]
  else:
    lines += ["", "nothing fits: fewer rows, more chips, or accumulate="]
  return "\n".join(lines)
