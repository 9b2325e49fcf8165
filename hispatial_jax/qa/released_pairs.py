"""An item of the wild data, in words.

    pairs = released_pairs.by_format(item)          # what may be asked
    drawn = released_pairs.draw(item, roll)         # (question, answer, ...)

An item holds pairs of several formats, or one question with its answer.
Source: golden/hispatial_data/FORMAT.md, "QA selection, wild".
"""

from typing import Any

from hispatial_jax.qa import dice, released, released_words

FORMATS = {"text": 0.3, "mcq": 0.4, "true_false": 0.3}
# Known by the authors to be wrong.
_REMOVED = {
  "x_distance_w_lf",
  "y_distance_w_lf",
  "z_distance_w_lf",
  "distance_description",
}
# Axis -> types that count as its directions, words that an overlap removes.
_AXES = {
  "x": (("x_left_tf", "x_right_tf"), ("left_tf", "right_tf")),
  "y": (("y_above_tf", "y_below_tf"), ("above_tf", "below_tf")),
  "z": (("z_front_tf", "z_behind_tf"), ("front", "behind")),
}


def draw(
  item: dict[str, Any], roll: dice.Dice, *, faithful: bool = False
) -> released_words.Worded:
  """Draws one question of an item: its format by weight, then a pair.

  Args:
    item: as released; never changed.
    roll: makes every choice.
    faithful: repeat the reference's errors.

  Raises:
    released.Unusable: it gives none; "raises" where the reference would raise
      and lose the whole sample.
  """
  word = released_words.faithful if faithful else released_words.right
  if "qa_pairs" not in item:
    return word(item, _flat(item), "text", roll)
  found = by_format(item, strict=faithful)
  while found:
    form = roll.weighted(list(found), [FORMATS[f] for f in found])
    pairs = found.pop(form)
    # Another pair of the same format first, so that formats keep their share.
    for pair in roll.shuffled(pairs):
      try:
        return word(item, pair, form, roll)
      except released.Unusable:
        if faithful:
          raise
  raise released.Unusable("no_pair", "no pair of the item can be asked")


def by_format(
  item: dict[str, Any], strict: bool = False
) -> dict[str, list[dict[str, Any]]]:
  """Format -> pairs that may be asked; without the formats that have none.

  Args:
    item: with "qa_pairs".
    strict: an answer that is no text is an error, as in the reference.
  """
  out: dict[str, list[dict[str, Any]]] = {name: [] for name in FORMATS}
  for pair in item["qa_pairs"] or ():
    if pair.get("qa_type", "") in _REMOVED:
      continue
    form = pair.get("format")
    if form is None:
      form = (pair.get("type") or "").replace("open_ended", "text")
    if "text" in form:
      out["text"].append(pair)
    elif form == "mcq" and "relation_3choice" in released.subtype(pair):
      continue
    elif form in out:
      out[form].append(pair)
  out["true_false"] = _balanced(out["true_false"], strict)
  return {name: pairs for name, pairs in out.items() if pairs}


def _balanced(pairs, strict: bool) -> list[dict[str, Any]]:
  """Without overlaps, what they contradict, and directions out of balance."""
  answers = [_yes_or_no(pair, strict) for pair in pairs]
  for axis, (_, words) in _AXES.items():
    overlaps = [
      answer is True
      for pair, answer in zip(pairs, answers, strict=True)
      if f"{axis}_overlap_tf" in released.subtype(pair)
    ]
    if any(overlaps):
      keep = [
        not any(w in released.subtype(pair) for w in words) for pair in pairs
      ]
      pairs, answers = _kept(pairs, keep), _kept(answers, keep)
  keep = ["overlap" not in released.subtype(pair) for pair in pairs]
  pairs, answers = _kept(pairs, keep), _kept(answers, keep)
  for types, _ in _AXES.values():
    inside = [released.subtype(pair) in types for pair in pairs]
    negative = [answer is False for answer in _kept(answers, inside)]
    if 2 * sum(negative) != len(negative):
      keep = [not one for one in inside]
      pairs, answers = _kept(pairs, keep), _kept(answers, keep)
  return pairs


def _kept(items, keep):
  return [item for item, yes in zip(items, keep, strict=True) if yes]


def _yes_or_no(pair, strict: bool) -> bool | None:
  answer = pair.get("answer", "")
  if isinstance(answer, bool) and not strict:
    return answer
  if not isinstance(answer, str):
    if strict:
      raise released.Unusable("raises", f"answer {answer!r} is no text")
    return None
  return {"yes": True, "true": True, "no": False, "false": False}.get(
    answer.lower()
  )


def _flat(item) -> dict[str, Any]:
  for question, answer in (("question", "answer"), ("prefix", "suffix")):
    if question in item and answer in item:
      return {
        "question": item[question],
        "answer": item[answer],
        "options": item.get("options"),
      }
  raise released.Unusable(
    "no_question", f"no question and answer among {', '.join(item) or 'no key'}"
  )
