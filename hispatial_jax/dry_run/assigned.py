"""Which array lies where and when in a chip's memory: the compiler's own dump.

    held = assigned.read(folder)      # of the newest TPU program dumped there
    held.size                         # bytes of temporaries in HBM
    held.largest()                    # lines on its largest places
    held.by_kind(weights)             # gradients, logits, activations, ...

memory_analysis() calls more temporaries than the memory that is assigned to
them. They are one memory, of which every place serves several arrays in turn;
the compiler says from which instruction to which each of them is kept.
"""

import collections
import dataclasses
import math
import os
import pathlib
import re
from collections.abc import Collection

_LISTED = 10
_SUFFIX = "-buffer-assignment.txt"
WEIGHTS = "weights, gathered or cast"
GRADIENTS = "gradients of weights"
LOGITS = "logits"
FORWARD = "activations"
AGAIN = "activations computed again"
BACKWARD = "gradients of activations"
OTHER = "other"
KINDS = (WEIGHTS, GRADIENTS, LOGITS, FORWARD, AGAIN, BACKWARD, OTHER)
# How an array is named that only carries another one.
_CARRIERS = ("copy", "copy-start", "copy-done", "bitcast", "reshape")


@dataclasses.dataclass(frozen=True)
class Array:
  """One array of the program.

  Attributes:
    name: of the instruction that makes it.
    offset, size: in bytes, of its place.
    shape: "bf16[4,1407,2304]".
    first, last: instructions between which it is kept; -1: not said.
  """

  name: str
  offset: int
  size: int
  shape: str
  first: int
  last: int

  @property
  def place(self) -> tuple[int, int]:
    """Arrays of one place take turns."""
    return self.offset, self.size

  @property
  def elements(self) -> int:
    """How many numbers it holds."""
    return math.prod(map(int, re.findall(r"\d+", self.shape.split("[")[1])))


@dataclasses.dataclass(frozen=True)
class Assigned:
  """The temporaries of a program in HBM.

  Attributes:
    size: bytes of all places.
    arrays: in the compiler's order.
    made_by: instruction -> what of the recipe it belongs to (its op_name).
  """

  size: int
  arrays: tuple[Array, ...]
  made_by: dict[str, str]

  def largest(self) -> list[str]:
    """A line on each of the largest places, with what is in it in turn."""
    places = {}
    for array in self.arrays:
      places.setdefault(array.place, []).append(array)
    largest = sorted(places.items(), key=lambda item: -item[0][1])[:_LISTED]
    return [self._line(size, arrays) for (_, size), arrays in largest]

  def _line(self, size, arrays):
    shapes = collections.Counter(array.shape for array in arrays)
    listed = ", ".join(
      shape if count == 1 else f"{count} x {shape}"
      for shape, count in list(shapes.items())[:3]
    )
    more = ", ..." if len(shapes) > 3 else ""
    made = [self.made_by.get(array.name, "") for array in arrays]
    made = [_short(name) for name in made if "/" in name]
    mib = f"{size / 2**20:.0f} MiB"
    return f"{mib} {listed}{more}" + (f": {made[0]}" if made else "")

  def by_kind(self, weights: Collection[int]) -> dict[str, dict[str, int]]:
    """{kind of KINDS: {"at_peak", "most"}}; {} where no time is known.

    Bytes that it holds when all kinds together hold most, and that it holds at
    any time.

    Args:
      weights: how many numbers the parameters have, whole or in parts; an
        array of as many is taken for one of them, or its gradient.
    """
    timed = [array for array in self.arrays if array.first >= 0]
    origins = self._origins()
    # Without a backward pass, what belongs to the recipe at all is forward.
    forward = "jvp(" if any("jvp(" in x for x in self.made_by.values()) else "/"
    kinds = {
      array: _kind(origins[array], array.elements in weights, forward)
      for array in timed
    }
    peak, most = collections.Counter(), collections.Counter()
    for now in sorted({array.first for array in timed}):
      held = collections.Counter()
      for (_, size), array in _held(timed, now).items():
        held[kinds[array]] += size
      peak = max(peak, held, key=collections.Counter.total)
      most |= held
    return {
      kind: {"at_peak": peak[kind], "most": most[kind]}
      for kind in KINDS
      if most[kind]
    }

  def _origins(self):
    """{array: op_name of what made it}.

    What a loop carries has no name of its own: it gets that of the first array
    with one in the same place and shape, which the loop puts there.
    """
    names = {array: self.made_by.get(array.name, "") for array in self.arrays}
    own = {array: name for array, name in names.items() if "/" in name}
    alike = {}
    for array, name in own.items():
      alike.setdefault((array.place, array.shape), name)
    carried = {a: alike.get((a.place, a.shape), "") for a in self.arrays}
    return carried | own


