"""How questions and answers read: numbers, pixels, options, phrases.

Phrases come from the bank, `phrases.BANK`. A phrase may end in " => " and its
own answer; the slots of both are in braces.
"""

import functools

from hispatial_jax.qa import dice, phrases

MAP_SIZE = 448  # Location tokens count pixels of the network's picture.
PLAIN_PHRASES = 2
OPTION_STYLES = tuple(
  (kind, bracket) for kind in "Aa1Ii" for bracket in (False, True)
)
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")


def number(value: float) -> str:
  """Two decimals; never "-0.00"."""
  text = f"{value:.2f}"
  return "0.00" if text == "-0.00" else text


def point(xyz) -> str:
  """ "0.61m -0.20m 1.17m" """
  return " ".join(f"{number(v)}m" for v in xyz)


def location(row: int, column: int) -> str:
  """A pixel of the 448 x 448 picture as the degenerate box y x y x.

  >>> location(142, 416)
  '<loc0325><loc0951><loc0325><loc0951>'

  Source: HiSpatial's public loader, `round(1024 * p / size)`; 1024 itself is
  no token of PaliGemma, so it is clamped.
  """
  box = (column, row, column, row)
  return box_tokens(box, (MAP_SIZE, MAP_SIZE))


def box_tokens(box, size: tuple[float, float], *, most: int = 1023) -> str:
  """A box as four location tokens, y1 x1 y2 x2.

  >>> box_tokens((0, 0, 448, 224), (448, 448))
  '<loc0000><loc0000><loc0512><loc1023>'

  Args:
    box: x1, y1, x2, y2.
    size: width, height in the same unit.
    most: the largest token; PaliGemma has none for 1024, the far border.

  Source: golden/hispatial_data/FORMAT.md, "Text": half to even.
  """
  (x1, y1, x2, y2), (width, height) = box, size
  shares = (y1 / height, x1 / width, y2 / height, x2 / width)
  return "".join(f"<loc{min(round(s * 1024), most):04d}>" for s in shares)


def pixel(token: int) -> int:
  """The pixel index that a location token's number was made from."""
  return round(token * MAP_SIZE / 1024)


def label(index: int, style: tuple[str, bool]) -> str:
  """Label of an option: A, a, 1, I or i; with brackets "(A)"."""
  kind, bracket = style
  if kind in "Aa":
    text = chr(ord(kind) + index)
  elif kind == "1":
    text = str(index + 1)
  else:
    text = _ROMAN[index] if kind == "I" else _ROMAN[index].lower()
  return f"({text})" if bracket else text


def choices(options, style: tuple[str, bool]) -> str:
  """Option lines, "A. text" or "(A). text", each led by a newline."""
  return "".join(
    f"\n{label(i, style)}. {text}" for i, text in enumerate(options)
  )


def fill(phrase: str, slots: dict[str, str]) -> str:
  """Phrase with its slots filled, a capital first if a slot leads it."""
  text = phrase.format_map(slots)
  if phrase.startswith("{") and not text.startswith("<"):
    text = text[0].upper() + text[1:]
  return text


@functools.cache
def bank(key: str, plain: bool = False) -> tuple[tuple[str, str | None], ...]:
  """(question, answer or None) patterns of "task.kind/format".

  Raises:
    KeyError: no such entry in phrases.BANK.
  """
  rows = []
  for line in phrases.BANK[key].strip().splitlines():
    question, _, answer = line.partition(" => ")
    rows.append((question.strip(), answer.strip() or None))
  return tuple(rows[:PLAIN_PHRASES] if plain else rows)


def phrase(key: str, roll: dice.Dice, slots: dict[str, str], plain=False):
  """(question, answer or None) in words; one of the bank's phrases."""
  question, answer = roll.pick(bank(key, plain))
  return fill(question, slots), answer and fill(answer, slots)


@functools.cache
def all_texts() -> list[str]:
  """Every phrase of the bank, filled with typical words, and typical answers.

  For training a small tokenizer; the names of objects come from elsewhere.
  """
  roll = dice.Dice("all_texts")
  texts = []
  for key in phrases.BANK:
    for question, answer in bank(key):
      for _ in range(2):
        slots = _Typical(roll)
        texts.append(fill(question, slots))
        if answer:
          texts.append(fill(answer, slots))
  for style in OPTION_STYLES:
    options = [f"{number(roll.between(0.05, 9))}m" for _ in range(4)]
    texts.append(choices(options, style).strip())
    texts += [label(i, style) for i in range(4)]
  for _ in range(200):
    xyz = (roll.between(-3, 3), roll.between(-2, 2), roll.between(0.3, 9))
    texts += [point(xyz), f"{number(xyz[2])}m", f"{roll.below(9)}."]
  return [*texts, *_ANSWERS]


_ANSWERS = (
  *("Yes", "No", "Answer with Yes or No.", "the red chair", "a chair"),
  *("front", "right", "back", "left", "towards us", "away from us"),
  *("in front", "behind", "above", "below", "nearer", "farther"),
  *("the first", "the second", "shortest", "tallest", "narrowest", "widest"),
)
_WORDS = {
  "word": "left right above below nearer farther closer taller shorter wider"
  " narrower larger smaller",
  "place": "higher lower left right nearer farther",
  "side": "front right back left",
  "best": "tallest shortest widest narrowest largest smallest",
  "less": "smaller larger",
  "to": "to from",
  "nth": "first second",
  "are": "is are",
}
_PLACES = ("above", "below", "to the left of", "to the right of")
_PLACES = (*_PLACES, "nearer to us than", "farther from us than")


class _Typical(dict):
  """Slots with something typical in each."""

  def __init__(self, roll: dice.Dice):
    super().__init__()
    self.roll = roll

  def __missing__(self, slot: str) -> str:
    if slot in _WORDS:
      self[slot] = self.roll.pick(_WORDS[slot].split())
    elif slot in "pq":
      row, column = self.roll.below(MAP_SIZE), self.roll.below(MAP_SIZE)
      self[slot] = location(row, column)
    elif slot == "v":
      self[slot] = number(self.roll.between(0.05, 9.0))
    elif slot == "where":
      self[slot] = self.roll.pick(_PLACES)
    elif slot == "n":
      self[slot] = str(self.roll.below(9))
    else:
      self[slot] = "chairs" if slot.startswith("c") else "the red chair"
    return self[slot]
