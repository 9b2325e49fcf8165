"""RealWorldQA: options and instruction stand inside the question.

Answers mix letters, numbers and words. With options the letter rule reads the
answer; without, a number truth wants the only number said, and a word truth
must occur as whole words.

Source: the hub's parquet; lmms-eval.
"""

import re

from hispatial_jax.benchmarks import (
  answers,
  base,
  choices,
  files,
  intervals,
  lmms_eval,
  loading,
  means,
  parquet,
  published,
  quantities,
)

NAME = "realworldqa"
SPLITS = ()
PROMPTS = ("hispatial_style",)
RULES = ("robust", "lmms_eval")
CUTS = ("kind",)
CONSTANT_BY = "kind"
FILES = ("test-*.parquet",)
HUB = "lmms-lab/RealWorldQA or xai-org/RealworldQA"

_UNKNOWN = "prompt and parser not public (fits 451/765)"
PUBLISHED = (
  base.Published("accuracy", "HiSpatial-3B", 58.95, _UNKNOWN, published.PAPER),
  base.Published("accuracy", "PaliGemma2-3B", 47.76, _UNKNOWN, published.PAPER),
  base.Published(
    "accuracy", "Qwen3.6-35B-A3B", 85.3, "own prompt", "model card"
  ),
  base.Published("accuracy", "GPT-5.2", 83.3, "as that table has it", "EASI"),
)


def _options(question: str) -> tuple[tuple[str, str], ...]:
  """Option lines, wherever in the question they stand."""
  block, last = [], ()
  for line in question.splitlines():
    match = re.match(r"\s*\(?([A-J])[.):]\)?\s+(\S.*?)\s*$", line)
    if match and match[1] == choices.LETTERS[len(block)]:
      block.append((match[1], match[2]))
      last = tuple(block)
    elif line.strip():
      block = []
  return last if len(last) > 1 else ()


def _kind(truth: str, options) -> str:
  if truth.upper() in [letter for letter, _ in options]:
    return "mcq"
  return "open"


def _example(row: parquet.Row) -> base.Example:
  question, key = row.values["question"], str(row.number)
  truth, options = row.values["answer"].strip(), _options(question)
  kind = _kind(truth, options)
  return base.Example(
    key=key,
    group=key,
    prompts={"hispatial_style": question},
    truth=truth.upper() if kind == "mcq" else truth,
    image=row.image("image", key),
    question=question,
    options=options if kind == "mcq" else (),
    category={"kind": kind},
    error=row.errors["image"],
  )


def load(path, splits=None) -> list[base.Example]:
  """Examples of the split test; keys are row numbers."""
  loading.wanted(splits, SPLITS)
  source = files.at(path)
  names = source.need("test-*.parquet", "*.parquet", hint=HUB)
  rows = parquet.rows(source, names, ("question", "answer"))
  return loading.unique([_example(row) for row in rows], NAME)


def _number(text: str) -> float | None:
  found = re.fullmatch(r"[-+]?\d+(?:\.\d+)?", text.strip())
  return float(found[0]) if found else None


def _plain(value: float) -> str:
  return str(int(value)) if value == int(value) else f"{value:g}"


def parse(example: base.Example, text: str) -> base.Parse:
  """A letter; else the only number, or the words, as text."""
  if example.options:
    return choices.parse(example, text)
  if _number(example.truth) is not None:
    said = {value for value, _ in quantities.numbers(text)}
    if len(said) != 1 or not abs(min(said)) < float("inf"):
      return quantities.Parse(None, f"{len(said)} numbers, expected one")
    return quantities.Parse(_plain(said.pop()), "only number")
  if answers.names(text, [example.truth]):
    return quantities.Parse(example.truth.lower(), "whole words")
  return answers.words(text)


def hit(example: base.Example, value) -> int:
  """The same letter, number or words, case ignored."""
  if value is None:
    return 0
  if example.options:
    return choices.hit(example, value)
  wanted, said = _number(example.truth), _number(value)
  if wanted is not None:
    return int(wanted == said)
  return int(bool(answers.names(value, [example.truth])))


def candidates(examples) -> list[str]:
  """Every truth that occurs."""
  return sorted({example.truth for example in examples})


def score(example: base.Example, text: str) -> dict:
  """Verdicts."""
  found = parse(example, text)
  out = base.verdict(example, found, hit(example, found.value))
  other = lmms_eval.open_or_letter(text, example.truth)
  return {
    **out,
    "robust": out["correct"],
    "lmms_eval": 0 if example.error else other,
  }


def aggregate(examples, scores) -> dict:
  """Figures under every rule."""
  return {
    "reference": None,
    "lmms_eval": means.mean(means.judged(scores, "lmms_eval")),
    "robust": means.mean(means.judged(scores, "robust")),
  }


def headlines(examples, scores) -> list[base.Headline]:
  """Accuracy."""
  return intervals.each("accuracy", RULES, examples, scores)
