"""The figures of SpatialRGPT's judge script, in percent as it prints them.

It asks a language model to read truth and answer; here our own readings take
the judge's place, so that its arithmetic can be set beside ours: failed
readings stay in the success denominator and leave the error mean.

Source: AnjieCheng/SpatialRGPT@16715d4,
scripts/srgpt/eval/evaluate_spatial_with_gpt4.py.
"""

from hispatial_jax.benchmarks import means

# The first pair that a category's name holds a word of decides.
_PAIRS = (
  ("tall/short", ("short", "tall")),
  ("left/right", ("left", "right")),
  ("below/above", ("below", "above")),
  ("behind/front", ("behind", "front")),
  ("big/small", ("big", "small")),
  ("wide/thin", ("wide", "thin")),
)


def _pair(category: str) -> str:
  for name, words in _PAIRS:
    if any(word in category for word in words):
      return name
  return category


def _percent(values) -> float | None:
  share = means.mean(values)
  return None if share is None else 100 * share


def _running(values: list[float]) -> float:
  """The script's running average; 0 where it never got a value."""
  mean = 0
  for count, value in enumerate(values):
    mean = (value + count * mean) / (count + 1)
  return round(mean, 3)


def _name(category: str) -> str:
  if category == "distance_data":
    return "direct_distance"
  return category.removesuffix("_data")


def _qualitative(rows) -> dict:
  parts = {}
  for category, score in rows:
    parts.setdefault(_pair(category), []).append(score["success"])
  out = {f"Qual_{name}_acc": _percent(hits) for name, hits in parts.items()}
  every = [hit for hits in parts.values() for hit in hits]
  return {**out, "Qual_overall_acc": _percent(every)}


def figures(examples, scores, lengths) -> dict:
  """Its result dictionary; None for a mean of nothing where it has NaN."""
  rows = [
    (e.category["type"], e.category["category"], score)
    for e, score in zip(examples, scores, strict=True)
  ]
  out = _qualitative([(c, s) for kind, c, s in rows if kind != "quantitative"])
  known, parts = (*lengths, "direction"), {}
  for kind, category, score in rows:
    if kind == "quantitative" and category in known:
      parts.setdefault(category, []).append(score)
  every = [score for part in parts.values() for score in part]
  for category, part in parts.items():
    error = "clock_error" if category == "direction" else "rel_error_with_eps"
    name = _name(category)
    out[f"Quan_{name}_acc"] = _percent(s["success"] for s in part)
    out[f"Quan_{name}_err"] = _percent(means.judged(part, error))
    if category in lengths:
      out[f"Quan_{category}_absrel"] = _running(means.judged(part, "abs_rel"))
  out["Quan_overall_acc"] = _percent(s["success"] for s in every)
  out["Match_fail_count"] = sum(not s["parsed"] for s in every)
  return out
