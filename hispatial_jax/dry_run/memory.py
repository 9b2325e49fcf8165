"""Bytes of a device by kind, as its compiler assigned them.

The TPU compiler's own dump is read where there is one (see topology.py): what
memory_analysis() calls temporaries is more than the memory that is assigned to
them. They are one memory, of which every place serves several arrays in turn,
so what it holds at one time is not told apart; its largest places are listed
with what made the arrays in them.
"""

import os
import pathlib
import re
from collections.abc import Mapping

_LISTED = 10


def read(stats, arguments: Mapping[str, int], dump=None) -> dict:
  """{"bytes": {kind: bytes, "together": their sum}, ...} of a device.

  Args:
    stats: memory_analysis of the compiled program.
    arguments: {kind: bytes} of its arguments.
    dump: folder that the compiler wrote into, or None.
  """
  out = dict(arguments)
  # Small leaves are padded to whole tiles; what is not used is left out.
  out["padding of arguments"] = max(
    0, stats.argument_size_in_bytes - sum(arguments.values())
  )
  out["outputs that are not updates in place"] = (
    stats.output_size_in_bytes - stats.alias_size_in_bytes
  )
  reported = stats.temp_size_in_bytes
  assigned, largest = assignment(dump) if dump else (None, [])
  out["temporaries"] = reported if assigned is None else assigned
  out["program"] = stats.generated_code_size_in_bytes
  out["together"] = sum(out.values())
  return {
    "bytes": out,
    "largest_temporaries": largest,
    "temp_size_reported": reported,
  }


def assignment(folder: pathlib.Path) -> tuple[int | None, list[str]]:
  """(bytes of temporaries in HBM, what the largest places of it hold).

  Of the newest TPU program that the compiler dumped there; None without one.
  """
  suffix = "-buffer-assignment.txt"
  found = sorted(folder.glob(f"*{suffix}"), key=os.path.getmtime)
  if not found:
    return None, []
  text = found[-1].read_text()
  parts = re.split(r"^allocation \d+: ", text, flags=re.MULTILINE)
  temporaries = [
    (int(size[1]), part)
    for part in parts
    if (size := re.match(r"size (\d+), preallocated-temp", part))
  ]
  if not temporaries:
    return None, []
  after = found[-1].name.replace(suffix, ".txt")
  program = found[-1].with_name(after)
  names = _made_by(program.read_text()) if program.exists() else {}
  places = {}
  for _, part in temporaries:
    for place, rows in _places(part).items():
      places.setdefault(place, []).extend(rows)
  largest = sorted(places.items(), key=lambda item: -item[0][1])[:_LISTED]
  lines = [_line(size, rows, names) for (_, size), rows in largest]
  return sum(size for size, _ in temporaries), lines


def _places(part):
  """{(offset, bytes): [(name, shape)]} of an allocation in HBM."""
  out = {}
  pattern = (
    r"value: <\d+ (\S+) @0> \(size=(\d+),offset=(\d+)\): (\w+\[[\d,]*\])"
  )
  for name, size, offset, shape in re.findall(pattern, part):
    out.setdefault((int(offset), int(size)), []).append((name, shape))
  return out


def _made_by(text):
  """{instruction: its op_name} of a program's text."""
  pattern = r"^\s*(?:ROOT )?%(\S+) = .*?op_name=\"([^\"]+)\""
  return dict(re.findall(pattern, text, re.MULTILINE))


def _line(size, rows, names):
  """A place: its size, the shapes in it, what made the first of them."""
  shapes = {}
  for _, shape in rows:
    shapes[shape] = shapes.get(shape, 0) + 1
  listed = ", ".join(
    shape if count == 1 else f"{count} x {shape}"
    for shape, count in list(shapes.items())[:3]
  )
  more = ", ..." if len(shapes) > 3 else ""
  made = [names.get(name.split("{")[0], "") for name, _ in rows]
  made = [_short(name) for name in made if "/" in name]
  return f"{_mib(size)} {listed}{more}" + (f": {made[0]}" if made else "")


def _short(name):
  """The last words of an op_name; whether it is of the backward pass."""
  words = [w for w in name.split("/") if not w.startswith(("jit(", "jvp("))]
  backward = "gradient of " if "transpose(" in name else ""
  loops = ("while", "body", "closed_call", "checkpoint", "rematted_computation")
  kept = [w for w in words if w not in loops and "transpose(" not in w]
  return backward + "/".join(kept[-4:])


def _mib(size):
  return f"{size / 2**20:.0f} MiB"
