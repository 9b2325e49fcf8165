"""What a compiled program costs: its text walked, loops as often as they run.

XLA's own cost_analysis counts the body of a loop once, be it run 26 times. Here
the optimised HLO (`compiled.as_text()`) is read and every `while` is multiplied
by its trips, which its condition tells: a counter compared with a constant.

    cost = hlo.cost(compiled.as_text())
    cost.flops, cost.hbm_bytes, cost.collectives["all-gather"].bytes

FLOPs are those of products and convolutions. Bytes are counted as in
cost_analysis: what each fusion reads and writes, of a slice only the slice; a
buffer that the compiler placed in on-chip memory (`S(1)`) is no HBM traffic.
"""

import collections
import dataclasses
import re

from hispatial_jax.core import hlo_text

# They move nothing, or what they do is counted at the other half of a pair.
_FREE = {
  "parameter", "constant", "get-tuple-element", "tuple", "bitcast", "while",
  "after-all", "partition-id", "replica-id", "conditional", "call",
  "opt-barrier", "iota",
}  # fmt: skip
_COLLECTIVES = (
  "all-gather",
  "all-reduce",
  "reduce-scatter",
  "all-to-all",
  "collective-permute",
)


@dataclasses.dataclass
class Traffic:
  """Of one kind of collective: how often, and what a chip sends."""

  count: float = 0.0
  bytes: float = 0.0


@dataclasses.dataclass
class Cost:
  """Of one chip.

  Attributes:
    flops: of products and convolutions.
    bytes: read and written by all operations, on-chip memory included.
    hbm_bytes: of them, in HBM.
    collectives: kind -> Traffic.
  """

  flops: float = 0.0
  bytes: float = 0.0
  hbm_bytes: float = 0.0
  collectives: dict[str, Traffic] = dataclasses.field(
    default_factory=lambda: collections.defaultdict(Traffic)
  )

  def add(self, other: "Cost", times: float = 1.0) -> None:
    """Adds another cost, so many times."""
    self.flops += times * other.flops
    self.bytes += times * other.bytes
    self.hbm_bytes += times * other.hbm_bytes
    for kind, traffic in other.collectives.items():
      mine = self.collectives[kind]
      mine.count += times * traffic.count
      mine.bytes += times * traffic.bytes


def cost(text: str, unknown_trips: int | None = None) -> Cost:
  """The cost of a program.

  Args:
    text: optimised HLO, as `compiled.as_text()` gives it.
    unknown_trips: of a loop that ends by what it finds (decoding, say).

  Raises:
    ValueError: it has no entry, or a loop whose trips cannot be told.
  """
  return Program(text, unknown_trips).cost()