def _held(arrays, now):
  """{place: the array in it} of one moment."""
  return {a.place: a for a in arrays if a.first <= now <= a.last}


def _kind(name, weight, forward):
  """Of KINDS, by the op_name and whether it is of a parameter's size.

  `forward` is in the op_name of what the forward pass makes.
  """
  again = "rematted_computation" in name
  backward = "transpose(" in name and not again
  moved = name.split("/")[-1] in ("convert_element_type", "slice", "transpose")
  if re.search(r"->\S*V/", name):
    return LOGITS
  if weight:
    return GRADIENTS if backward and not moved else WEIGHTS
  if again:
    return AGAIN
  if backward:
    return BACKWARD
  return FORWARD if forward in name else OTHER


def read(folder: pathlib.Path) -> Assigned | None:
  """Of the newest TPU program that the compiler dumped there; None: of none."""
  found = sorted(folder.glob(f"*{_SUFFIX}"), key=os.path.getmtime)
  if not found:
    return None
  parts = re.split(
    r"^allocation \d+: ", found[-1].read_text(), flags=re.MULTILINE
  )
  temporaries = [
    (int(size[1]), part)
    for part in parts
    if (size := re.match(r"size (\d+), preallocated-temp", part))
  ]
  if not temporaries:
    return None
  times = _times(_beside(found[-1], "-live-range.txt"))
  arrays = []
  for _, part in temporaries:
    arrays += _arrays(part, times)
  made_by = _made_by(_beside(found[-1], ".txt"))
  size = sum(size for size, _ in temporaries)
  return Assigned(size, tuple(arrays), made_by)


def _beside(path, suffix):
  other = path.with_name(path.name.replace(_SUFFIX, suffix))
  return other.read_text() if other.exists() else ""


def _arrays(part, times):
  """Those of an allocation; `@0` is HBM."""
  pattern = (
    r"value: <\d+ (\S+)(?: \(phi\))? @0> "
    r"\(size=(\d+),offset=(\d+)\): (\w+\[[\d,]*\])"
  )
  for value, size, offset, shape in re.findall(pattern, part):
    # Of no tuple it has "{}" in the other file.
    kept = value if "{" in value else f"{value}{{}}"
    first, last = times.get(kept, (-1, -1))
    name = value.partition("{")[0]
    yield Array(name, int(offset), int(size), shape, first, last)


def _times(text):
  """{"name{index}": (first, last)} of what the compiler says is kept."""
  _, _, text = text.partition("BufferLiveRange:")
  text, _, _ = text.partition("Live ranges at")
  found = re.findall(r"^\s+(\S+):(\d+)-(\d+)$", text, re.MULTILINE)
  return {name: (int(first), int(last)) for name, first, last in found}


def _made_by(text):
  """{instruction: its op_name}; of a copy, that of what it copies."""
  pattern = r"^\s*(?:ROOT )?%(\S+) = \S.*? ([\w-]+)\(%?([\w.-]*).*$"
  out = {}
  for match in re.finditer(pattern, text, re.MULTILINE):
    name, opcode, operand = match.groups()
    told = re.search(r'op_name="([^"]+)"', match[0])
    if told:
      out[name] = told[1]
    elif opcode in _CARRIERS and operand in out:  # which stands above
      out[name] = out[operand]
  return out


def _short(name):
  """The last words of an op_name; whether it is of the backward pass."""
  words = [w for w in name.split("/") if not w.startswith(("jit(", "jvp("))]
  backward = "gradient of " if "transpose(" in name else ""
  loops = ("while", "body", "closed_call", "checkpoint", "rematted_computation")
  kept = [w for w in words if w not in loops and "transpose(" not in w]
  return backward + "/".join(kept[-4:])
