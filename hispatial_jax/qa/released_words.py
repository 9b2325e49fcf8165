"""A pair of a released item in words: options, labels, yes and no.

    worded = released_words.right(item, pair, "mcq", roll)

`right` puts right what the reference's training gets wrong, `faithful` does as
it does. Source: golden/hispatial_data/FORMAT.md, "Item -> (question, answer)".
"""

import re
from typing import NamedTuple

from hispatial_jax.qa import dice, released, say

# The answers of this type name the other one of two options.
_SWAPPED = "distance_farther"
_MOST_LABELS = {"A": 26, "a": 26, "1": 10, "I": 10, "i": 10}


class Worded(NamedTuple):
  """A pair in words; `format` is "text", "mcq" or "yes_no"."""

  question: str
  answer: str
  format: str
  subtype: str = ""


def right(item, pair, form: str, roll: dice.Dice) -> Worded:
  """A pair in words, put right."""
  question, answer = _one(pair.get("question"), roll), pair.get("answer")
  if not isinstance(question, str) or not question.strip():
    raise released.Unusable("empty_qa", f"question {question!r} is no text")
  options, subtype = pair.get("options"), released.subtype(pair)
  if _SWAPPED in (subtype, item.get("qa_type")):
    answer = _other_option(options, answer)
  if form == "mcq" and options:
    right = _right_option(options, answer)
    shown = [_one(option, roll) for option in options]
    question, answer = _with_options(question, shown, right, roll)
    return Worded(question, answer, "mcq", subtype)
  answer = _one(answer, roll)
  if isinstance(answer, bool):
    answer = "true" if answer else "false"
  elif isinstance(answer, int | float):
    answer = str(answer)
  if not isinstance(answer, str) or not answer.strip():
    raise released.Unusable("empty_qa", f"answer {answer!r} is no text")
  return _yes_no_wording(question, answer, form, subtype, roll)


def _other_option(options, answer):
  """The option that is not the answer, where there are two."""
  if isinstance(options, list) and len(options) == 2:
    right = _right_option(options, answer)
    return options[1 - right]
  raise released.Unusable(
    "swapped_answer", f"{_SWAPPED} without two options to swap: {options!r}"
  )


def _right_option(options, answer) -> int:
  """Number of the option that the answer means.

  The one that equals it, in any of its variants; else the longest that is said
  in it as whole words.

  Raises:
    released.Unusable: none, or several.
  """
  variants = [_texts(option) for option in options]
  answers = _texts(answer)
  found = {k for k, texts in enumerate(variants) if texts & answers}
  if not found:
    said = [
      (len(text), k)
      for k, texts in enumerate(variants)
      for text in texts
      if any(re.search(rf"\b{re.escape(text)}\b", a) for a in answers)
    ]
    longest = max(said, default=(0, 0))[0]
    found = {k for length, k in said if length == longest}
  if len(found) != 1:
    many = "several" if found else "none"
    raise released.Unusable(
      "mcq_no_match", f"{many} of the options {options!r} is {answer!r}"
    )
  return found.pop()


def _texts(value) -> set[str]:
  values = value if isinstance(value, list) else [value]
  return {str(v).strip().casefold() for v in values if v is not None} - {""}


def faithful(item, pair, form: str, roll: dice.Dice) -> Worded:
  """A pair in words as the reference's training has it, errors included."""
  try:
    question, answer = _one(pair["question"], roll), pair["answer"]
    if item.get("qa_type") == _SWAPPED:
      others = [o for o in pair.get("options", []) if o != answer]
      answer = others[0] if others else answer
    if form == "mcq" and pair.get("options") is not None:
      shown = list(pair["options"])
      if isinstance(shown[0], list):
        shown = [roll.pick(option) for option in shown]
      # A part of the answer's text is enough; nothing may match at all.
      answer = next((option for option in shown if option in answer), answer)
      equal = [k for k, option in enumerate(shown) if option == answer]
      question, answer = _with_options(
        question, shown, equal[-1] if equal else None, roll, strict=True
      )
    answer = _one(answer, roll)
    return _yes_no_wording(question, answer, form, released.subtype(pair), roll)
  except (TypeError, AttributeError, KeyError, IndexError) as error:
    raise released.Unusable(
      "raises", f"the reference raises {error!r}"
    ) from None


def _one(value, roll: dice.Dice):
  """One of the phrasings, where there are several."""
  if isinstance(value, list):
    return roll.pick(value) if value else None
  return value


def _with_options(
  question: str, shown, right: int | None, roll, strict: bool = False
) -> tuple[str, str]:
  """The question with its options in random order, and the label of one."""
  kinds = list(_MOST_LABELS)
  if not strict:
    kinds = [kind for kind in kinds if _MOST_LABELS[kind] >= len(shown)]
  if not kinds:
    raise released.Unusable("mcq_too_many", f"{len(shown)} options")
  style = roll.pick(kinds), roll.chance(0.5)
  if len(shown) > _MOST_LABELS[style[0]]:
    raise IndexError(f"no label for {len(shown)} options")
  order = roll.shuffled(range(len(shown)))
  question += say.choices([shown[k] for k in order], style)
  return question, "" if right is None else say.label(order.index(right), style)


def _yes_no_wording(question, answer, form, subtype, roll) -> Worded:
  question = question.replace("True or False", "Yes or No")
  if answer.lower() in ("true", "false"):
    if "Yes or No" not in question and roll.chance(0.5):
      question += " Answer with Yes or No."
    answer = "Yes" if answer.lower() == "true" else "No"
  if form == "mcq":
    return Worded(question, answer, "mcq", subtype)
  yes_no = form == "true_false" or answer in ("Yes", "No")
  return Worded(question, answer, "yes_no" if yes_no else "text", subtype)