class Program:
  """The computations of a program's text, by name."""

  def __init__(self, text: str, unknown_trips: int | None = None):
    self.computations, self._entry = hlo_text.parse(text)
    self._unknown_trips = unknown_trips
    self._known = {}

  def cost(self) -> Cost:
    """Of the entry computation and all it calls."""
    return self._of(self._entry)

  def _of(self, name):
    if name not in self._known:
      total = Cost()
      lines = self.computations[name]
      for line in lines.values():
        self._add(total, line, lines)
      self._known[name] = total
    return self._known[name]

  def _add(self, total, line, lines):
    if line.opcode == "while":
      called = dict(re.findall(r"(body|condition)=%([\w.-]+)", line.attributes))
      trips = self.trips(line, lines)
      total.add(self._of(called["body"]), trips)
      return
    if line.opcode in ("call", "conditional"):
      inner = [self._of(name) for name in hlo_text.called(line)]
      if inner:
        total.add(max(inner, key=lambda c: c.flops))
      return
    total.flops += self._flops(line, lines)
    self._add_collective(total, line, lines)
    if line.opcode not in _FREE and not line.opcode.endswith("-done"):
      moved = [*self._read(line, lines), *self._written(line, lines)]
      total.bytes += sum(size for size, _ in moved)
      total.hbm_bytes += sum(size for size, hbm in moved if hbm)

  def _flops(self, line, lines):
    if line.opcode == "convolution":
      return hlo_text.convolution_flops(line, lines)
    if line.opcode == "dot":
      return hlo_text.dot_flops(line, lines)
    if line.opcode not in ("fusion", "async-start"):
      return 0.0
    inner = [self.computations[name] for name in hlo_text.called(line)]
    return sum(self._flops(i, part) for part in inner for i in part.values())

  def _add_collective(self, total, line, lines):
    kind = line.opcode.removesuffix("-start")
    if kind == "fusion":
      part = self.computations[hlo_text.called(line)[0]]
      inner = _collective_in(part)
      if inner is None or (hlo_text.aliases(line) and not _starts(part)):
        return  # a later step of an asynchronous one
      # An all-reduce fused with a slice of its result is a reduce-scatter.
      sliced = inner.opcode == "all-reduce" and "slice" in str(
        [i.opcode for i in part.values()]
      )
      kind = "reduce-scatter" if sliced else inner.opcode
      line, lines = inner, part
    if kind not in _COLLECTIVES:
      return
    operands = [lines[name].shape for name in line.operands if name in lines]
    devices = hlo_text.group_size(line.attributes)
    sent = sum(size for shape in operands for size, _ in hlo_text.arrays(shape))
    share = (devices - 1) / devices
    factor = {
      "all-gather": devices - 1,
      "all-reduce": 2 * share,
      "collective-permute": 1,
    }.get(kind, share)
    total.collectives[kind].count += 1
    total.collectives[kind].bytes += sent * factor

  def _read(self, line, lines):
    """[(bytes, whether in HBM)] of the operands."""
    shapes = [lines[name].shape for name in line.operands if name in lines]
    whole = [hlo_text.arrays(shape) for shape in shapes]
    if line.opcode in ("dynamic-slice", "slice", "slice-start", "gather"):
      # No more than is handed on is read.
      return [
        (size, whole[0][0][1]) for size, _ in hlo_text.arrays(line.shape)[:1]
      ]
    if line.opcode in ("dynamic-update-slice", "scatter"):
      return whole[1]
    if line.opcode != "fusion":
      return [pair for pairs in whole for pair in pairs]
    part = self.computations[hlo_text.called(line)[0]]
    state = self._state(line).values()
    out = []
    for n, pairs in enumerate(whole):
      if n in state:
        continue
      sizes = [size for size, _ in pairs]
      used = min(self._used(part, n, sum(sizes)), sum(sizes))
      out.append((used, all(hbm for _, hbm in pairs)))
    return out

  def _written(self, line, lines):
    """[(bytes, whether in HBM)] of the results."""
    if line.opcode.endswith("-start"):
      # (operands, results, …) of an asynchronous pair; the operand was read.
      return hlo_text.arrays(line.shape)[1:2]
    if line.opcode == "dynamic-update-slice":
      return hlo_text.arrays(lines[line.operands[1]].shape)
    if line.opcode != "fusion":
      return hlo_text.arrays(line.shape)
    part = self.computations[hlo_text.called(line)[0]]
    root = next(i for i in part.values() if i.root)
    roots = [root]
    if root.opcode == "tuple":
      roots = [part[name] for name in root.operands]
    out, state = [], self._state(line)
    for n, (size, hbm) in enumerate(hlo_text.arrays(line.shape)):
      if n in state:
        continue
      where, made = self._maker(part, roots[n] if n < len(roots) else root)
      if made.opcode == "dynamic-update-slice":
        size = sum(s for s, _ in hlo_text.arrays(where[made.operands[1]].shape))
      out.append((size, hbm))
    return out

  def _maker(self, part, line):
    """What makes a result, through fusions inside the fusion: (part, line)."""
    while True:
      if line.opcode == "fusion":
        part = self.computations[hlo_text.called(line)[0]]
        line = next(i for i in part.values() if i.root)
      elif line.opcode in ("bitcast", "copy") and line.operands[0] in part:
        line = part[line.operands[0]]
      else:
        return part, line

  def _used(self, part, number, size):
    """Bytes of a fusion's parameter that it reads: of a slice, the slice."""
    name = next(
      i.name
      for i in part.values()
      if i.opcode == "parameter" and i.text == str(number)
    )
    names, total = {name}, 0.0
    for line in part.values():
      hits = [n for n, operand in enumerate(line.operands) if operand in names]
      if not hits:
        continue
      if line.opcode == "bitcast":
        names.add(line.name)
      elif line.opcode == "fusion":
        inner = self.computations[hlo_text.called(line)[0]]
        total += max(self._used(inner, n, size) for n in hits)
      elif line.opcode in ("dynamic-slice", "slice", "gather"):
        total += sum(s for s, _ in hlo_text.arrays(line.shape))
      elif line.opcode == "dynamic-update-slice" and hits == [0]:
        continue  # written into, not read
      elif line.opcode == "tuple":
        continue  # handed on
      else:
        return size
    return total

  def _state(self, line):
    """Aliases of a fusion that carries an asynchronous collective.

    Those buffers are handed on from step to step; they move once, at the start.
    """
    part = self.computations[hlo_text.called(line)[0]]
    carries = _collective_in(part) or any(
      "AsyncCollective" in i.attributes for i in part.values()
    )
    return hlo_text.aliases(line) if carries else {}

  def trips(self, line, lines) -> int:
    """How often a `while` runs its body.

    Raises:
      ValueError: its condition is not `counter < constant`.
    """
    called = dict(re.findall(r"(body|condition)=%([\w.-]+)", line.attributes))
    given = re.search(r"known_trip_count[^\d]*(\d+)", line.attributes)
    if given:
      return int(given[1])
    condition = self.computations[called["condition"]]
    body = self.computations[called["body"]]
    limits = [hlo_text.constant(condition, name) for name in condition]
    limits = [n for n in limits if n is not None]
    places = [
      hlo_text.index(i)
      for i in condition.values()
      if hlo_text.index(i) is not None
    ]
    if len(set(limits)) != 1 or len(set(places)) != 1:
      if self._unknown_trips is not None:
        return self._unknown_trips
      raise ValueError(
        f"loop {line.name}: expected a condition `counter < constant`, got "
        f"constants {limits}: a loop of unknown length cannot be counted"
      )
    begin = hlo_text.constant(
      lines, lines[line.operands[0]].operands[places[0]]
    )
    root = next(i for i in body.values() if i.root)
    step = [
      hlo_text.constant(body, n)
      for n in body[root.operands[places[0]]].operands
    ]
    step = next((n for n in step if n is not None), 1)
    return -(-(limits[0] - (begin or 0)) // step)


def _collective_in(part):
  return next((i for i in part.values() if i.opcode in _COLLECTIVES), None)


def _starts(part):
  return any("AsyncCollectiveStart" in i.attributes for i in part.values())
