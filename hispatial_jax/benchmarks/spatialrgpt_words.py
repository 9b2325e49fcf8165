"""How SpatialRGPT-Bench's sentences, truths and answers alike, are read."""

import re

from hispatial_jax.benchmarks import (
  answers,
  base,
  boxes,
  directions,
  quantities,
)

LENGTHS = (
  *("width_data", "height_data", "distance_data"),
  *("horizontal_distance_data", "vertical_distance_data"),
)
# Words that affirm and deny a predicate; the first of each row names it.
_OPPOSITES = (
  ("left", "right"),
  ("above|higher", "below|beneath|under|lower"),
  ("behind|further|farther", "front|closer|nearer"),
  ("big(?:ger)?|larger?", "small(?:er)?|smaller"),
  ("tall(?:er)?|higher", "short(?:er)?|lower"),
  ("wide(?:r)?|broader", "thin(?:ner)?|narrow(?:er)?"),
)
_REFUSES = re.compile(
  r"\b(?:can(?:no|['’])t|unable|unsure|not sure|no idea|know)\b"
)


def kind(category: str) -> str:
  """How an answer is read: length, clock, thing or yes_no."""
  if category in LENGTHS:
    return "length"
  if category == "direction":
    return "clock"
  return "thing" if category.endswith("_choice") else "yes_no"


def read(text: str, category: str, classes: list[str]) -> base.Parse:
  """An answer's value, by the rule of its category."""
  how = kind(category)
  if how == "length":
    return quantities.length(text)
  if how == "clock":
    return directions.clock(text)
  if how == "thing":
    return directions.thing(text, classes, boxes.COLOURS)
  return answers.polarity(text)


def _sides(category: str) -> tuple[str, str] | None:
  """Patterns of words that affirm and deny a predicate such as left."""
  name = category.split("_")[0]
  for one, other in _OPPOSITES:
    if re.fullmatch(one, name):
      return one, other
    if re.fullmatch(other, name):
      return other, one
  return None


def stated(text: str, category: str) -> base.Parse:
  """yes or no from a statement: "Actually, it is narrower" of "Is it wider?".

  Beyond the rule that all share, and so never without `needs_judge`.
  """
  low, sides = quantities.strip(text).lower(), _sides(category)
  if not sides or _REFUSES.search(low):
    return quantities.Parse(None, "no word of the predicate")
  opening = r"(?:actually|in fact|rather|indeed)?,?\s*"
  subject = r"(?:it|region \[0\])(?:'s| is| looks| appears| seems)"
  match = re.match(rf"{opening}{subject}\s+(not\s+)?(?P<rest>.*)", low)
  if not match:
    return quantities.Parse(None, "no statement about the first thing")
  said = {
    word
    for word, pattern in zip(("yes", "no"), sides, strict=True)
    if re.search(rf"\b(?:{pattern})\b", match["rest"])
  }
  if len(said) != 1:
    return quantities.Parse(None, "both or neither side of the predicate")
  word = said.pop()
  if match[1]:
    word = {"yes": "no", "no": "yes"}[word]
  return quantities.Parse(word, "statement about the predicate")


def truth(text: str, category: str, classes: list[str]) -> base.Parse:
  """The truth of an answer sentence; only it may name a second thing."""
  found = read(text, category, classes)
  if not found.parsed and kind(category) == "yes_no":
    found = stated(text, category)
    if not found.parsed and re.match(
      r"\W*(?:actually|in fact)\b", text.lower()
    ):
      found = quantities.Parse("no", "opens by contradicting")
  if not found.parsed and kind(category) == "thing":
    first = re.search(r"\[(\d+)\]", text)
    if first and int(first[1]) < len(classes):
      found = quantities.Parse(int(first[1]), "first region")
  return found


def refuses(low: str) -> bool:
  """Whether a lower-cased answer says that it does not know."""
  return bool(_REFUSES.search(low))
