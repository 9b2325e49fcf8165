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

from hispatial_jax.core import hlo_moved, hlo_text

# They move nothing, or what they do is counted at the other half of a pair.
_FREE = {
  "parameter", "constant", "get-tuple-element", "tuple", "bitcast", "while",
  "after-all", "partition-id", "replica-id", "conditional", "call",
  "opt-barrier", "iota",
}  # fmt: skip


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
      moved = hlo_moved.of(self.computations, line, lines)
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
      inner = hlo_moved.collective_in(part)
      if inner is None or (hlo_text.aliases(line) and not _starts(part)):
        return  # a later step of an asynchronous one
      # An all-reduce fused with a slice of its result is a reduce-scatter.
      sliced = inner.opcode == "all-reduce" and "slice" in str(
        [i.opcode for i in part.values()]
      )
      kind = "reduce-scatter" if sliced else inner.opcode
      line, lines = inner, part
    if kind not in hlo_moved.COLLECTIVES:
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


def _starts(part):
  return any("AsyncCollectiveStart" in i.attributes for i in part.values())
