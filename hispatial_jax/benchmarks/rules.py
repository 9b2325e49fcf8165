"""Rules that decide whether an answer is right.

The rules, one for each kind of truth:

  point   Euclidean error at most 10 % of the true depth z
  length  within ±25 % of the truth, ends included
  number  as length, for a bare number that is no whole number
  vector  at most 15 degrees off
  choice  the same option; yes_no: the same polarity; count: the same number
  text    the same words, case, articles and punctuation aside
"""

import dataclasses
import math
import re

from hispatial_jax.benchmarks import answers, quantities

NUMBER_TOLERANCE = 0.25
POINT_TOLERANCE = 0.10
VECTOR_TOLERANCE_DEG = 15.0
SLACK = 1e-9  # A value exactly on a bound counts as inside.


@dataclasses.dataclass(frozen=True)
class Verdict:
  """Whether an answer is right, by which rule, and how it was read.

  Attributes:
    correct: right under the rule of `kind`.
    parsed: False when the answer has no single reading (never correct).
    kind: one of the kinds in this module's first lines.
    why: the parser's account.
  """

  correct: bool
  parsed: bool
  kind: str
  why: str


def field(qa, name: str):
  """`name` of a QA, which may be a dataclass or a dict."""
  return qa[name] if isinstance(qa, dict) else getattr(qa, name)


def kind(qa) -> str:
  """Kind of truth of a question, told from its format and its answer."""
  form, truth = field(qa, "format"), field(qa, "answer")
  if form == "mcq":
    return "choice"
  if form == "yes_no" or re.fullmatch(r"(?i)\s*(yes|no)[.!]?\s*", truth):
    return "yes_no"
  found = quantities.numbers(truth)
  units = [unit for _, unit in found]
  if len(found) == 3 and all(units):
    return "point"
  if len(found) == 3 and not any(units):
    return "vector"
  if any(units) and quantities.length(truth).parsed:
    return "length"
  if len(found) == 1:
    if "count" in field(qa, "task") or re.fullmatch(r"\s*\d+\.?\s*", truth):
      return "count"
    if re.fullmatch(r"\s*\d*\.\d+\s*\.?", truth):
      return "number"
  return "text"


def parse(text: str, kind_: str, qa) -> quantities.Parse:
  """Reads an answer, or a truth, as the given kind."""
  if kind_ == "choice":
    return answers.choice(text, options(qa))
  readers = {
    "yes_no": answers.yes_no,
    "point": quantities.point,
    "vector": quantities.vector,
    "length": quantities.length,
    "number": quantities.length,
    "count": quantities.count,
    "text": answers.words,
  }
  return readers[kind_](text)


def options(qa) -> list[tuple[str, str]]:
  """(label, text) of a multiple-choice question's option lines."""
  found = answers.options(field(qa, "question"))
  if not found:
    raise ValueError(
      "a multiple-choice question needs option lines, (A). text or A. text, "
      f"at its end; got {field(qa, 'question')!r}"
    )
  return found


def hit(value, truth, kind_: str) -> bool:
  """Whether a parsed value is right, by the rule of its kind."""
  if kind_ == "point":
    return math.dist(value, truth) <= POINT_TOLERANCE * truth[2] + SLACK
  if kind_ in ("length", "number"):
    return abs(value - truth) <= NUMBER_TOLERANCE * truth + SLACK
  if kind_ == "vector":
    cosine = sum(a * b for a, b in zip(value, truth, strict=True))
    return cosine >= math.cos(math.radians(VECTOR_TOLERANCE_DEG)) - SLACK
  return value == truth


def judge(answer: str, truth: str, qa) -> Verdict:
  """Verdict on `answer` to `qa` whose right answer is `truth`.

  Raises:
    ValueError: the truth itself cannot be read: the data is wrong.
  """
  kind_ = kind(qa)
  wanted = parse(truth, kind_, qa)
  if not wanted.parsed:
    raise ValueError(
      f"truth {truth!r} of task {field(qa, 'task')!r} cannot be read as "
      f"{kind_}: {wanted.why}; question {field(qa, 'question')!r}"
    )
  got = parse(answer, kind_, qa)
  correct = got.parsed and hit(got.value, wanted.value, kind_)
  return Verdict(correct, got.parsed, kind_, got.why)
