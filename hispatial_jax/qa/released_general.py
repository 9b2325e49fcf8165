"""Turns of general visual question answering, with boxes as location tokens.

    question, answer = released_general.turn(human, gpt, (width, height))

Source: golden/hispatial_data/FORMAT.md, "Text", general.
"""

import re

from hispatial_jax.qa import say

_NUMBER = r"\s*([+-]?\d+(?:\.\d+)?)\s*"
_BOX = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]")


def turn(
  human: str, gpt: str, size: tuple[int, int], *, faithful: bool = False
) -> tuple[str, str]:
  """(question, answer) of a turn, each on one line, boxes as tokens.

  Args:
    human, gpt: as released.
    size: (width, height) of the image.
    faithful: take numbers beyond 1 for boxes.
  """
  question, answer = (
    boxes_to_tokens(text.replace("\n", " "), size, faithful=faithful)
    for text in (human, gpt)
  )
  return question, answer


def boxes_to_tokens(
  text: str, size: tuple[int, int], *, faithful: bool = False
) -> str:
  """Replaces [x1, y1, x2, y2], fractions of the image, by location tokens.

  Args:
    text: with exactly four plain decimals in a bracket, where it has a box.
    size: (width, height) of the image.
    faithful: clamp numbers beyond 0..1 to the border, whose token 1024
      PaliGemma does not have; else such a bracket is no box and stays.
  """
  width, height = size

  def tokens(match):
    shares = [float(number) for number in match.groups()]
    if not faithful and not all(0 <= share <= 1 for share in shares):
      return match.group()
    sides = (width, height, width, height)
    box = [max(0, min(s * n, n)) for s, n in zip(shares, sides, strict=True)]
    return say.box_tokens(box, size, most=1024 if faithful else 1023)

  return _BOX.sub(tokens, text)
