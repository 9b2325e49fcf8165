"""Clock hours, points of a picture and things pointed at, from free text."""

import math
import re

from hispatial_jax.benchmarks import answers, numerals, quantities

Parse = quantities.Parse

_HOURS = "|".join(numerals.ONES[1:13])
_CLOCK = re.compile(rf"\b(\d+|{_HOURS})\s*o\s*['’`]?\s*clock")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
_PAIR = re.compile(
  rf"[(\[]\s*(?:x\s*[=:]\s*)?({_NUMBER})\s*,"
  rf"\s*(?:y\s*[=:]\s*)?({_NUMBER})\s*[)\]]"
)
_INDEX = re.compile(r"\[\s*(\d+)\s*\]|\bregions?\s+(\d+)\b")


def clock(text: str) -> Parse:
  """An hour 1..12: the last "N o'clock", or a bare number."""
  low = quantities.strip(text).lower()
  said = _CLOCK.findall(low)
  if said:
    word = said[-1]
    hour = int(word) if word.isdigit() else numerals.ONES.index(word)
    why = "o'clock"
  else:
    found = quantities.numbers(text)
    if len(found) != 1 or found[0][1] is not None:
      return Parse(None, f"no o'clock and {len(found)} numbers")
    hour, why = found[0][0], "bare number, read as an hour"
  if hour not in range(1, 13):
    return Parse(None, f"{hour:g} is no hour of a clock")
  return Parse(int(hour), why)


def between(hour: int, other: int) -> int:
  """Hours from one to the other the short way round."""
  apart = abs(hour - other) % 12
  return min(apart, 12 - apart)


def pair(text: str) -> Parse:
  """The first (x, y) in round or square brackets, as a list.

  `<locYYYY><locXXXX>` is no such pair: convert it before.
  """
  match = _PAIR.search(quantities.strip(text).lower())
  if not match:
    return Parse(None, "no pair of numbers in brackets")
  values = [float(match[1]), float(match[2])]
  if not all(map(math.isfinite, values)):
    return Parse(None, "not finite")
  return Parse(values, "first pair in brackets")


def loc_as_pairs(text: str) -> str:
  """`<locYYYY><locXXXX>` of 0..1023, y first, written as (x, y) of 0..1.

  No reader does this by itself: a run that does must say so.
  """
  return re.sub(
    r"<loc(\d{4})>\s*<loc(\d{4})>",
    lambda m: f"({int(m[2]) / 1024:.4f}, {int(m[1]) / 1024:.4f})",
    text,
  )


def triple(text: str) -> Parse:
  """Three numbers as they were said: a direction, not yet of length one."""
  found = quantities.numbers(text)
  units = {unit for _, unit in found}
  if len(found) != 3 or len(units) != 1:
    return Parse(None, f"{len(found)} numbers, expected three of one unit")
  values = [value for value, _ in found]
  if not 0 < math.hypot(*values) < math.inf:
    return Parse(None, "the zero vector has no direction")
  return Parse(values, "three numbers")


def angle_deg(one, other) -> float:
  """Angle between two vectors of any length."""
  cosine = sum(a * b for a, b in zip(one, other, strict=True))
  cosine /= math.hypot(*one) * math.hypot(*other)
  return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def inside(point, polygon) -> bool:
  """Even-odd rule, half-open on edges: neighbours share no point."""
  x, y = point
  odd = False
  for i, (x1, y1) in enumerate(polygon):
    x0, y0 = polygon[i - 1]
    if (y1 > y) != (y0 > y) and x < (x0 - x1) * (y - y1) / (y0 - y1) + x1:
      odd = not odd
  return odd


def thing(text: str, classes: list[str], colours: tuple[str, ...]) -> Parse:
  """Index of the one thing an answer names.

  Args:
    text: the answer.
    classes: names of the things in order; two may be alike.
    colours: of their boxes, in the same order.
  """
  low, count = quantities.strip(text).lower(), len(classes)
  said = {int(a or b) for a, b in _INDEX.findall(low)}
  coloured = {
    i
    for i, colour in enumerate(colours[:count])
    if re.search(rf"\b{colour}\b(?:[ -]\w+)? box", low)
  }
  for found, why in (
    (said, "region"),
    (coloured, "colour of the box"),
    (answers.names(low, classes), "name"),
  ):
    if len(found) == 1 and next(iter(found)) < count:
      return Parse(found.pop(), why)
    if len(found) > 1:
      return Parse(None, f"several things by {why}")
  return Parse(None, "no thing named" if low else "empty")
