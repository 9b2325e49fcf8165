"""What is counted of the questions and annotations of records.

A record's own are a few short rows (`of_record`); a shard adds them up
(`of_shard`) into a part of its tally. What has no end, answers and names, is
cut to the most common ones of each shard, so that a tally stays small.
"""

import collections
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from hispatial_jax.data import records

# Words of a question or an answer; the last bin holds what is longer.
WORD_EDGES = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512)
OTHERS = "(others)"
_MOST_TASKS, _MOST_ANSWERS, _MOST_NAMES = 100, 32, 32
_LONGEST = 60
_YES_NO = {"yes": "Yes", "true": "Yes", "no": "No", "false": "No"}
# Labels of options: A, (b), 2., iv) and such.
_LABEL = re.compile(r"\(?([A-Ha-h]|[IVX]+|[ivx]+|\d+)[).:]*")
_MOST_PLACES = 12
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")


class Pair(NamedTuple):
  """A question as it may be asked; `options` of a choice, where they are told.

  `form` is "text", "mcq" or "yes_no", or what the data call it.
  """

  question: str
  answer: str
  form: str
  options: tuple[str, ...] = ()


class Asked(NamedTuple):
  """Of one record: its source, its stored questions, its annotated objects.

  `rows` are (level, task, pairs).
  """

  source: str
  rows: list[tuple[str, str, list[Pair]]]
  objects: list[str]


def pairs(row: dict[str, Any]) -> list[Pair]:
  """The questions of a stored row; a released item may hold several, or none.

  Of variants of a text the first is taken.
  """
  if row["format"] != records.RELEASED:
    return [Pair(*(str(row[k]) for k in ("question", "answer", "format")))]
  item = row.get("meta")
  inside = item.get("qa_pairs") if isinstance(item, dict) else None
  found = inside if isinstance(inside, list) else [item]
  return [pair for one in found if (pair := _pair(one))]


def of_record(record: dict[str, Any]) -> Asked:
  """What is counted of a record that was encoded."""
  notes = record.get("objects")
  objects = notes.get("objects") if isinstance(notes, dict) else None
  names = [
    str(one.get("cat") or one.get("name") or "?")
    for one in (objects if isinstance(objects, list) else ())
    if isinstance(one, dict)
  ]
  rows = [
    (str(int(row["level"])), str(row["task"]), pairs(row))
    for row in record.get("qa") or ()
  ]
  return Asked(str(record.get("source") or ""), rows, names)


def of_shard(asked: list[Asked]) -> dict[str, Any]:
  """The part of a tally that counts questions, objects and sources."""
  levels = collections.defaultdict(collections.Counter)
  answers = collections.defaultdict(collections.Counter)
  forms, balance = collections.Counter(), collections.Counter()
  places, lengths = collections.Counter(), ([], [])
  for level, task, found in (row for one in asked for row in one.rows):
    levels[level][task] += 1
    for pair in found:
      forms[pair.form] += 1
      lengths[0].append(len(pair.question.split()))
      lengths[1].append(len(pair.answer.split()))
      answers[task][pair.answer.strip()[:_LONGEST]] += 1
      balance[_yes_or_no(pair)] += 1
      places[_place(pair)] += 1
  tasks = {k: _top(levels[k], _MOST_TASKS) for k in sorted(levels)}
  kept = {task for part in tasks.values() for task in part}
  objects = collections.Counter(name for one in asked for name in one.objects)
  return {
    "questions": {
      "records": sum(bool(one.rows) for one in asked),
      "stored": sum(len(one.rows) for one in asked),
      "asked": len(lengths[0]),
      "tasks": tasks,
      "formats": _top(forms, _MOST_NAMES),
      "answers": {
        task: _top(answers[task], _MOST_ANSWERS, others=False)
        for task in sorted(kept & answers.keys())
      },
      "yes_no": _named(balance),
      "places": _named(places),
      "question_words": _bins(lengths[0]),
      "answer_words": _bins(lengths[1]),
    },
    "objects": {
      "records": sum(bool(one.objects) for one in asked),
      "names": _top(objects, _MOST_NAMES),
    },
    "sources": _top(collections.Counter(x.source for x in asked), _MOST_NAMES),
  }


def _pair(item) -> Pair | None:
  """A question of a released item, whichever of its forms it has."""
  if not isinstance(item, dict):
    return None
  for keys in (("question", "answer"), ("prefix", "suffix")):
    if all(item.get(key) is not None for key in keys):
      break
  else:
    return None
  form = str(item.get("format") or "text")
  options = item.get("options")
  return Pair(
    _first(item[keys[0]]),
    _first(item[keys[1]]),
    {"true_false": "yes_no"}.get(form, form),
    tuple(map(_first, options)) if isinstance(options, list) else (),
  )


def _first(value) -> str:
  """A text, or the first of its variants."""
  while isinstance(value, list):
    value = value[0] if value else ""
  return str(value).replace("<image>", "").strip()


def _yes_or_no(pair: Pair) -> str:
  words = pair.answer.lower().replace(",", " ").replace(".", " ").split()
  whole = len(words) == 1 or pair.form == "yes_no"
  return _YES_NO.get(words[0], "") if words and whole else ""


def _place(pair: Pair) -> str:
  """The place of the right option, where the answer is its label."""
  found = _LABEL.fullmatch(pair.answer.strip())
  if not found or pair.form not in ("mcq", records.TURN):
    return ""
  label = found[1].lower()
  if label in _ROMAN:
    return str(1 + _ROMAN.index(label))
  place = int(label) if label.isdigit() else 1 + "abcdefgh".find(label)
  return str(place) if 1 <= place <= _MOST_PLACES else ""


def _top(
  counts: collections.Counter, most: int, others: bool = True
) -> dict[str, int]:
  """The most common, in an order that does not depend on when they came."""
  order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
  found = dict(order[:most])
  rest = sum(count for _, count in order[most:])
  return found | ({OTHERS: rest} if others and rest else {})


def _named(counts: collections.Counter) -> dict[str, int]:
  return {name: counts[name] for name in sorted(counts) if name}


def _bins(lengths: Iterable[int]) -> list[int]:
  values = np.minimum(list(lengths), WORD_EDGES[-1])
  return np.histogram(values, WORD_EDGES)[0].tolist()
