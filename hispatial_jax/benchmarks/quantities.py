"""Numbers, lengths, counts and points, read from a model's own words.

Every reader returns a `Parse`: the value and the rule that found it. A text
with no single reading gives `value=None` and says why, so that "unparsed" is
an outcome of its own and never a silent zero.
"""

import dataclasses
import math
import re
from typing import Any

from hispatial_jax.benchmarks import numerals

_METRES = {
  "m": 1.0,
  "cm": 0.01,
  "mm": 0.001,
  "km": 1000.0,
  "in": 0.0254,
  "ft": 0.3048,
  "yd": 0.9144,
}
_SPELLINGS = {
  "m": r"m|metres?|meters?|mtrs?",
  "cm": r"cms?|centimetres?|centimeters?",
  "mm": r"mms?|millimetres?|millimeters?",
  "km": r"kms?|kilometres?|kilometers?",
  "in": r"in|inch|inches|\"|″",
  "ft": r"ft|foot|feet|'|′",
  "yd": r"yds?|yards?",
}
_UNIT = "|".join(f"(?:{spelling})" for spelling in _SPELLINGS.values())
_NUMBER = (
  r"\d+\s+\d+/\d+|\d+/\d+|\d{1,3}(?:,\d{3})+(?:\.\d+)?"
  r"|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
)
# A sign is glued to its number and to nothing else: "2-3" has none. Without a
# unit the number must end there: "25abc" holds none.
_QUANTITY = re.compile(
  rf"(?<![\w.])(?P<sign>[-−])?(?P<number>{_NUMBER})"
  rf"(?:\s*-?\s*(?P<unit>{_UNIT})(?![a-z])|(?![a-z\d]|\.\d|,\d{{3}}))"
)
_DECIMAL_COMMA = re.compile(
  rf"(?<![\d.,])(\d+),(\d{{1,2}})(?=\s*(?:{_UNIT})(?![a-z]))"
)
_RANGE = re.compile(
  rf"(?P<between>between\s+)?(?<![\w.])(?P<low>{_NUMBER})\s*"
  rf"(?P<unit1>(?:{_UNIT})(?![a-z]))?\s*(?P<join>-|–|—|~|to|and|or)\s*"
  rf"(?P<high>{_NUMBER})\s*(?P<unit2>{_UNIT})(?![a-z])"
)
_SPECIAL = re.compile(
  r"<(?:eos|bos|pad|unk|end_of_turn|start_of_turn|\|im_end\||\|endoftext\|)>"
)
_DROPPED = re.compile(r"region\s*\[\d+\]|\[\d+\]|<loc\d{4}>")
# "2 in the picture": a place, not inches.
_PLACE = re.compile(
  r"(?<=\d) in(?= (?:the|an?|this|that|front|total|all|both|each)\b)"
)
_LEADS = re.compile(r"final answer(?: is)?|answer is|answer\s*:")


@dataclasses.dataclass(frozen=True)
class Parse:
  """What was read and by which rule; `value` None means unparsed."""

  value: Any
  why: str

  @property
  def parsed(self) -> bool:
    """Whether there is a value."""
    return self.value is not None


def strip(text: str) -> str:
  """Text without special tokens, emphasis marks and surrounding quotes."""
  text, before = _SPECIAL.sub("", text).strip(), None
  while text != before:
    before, text = text, text.strip("*_`").strip()
    if len(text) > 1 and text[0] + text[-1] in ('""', "''", "“”", "‘’"):
      text = text[1:-1].strip()
  return text


def _number(text: str) -> float:
  text = text.replace(",", "")
  if "/" in text:
    whole, fraction = text.split() if " " in text else ("0", text)
    top, bottom = fraction.split("/")
    return float(whole) + (float(top) / float(bottom) if float(bottom) else 0.0)
  return float(text)


def _unit(text: str | None) -> str | None:
  if text is None:
    return None
  return next(u for u, s in _SPELLINGS.items() if re.fullmatch(s, text))


def _focus(text: str) -> str:
  """The part that answers: marks dropped, behind the last "answer is"."""
  # Endless digits are a model gone astray, and slow to match.
  text = re.sub(r"\d{40,}", "#", strip(text).lower())
  text = _DROPPED.sub(" ", text)
  text = re.sub(r"(?<=\d)([ck]?m|ft)(?=\d)", r"\1 ", text)  # 1m20cm
  leads = list(_LEADS.finditer(text))
  after = text[leads[-1].end() :] if leads else text
  # "1.2 m is my final answer": what was said before is the answer.
  said = numerals.digits(after)
  said = said if re.search(r"\d", said) else numerals.digits(text)
  return _PLACE.sub(" inside", said)


def numbers(text: str) -> list[tuple[float, str | None]]:
  """All (number, unit or None) in reading order, signs kept."""
  return [
    ((-1 if m["sign"] else 1) * _number(m["number"]), _unit(m["unit"]))
    for m in _QUANTITY.finditer(_focus(text))
  ]


