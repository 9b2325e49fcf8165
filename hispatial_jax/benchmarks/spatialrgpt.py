"""SpatialRGPT-Bench: sizes, distances, directions of marked objects.

Columns are strings of Python literals. Each `<mask>` becomes the object's
class and the colour of its box; boxes are drawn on the picture after its point
map was computed. A prompt that begins with `<image>` and a newline keeps them,
see `base.sent`. Truths come from axis-aligned boxes.

Source: a8cheng/SpatialRGPT-Bench; AnjieCheng/SpatialRGPT@16715d4,
scripts/srgpt/eval; microsoft/HiSpatial@9b0a571, eval/eval_spatialrgpt.py.
"""

import ast

from hispatial_jax.benchmarks import (
  base,
  boxes,
  constants,
  directions,
  files,
  intervals,
  loading,
  means,
  parquet,
  quantities,
  spatialrgpt_judge,
  spatialrgpt_published,
  spatialrgpt_words,
)

NAME = "spatialrgpt"
SPLITS = ()
PROMPTS = ("hispatial",)
RULES = ("success",)
CUTS = ("type", "category", "range")
CONSTANT_BY = "category"
FILES = ("val-*.parquet",)
HUB = "a8cheng/SpatialRGPT-Bench"
PUBLISHED = spatialrgpt_published.FIGURES
LENGTHS = spatialrgpt_words.LENGTHS
_COLUMNS = ("id", "image_info", "qa_info", "conversations", "bbox")
_SLACK = 1e-9


def _literal(values: dict, column: str, key: str):
  try:
    return ast.literal_eval(values[column])
  except (ValueError, SyntaxError, TypeError, MemoryError) as error:
    raise base.DataError(
      f"{key}: column {column} is no Python literal: {values[column]!r:.80}"
    ) from error


def _refer(question: str, classes: list[str]) -> str:
  for i, name in enumerate(classes):
    colour = boxes.COLOURS[min(i, 3)]
    thing = f"the {name} (highlighted by a {colour} box)"
    question = question.replace("<mask>", thing, 1)
  return question


def _example(row: parquet.Row) -> base.Example:
  values, key = row.values, str(row.values["id"])
  info = _literal(values, "qa_info", key)
  said = [turn["value"] for turn in _literal(values, "conversations", key)]
  classes, category = list(info["class"]), info["category"]
  prompt = _refer(said[0], classes)
  truth = spatialrgpt_words.truth(said[1], category, classes)
  unread = "" if truth.parsed else f"truth {said[1]!r} not read: {truth.why}"
  image_info = _literal(values, "image_info", key)
  return base.Example(
    key=key,
    group=str(image_info.get("file_path", key)),
    prompts={"hispatial": prompt},
    truth=truth.value,
    image=row.image("image", key),
    question=prompt.replace(base.IMAGE, "").strip(),
    category={
      "type": info["type"],
      "category": category,
      "range": loading.length_range(truth.value),
    },
    boxes=boxes.of(_literal(values, "bbox", key)),
    error=row.errors["image"] or unread,
    data={"classes": tuple(classes), "sentence": said[1]},
  )


def load(path, splits=None) -> list[base.Example]:
  """Examples of the split val; keys are `id`."""
  loading.wanted(splits, SPLITS)
  source = files.at(path)
  names = source.need("val-*.parquet", "*.parquet", hint=HUB)
  rows = parquet.rows(source, names, _COLUMNS)
  try:
    return loading.unique([_example(row) for row in rows], NAME)
  except (KeyError, IndexError, TypeError, AttributeError) as error:
    raise base.DataError(
      f"{NAME}: not the literals expected in {', '.join(_COLUMNS)}: {error!r}"
    ) from error


def parse(example: base.Example, text: str) -> base.Parse:
  """Metres, an hour, the index of a thing, or yes or no."""
  category = example.category["category"]
  found = spatialrgpt_words.read(text, category, list(example.data["classes"]))
  if not found.parsed and spatialrgpt_words.kind(category) == "yes_no":
    stated = spatialrgpt_words.stated(text, category)
    return stated if stated.parsed else found
  return found


