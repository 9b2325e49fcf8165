"""The benchmark of this project's own records, cut by level and task.

Beside every figure stands what one constant answer per (task, format) would
have reached: the answer with the most hits, under the same rules, on the
training questions. `rules` decides what is right, `tables` shows it.
"""

import collections
import dataclasses
import math
import re

import numpy as np

from hispatial_jax.benchmarks import rules, tables

_MANY = 2000  # Candidates tried for the best constant point or vector.


def score(answer: str, truth: str, qa) -> bool:
  """Whether `answer` is right; see `rules.judge` for the account."""
  return rules.judge(answer, truth, qa).correct


def table(rows: list[dict]) -> dict:
  """Figures by task, level and over all; see `tables.table`."""
  return tables.table(rows)


def judge_constant(answer: str, qa) -> rules.Verdict:
  """`rules.judge` for a constant answer; "(B)" is the second option's place,
  however this question labels it."""
  place = re.fullmatch(r"\(([A-Z])\)", answer)
  if rules.field(qa, "format") == "mcq" and place:
    options, index = rules.options(qa), ord(place[1]) - ord("A")
    if index >= len(options):
      return rules.Verdict(False, True, "choice", "no such option here")
    answer = f"({options[index][0]})"
  return rules.judge(answer, rules.field(qa, "answer"), qa)


def _most_common(values: list) -> tuple:
  """(value, count); ties go to the smallest, so that runs agree."""
  counts = collections.Counter(values)
  return min(counts.items(), key=lambda item: (-item[1], str(item[0])))


def _best_length(truths: list[float]) -> tuple[str, int]:
  """The length inside the most ±25 % windows, by sweeping their ends."""
  low = sorted((1 - rules.NUMBER_TOLERANCE) * t for t in truths)
  high = sorted((1 + rules.NUMBER_TOLERANCE) * t for t in truths)
  # The best value can always be moved up to the end of some window.
  inside = np.searchsorted(low, np.array(high) + rules.SLACK, side="right")
  inside = inside - np.arange(len(high))
  first = int(np.argmax(inside))
  return f"{high[first]:.6f} m", int(inside[first])


def _best_point(truths: list, kind_: str) -> tuple[str, int]:
  """The point or vector near the most truths, among truths and local means."""
  points = np.array(truths, np.float64)
  step = max(1, len(points) // _MANY)
  best, most = points[0], 0
  for candidate in points[::step]:
    for _ in range(3):  # the mean of what it hits often hits more
      if kind_ == "point":
        gap = np.linalg.norm(points - candidate, axis=1)
        hits = gap <= rules.POINT_TOLERANCE * points[:, 2]
      else:
        limit = math.cos(math.radians(rules.VECTOR_TOLERANCE_DEG))
        hits = points @ (candidate / np.linalg.norm(candidate)) >= limit
      if hits.sum() > most:
        best, most = candidate, int(hits.sum())
      if not hits.any():
        break
      candidate = points[hits].mean(0)
  unit = "m" if kind_ == "point" else ""
  return " ".join(f"{v:.4f}{unit}" for v in best), most


def _best_choice(qas: list) -> tuple[str, int]:
  """A place, "(B)", or the text of an option, whichever is right most."""
  said = []
  for qa in qas:
    options = rules.options(qa)
    index = rules.parse(rules.field(qa, "answer"), "choice", qa).value
    if index is not None:
      said += [f"({chr(ord('A') + index)})", options[index][1].lower()]
  return _most_common(said)


def _best(kind_: str, qas: list) -> tuple[str, int]:
  if kind_ == "choice":
    return _best_choice(qas)
  truths = [
    rules.parse(rules.field(qa, "answer"), kind_, qa).value for qa in qas
  ]
  truths = [truth for truth in truths if truth is not None]
  if kind_ in ("length", "number"):
    return _best_length(truths)
  if kind_ in ("point", "vector"):
    return _best_point(truths, kind_)
  value, hits = _most_common(truths)
  if kind_ == "yes_no":
    value = "Yes" if value else "No"
  return str(value), hits


def constant_answers(train_qas) -> dict[tuple[str, str], str]:
  """The best constant answer of each (task, format) of the training set.

  Args:
    train_qas: training questions (QA dataclasses or dicts).

  Returns:
    {(task, format): answer}; for choices "(B)" stands for the second option
    whatever its label.
  """
  groups = collections.defaultdict(lambda: collections.defaultdict(list))
  for qa in train_qas:
    group = groups[rules.field(qa, "task"), rules.field(qa, "format")]
    group[rules.kind(qa)].append(qa)
  constants = {}
  for key, kinds in sorted(groups.items()):
    best = [_best(kind_, qas) for kind_, qas in sorted(kinds.items())]
    constants[key] = max(best, key=lambda pair: pair[1])[0]
  return constants


def row(qa, answer: str, constants: dict, **more) -> dict:
  """One line of predictions.jsonl, with the verdict on model and constant.

  Args:
    qa: the question, as a QA dataclass or dict.
    answer: the model's own words.
    constants: of `constant_answers`; a (task, format) that is missing there
      gets `constant: None` and stays out of the paired difference.
    **more: further keys to keep, such as id and logp.
  """
  verdict = rules.judge(answer, rules.field(qa, "answer"), qa)
  constant = constants.get((rules.field(qa, "task"), rules.field(qa, "format")))
  return {
    **more,
    **{k: rules.field(qa, k) for k in ("task", "level", "format", "question")},
    "truth": rules.field(qa, "answer"),
    "answer": answer,
    **dataclasses.asdict(verdict),
    "constant": constant,
    "constant_correct": (
      None if constant is None else judge_constant(constant, qa).correct
    ),
  }
