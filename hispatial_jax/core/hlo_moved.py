"""Bytes that an instruction of a compiled program reads and writes.

Counted as XLA's cost_analysis does: what a fusion takes and gives, of a slice
only the slice; a buffer in on-chip memory (`S(1)`) is no HBM traffic.
"""

from hispatial_jax.core import hlo_text

COLLECTIVES = (
  "all-gather",
  "all-reduce",
  "reduce-scatter",
  "all-to-all",
  "collective-permute",
)


def of(computations, line, lines) -> list[tuple[float, bool]]:
  """[(bytes, whether in HBM)] of what it reads, then of what it writes.

  Args:
    computations: name -> instructions, of the whole program.
    line, lines: the instruction, and those beside it by name.
  """
  return [
    *_read(computations, line, lines),
    *_written(computations, line, lines),
  ]


def _read(computations, line, lines):
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
  part = computations[hlo_text.called(line)[0]]
  state = _state(computations, line).values()
  out = []
  for n, pairs in enumerate(whole):
    if n in state:
      continue
    sizes = [size for size, _ in pairs]
    used = min(_used(computations, part, n, sum(sizes)), sum(sizes))
    out.append((used, all(hbm for _, hbm in pairs)))
  return out


def _written(computations, line, lines):
  """[(bytes, whether in HBM)] of the results."""
  if line.opcode.endswith("-start"):
    # (operands, results, …) of an asynchronous pair; the operand was read.
    return hlo_text.arrays(line.shape)[1:2]
  if line.opcode == "dynamic-update-slice":
    return hlo_text.arrays(lines[line.operands[1]].shape)
  if line.opcode != "fusion":
    return hlo_text.arrays(line.shape)
  part = computations[hlo_text.called(line)[0]]
  root = next(i for i in part.values() if i.root)
  roots = [root]
  if root.opcode == "tuple":
    roots = [part[name] for name in root.operands]
  out, state = [], _state(computations, line)
  for n, (size, hbm) in enumerate(hlo_text.arrays(line.shape)):
    if n in state:
      continue
    given = roots[n] if n < len(roots) else root
    where, made = _maker(computations, part, given)
    if made.opcode == "dynamic-update-slice":
      size = sum(s for s, _ in hlo_text.arrays(where[made.operands[1]].shape))
    out.append((size, hbm))
  return out


def _maker(computations, part, line):
  """What makes a result, through fusions inside the fusion: (part, line)."""
  while True:
    if line.opcode == "fusion":
      part = computations[hlo_text.called(line)[0]]
      line = next(i for i in part.values() if i.root)
    elif line.opcode in ("bitcast", "copy") and line.operands[0] in part:
      line = part[line.operands[0]]
    else:
      return part, line


def _used(computations, part, number, size):
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
      inner = computations[hlo_text.called(line)[0]]
      total += max(_used(computations, inner, n, size) for n in hits)
    elif line.opcode in ("dynamic-slice", "slice", "gather"):
      total += sum(s for s, _ in hlo_text.arrays(line.shape))
    elif line.opcode == "dynamic-update-slice" and hits == [0]:
      continue  # written into, not read
    elif line.opcode == "tuple":
      continue  # handed on
    else:
      return size
  return total


def _state(computations, line):
  """Aliases of a fusion that carries an asynchronous collective.

  Those buffers are handed on from step to step; they move once, at the start.
  """
  part = computations[hlo_text.called(line)[0]]
  carries = collective_in(part) or any(
    "AsyncCollective" in i.attributes for i in part.values()
  )
  return hlo_text.aliases(line) if carries else {}


def collective_in(part):
  """The first collective of a computation, or None."""
  return next((i for i in part.values() if i.opcode in COLLECTIVES), None)
