"""Means that say None where there is nothing to average."""

from collections.abc import Iterable


def mean(values: Iterable) -> float | None:
  """Mean; None of nothing, and None as soon as one part is None."""
  values = list(values)
  if not values or any(value is None for value in values):
    return None
  return sum(values) / len(values)


def judged(scores: Iterable[dict], rule: str) -> list:
  """A rule's verdicts, of the items that it judges."""
  return [s[rule] for s in scores if s.get(rule) is not None]


def counted(scores: Iterable[dict], rule: str) -> dict:
  """A rule's figure as HiSpatial's scripts write it."""
  hits = judged(scores, rule)
  return {
    "total_questions": len(hits),
    "correct_answers": sum(hits),
    "accuracy": mean(hits),
  }


def split(examples, scores, name: str) -> dict[str, list[dict]]:
  """Scores by an entry of their example's category, in order of appearance."""
  parts = {}
  for example, score in zip(examples, scores, strict=True):
    parts.setdefault(example.category.get(name), []).append(score)
  return parts


def by(examples, scores, name: str, rule: str) -> dict[str, float | None]:
  """A rule's mean for each value of a category entry."""
  parts = split(examples, scores, name)
  return {
    value: mean(judged(part, rule))
    for value, part in sorted(parts.items(), key=lambda item: str(item[0]))
  }
