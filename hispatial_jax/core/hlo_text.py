"""The text of a compiled program (optimised HLO), read.

Only what `core/hlo.py` needs to count: instructions by computation, the bytes
of shapes, the FLOPs of products, integers that stand in the text.
"""

import dataclasses
import math
import re

_ITEMSIZE = {
  "pred": 1, "s4": 0.5, "u4": 0.5, "s8": 1, "u8": 1, "s16": 2, "u16": 2,
  "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8,
  "f64": 8, "c64": 8, "token": 0,
}  # fmt: skip
_ARRAY = re.compile(r"([a-z]+\d*)\[([\d,]*)\](\{[^{}]*\})?")
_CALLED = re.compile(r"(?:calls|body|condition|to_apply)=%([\w.-]+)")


@dataclasses.dataclass
class Instruction:
  """One line: `%name = shape opcode(operands), attributes`."""

  name: str
  shape: str
  opcode: str
  operands: list[str]
  text: str  # what stands in the parentheses
  attributes: str
  root: bool


def parse(text: str) -> tuple[dict[str, dict[str, Instruction]], str]:
  """({computation: {name: Instruction}}, name of the entry).

  Raises:
    ValueError: there is no entry.
  """
  computations, entry, current = {}, None, None
  for line in text.splitlines():
    if line[:1] in ("%", "E") and line.rstrip().endswith("{"):
      name = line.split("%", 1)[1].split(" ", 1)[0]
      current = computations[name] = {}
      entry = name if line.startswith("ENTRY") else entry
    elif line.startswith("  ") and current is not None and " = " in line:
      made = _instruction(line)
      current[made.name] = made
  if entry is None:
    raise ValueError("no ENTRY computation: expected the text of an HLO module")
  return computations, entry


def _instruction(line):
  left, right = line.strip().split(" = ", 1)
  end = _closing(right, 0) + 1 if right.startswith("(") else right.index(" ")
  shape, rest = right[:end], right[end:].lstrip()
  opening = rest.index("(")
  closing = _closing(rest, opening)
  inside = rest[opening + 1 : closing]
  return Instruction(
    name=left.removeprefix("ROOT ").lstrip("%"),
    shape=shape,
    opcode=rest[:opening],
    operands=re.findall(r"%([\w.-]+)", inside),
    text=inside,
    attributes=rest[closing + 1 :],
    root=left.startswith("ROOT"),
  )


def _closing(text, opening):
  """Where the parenthesis that opens there is closed."""
  depth = 0
  for n in range(opening, len(text)):
    depth += (text[n] == "(") - (text[n] == ")")
    if not depth:
      return n
  raise ValueError(f"unbalanced parentheses: {text[:80]}")


def arrays(shape):
  """[(bytes, whether in HBM)] of a shape, each part of a tuple."""
  return [
    (_ITEMSIZE.get(kind, 1) * math.prod(_numbers(dims)), "S(1)" not in layout)
    for kind, dims, layout in _ARRAY.findall(shape)
  ]


def _numbers(dims):
  return [int(n) for n in dims.split(",") if n]


def _dims(shape):
  return _numbers(_ARRAY.search(shape)[2])


def called(line):
  return _CALLED.findall(line.attributes)


def group_size(attributes: str) -> int:
  """How many devices take part in a collective; 1 where it says nothing.

  Raises:
    ValueError: the groups are written in a way that is not known here.
  """
  found = re.search(r"replica_groups=mesh\[(.*?)\][^{]*\{(.*?)\}", attributes)
  if found:
    sizes = dict(re.findall(r"'(\w+)'=(\d+)", found[1]))
    return math.prod(int(sizes[n]) for n in re.findall(r"'(\w+)'", found[2]))
  found = re.search(r"replica_groups=\[(\d+),(\d+)\]", attributes)
  if found:
    return int(found[2])
  found = re.search(r"replica_groups=\{\{([\d,]+)\}", attributes)
  if found:
    return len(found[1].split(","))
  found = re.search(r"replica_groups=(?!\{\})\S+", attributes)
  if found:
    raise ValueError(f"devices of a collective: cannot read {found[0]}")
  return 1


def index(line):
  found = re.search(r"index=(\d+)", line.attributes)
  return int(found[1]) if line.opcode == "get-tuple-element" else None


def constant(lines, name):
  """The integer that a name stands for, through copies; None if it is none."""
  while name in lines:
    line = lines[name]
    if line.opcode == "constant":
      return int(line.text) if line.text.lstrip("-").isdigit() else None
    if line.opcode not in ("copy", "bitcast", "convert"):
      return None
    name = line.operands[0]
  return None


def aliases(line):
  """{number of a result: number of the operand it shares memory with}."""
  found = re.search(r"output_to_operand_aliasing=(.*?), calls", line.attributes)
  pairs = re.findall(r"\{(\d*)\}: \((\d+),", found[1] if found else "")
  return {int(out or 0): int(operand) for out, operand in pairs}


def dot_flops(line, lines):
  left = _dims(lines[line.operands[0]].shape)
  axes = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", line.attributes)[1]
  depth = math.prod(left[n] for n in _numbers(axes))
  return 2.0 * math.prod(_dims(line.shape)) * depth


def convolution_flops(line, lines):
  """As XLA counts them: only where the window meets data."""
  labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", line.attributes)
  left, right, result = labels.groups()
  left_dims, kernel, out = (
    _dims(lines[line.operands[0]].shape),
    _dims(lines[line.operands[1]].shape),
    _dims(line.shape),
  )
  window = re.search(r"window=\{([^}]*)\}", line.attributes)
  window = dict(p.split("=") for p in window[1].split()) if window else {}
  total = 2.0 * out[result.index("b")] * out[result.index("f")]
  total *= kernel[right.index("i")]
  places = [c for c in right if c.isdigit()]
  for n, place in enumerate(sorted(places)):
    total *= _meetings(
      left_dims[left.index(place)],
      kernel[right.index(place)],
      out[result.index(place)],
      {k: v.split("x")[n] for k, v in window.items()},
    )
  return total


def _meetings(size, kernel, out, window):
  """Pairs of (output, window) positions of an axis that meet real data."""
  stride = int(window.get("stride", 1))
  before = int(window.get("pad", "0_0").split("_")[0])
  spread = int(window.get("lhs_dilate", 1))
  step = int(window.get("rhs_dilate", 1))
  extent = (size - 1) * spread + 1
  count = 0
  for k in range(kernel):
    for o in range(out):
      at = o * stride + k * step - before
      count += 0 <= at < extent and at % spread == 0
  return count