def _tagged(text: str) -> Parse | None:
  r"""The `\scalar{1.2} \distance_unit{m}` form that prompts ask for."""
  scalars = re.findall(r"\\scalar\{([^}]*)\}", text)
  units = re.findall(r"\\distance_unit\{([^}]*)\}", text)
  if not scalars or not units:
    return None
  inside = [_number(n) for n in re.findall(_NUMBER, scalars[-1])]
  try:
    scale = _METRES[_unit(units[-1].strip().lower().rstrip("."))]
  except StopIteration:
    return Parse(None, f"unknown unit {units[-1]!r}")
  if not inside:
    return Parse(None, "no number inside \\scalar{}")
  return _positive(sum(inside) / len(inside) * scale, "tagged")


def _positive(value: float, why: str) -> Parse:
  if not 0 < value < math.inf:
    return Parse(None, "not positive" if value <= 0 else "not finite")
  return Parse(value, why)


def _lengths(text: str) -> list[float]:
  """Quantities with units in metres; ranges halved, compounds added."""
  found = []
  for match in _RANGE.finditer(text):
    if match["join"] == "and" and not match["between"]:
      continue
    high = _METRES[_unit(match["unit2"])]
    low = _METRES[_unit(match["unit1"])] if match["unit1"] else high
    if match["join"] == "or":  # two answers, of which the first lacks a unit
      one, other = _number(match["low"]) * low, _number(match["high"]) * high
      found.append((match.start(), match.start(), one, None))
      found.append((match.start(), match.end(), other, None))
      continue
    value = (_number(match["low"]) * low + _number(match["high"]) * high) / 2
    found.append((match.start(), match.end(), value, None))
  spans = [(start, end) for start, end, _, _ in found]
  for match in _QUANTITY.finditer(text):
    if match["unit"] and not any(a <= match.start() < b for a, b in spans):
      sign = -1 if match["sign"] else 1
      unit = _METRES[_unit(match["unit"])]
      value = sign * _number(match["number"]) * unit
      found.append((match.start(), match.end(), value, unit))
  found.sort()
  out, before = [], None
  for start, end, value, unit in found:
    gap = text[before[0] : start] if before else ""
    glued = before and re.fullmatch(r"\s*(?:,|and)?\s*", gap)
    if glued and unit and before[1] and unit < before[1]:
      out[-1] += value
    else:
      out.append(value)
    before = (end, unit)
  return out


def length(text: str) -> Parse:
  """One length in metres.

  Several quantities that agree within 5 % are one ("0.45 m, about 18
  inches"); otherwise there is no single answer. A lone bare number is metres.
  """
  tagged = _tagged(text)
  if tagged:
    return tagged
  focus = _DECIMAL_COMMA.sub(r"\1.\2", _focus(text))
  found, why = _lengths(focus), "length"
  if not found:
    found = [value for value, _ in numbers(text)]
    why = "bare number, read as metres"
    if len(found) != 1:
      return Parse(None, f"{len(found)} numbers and no unit")
  if any(abs(v - found[0]) > 0.05 * abs(found[0]) for v in found):
    return Parse(None, f"{len(found)} lengths that disagree")
  return _positive(found[0], why)


def count(text: str) -> Parse:
  """One whole number without a unit: "4.", "four", "There are 4"."""
  found = numbers(text)
  distinct = {value for value, unit in found if unit is None}
  if len(distinct) != 1 or len({u for _, u in found}) != 1:
    return Parse(None, f"{len(found)} numbers, expected one without a unit")
  value = distinct.pop()
  if not (0 <= value < math.inf and value == int(value)):
    return Parse(None, f"{value:g} is not a count")
  return Parse(int(value), "count")


def point(text: str) -> Parse:
  """Three coordinates in metres, "0.61m -0.20m 1.17m"; bare means metres."""
  found = numbers(text)
  if len(found) != 3:
    return Parse(None, f"{len(found)} numbers, expected three coordinates")
  values = tuple(v * _METRES[unit or "m"] for v, unit in found)
  return Parse(values, "point")


def vector(text: str) -> Parse:
  """Three bare numbers, scaled to length one."""
  found = numbers(text)
  if len(found) != 3 or any(unit for _, unit in found):
    return Parse(None, "expected three numbers without a unit")
  norm = sum(value * value for value, _ in found) ** 0.5
  if not 0 < norm < math.inf:
    return Parse(None, "the zero vector has no direction")
  return Parse(tuple(value / norm for value, _ in found), "vector")


def metres(value: float, unit: str) -> float:
  """A length in metres; units in any of their spellings.

  Raises:
    ValueError: no such unit.
  """
  for name, spelling in _SPELLINGS.items():
    if re.fullmatch(spelling, str(unit).lower()):
      return float(value * _METRES[name])
  raise ValueError(f"no unit {unit!r}; there are {', '.join(_METRES)}")