def hit(example: base.Example, value) -> int:
  """±25 %, ends included; at most an hour off; the same thing or word."""
  kind, truth = (
    spatialrgpt_words.kind(example.category["category"]),
    example.truth,
  )
  if value is None or truth is None:
    return 0
  if kind == "length":
    return int(abs(value - truth) <= (0.25 + _SLACK) * truth)
  if kind == "clock":
    return int(directions.between(value, truth) <= 1)
  return int(value == truth)


def candidates(examples) -> list:
  """Lengths around the truths, hours, things and words that occur."""
  found = constants.lengths(examples)
  others = {e.truth for e in examples if not isinstance(e.truth, float)}
  return found + sorted(others - {None}, key=str)


def score(example: base.Example, text: str) -> dict:
  """Our verdict with its errors; HiSpatial published no scorer.

  `needs_judge` marks words that only a reader of language can place.
  """
  found, truth = parse(example, text), example.truth
  kind = spatialrgpt_words.kind(example.category["category"])
  out = base.verdict(example, found, hit(example, found.value))
  out["success"] = out["correct"]
  value = None if example.error else found.value
  if kind == "length":
    off = None if value is None else abs(value - truth)
    out["abs_rel"] = None if off is None else off / truth
    out["rel_error_with_eps"] = None if off is None else off / (truth + 1e-4)
  elif kind == "clock":
    out["clock_error"] = (
      None if value is None else directions.between(value, truth)
    )
  else:
    plain = spatialrgpt_words.read(
      text, example.category["category"], list(example.data["classes"])
    )
    low = quantities.strip(text).lower()
    out["needs_judge"] = bool(
      not plain.parsed and low and not spatialrgpt_words.refuses(low)
    )
  return out


def _rows(examples, scores, keep) -> list[dict]:
  return [score for e, score in zip(examples, scores, strict=True) if keep(e)]


def _by_category(examples, scores) -> dict:
  out = {}
  for name in LENGTHS:
    rows = _rows(
      examples, scores, lambda e, n=name: e.category["category"] == n
    )
    if rows:
      out[name] = {
        "n": len(rows),
        "success": means.mean(means.judged(rows, "success")),
        "abs_rel": means.mean(means.judged(rows, "abs_rel")),
      }
  return out


def _length(example) -> bool:
  return example.category["category"] in LENGTHS


def _quantitative(example) -> bool:
  return example.category["type"] == "quantitative"


def _share(examples, scores, keep) -> float | None:
  return means.mean(means.judged(_rows(examples, scores, keep), "success"))


def aggregate(examples, scores) -> dict:
  """Figures under our rule, and what the official judge script would print had
  its judge read as we do."""
  parts = _by_category(examples, scores)
  unparsed = [
    e.key
    for e, score in zip(examples, scores, strict=True)
    if score["declared"] is None
  ]
  return {
    "reference": None,
    "official_judge_script_with_oracle_labels": spatialrgpt_judge.figures(
      examples, scores, LENGTHS
    ),
    "robust": {
      "by_category": parts,
      "length_micro": _share(examples, scores, _length),
      "length_macro": means.mean(part["success"] for part in parts.values()),
      "direction": _share(
        examples, scores, lambda e: e.category["category"] == "direction"
      ),
      "quantitative_micro_with_direction": _share(
        examples, scores, _quantitative
      ),
      "qualitative": _share(examples, scores, lambda e: not _quantitative(e)),
      "unparsed": unparsed,
    },
  }


def headlines(examples, scores) -> list[base.Headline]:
  """Micro and macro means by name: papers mix them."""

  def line(name, keep, by=""):
    return intervals.headline(name, "success", examples, scores, keep, by)

  out = [
    line("lengths, micro", _length),
    line("lengths, macro", _length, "category"),
    line("quantitative with direction, micro", _quantitative),
    line("quantitative with direction, macro", _quantitative, "category"),
    line("direction", lambda e: e.category["category"] == "direction"),
    line("qualitative", lambda e: not _quantitative(e)),
  ]
  return [headline for headline in out if headline]
