"""RoboSpatial-Home: configuration and compatibility (yes/no), context (points).

HiSpatial scores configuration alone. A context answer of `<loc>` tokens is no
point here: convert it before scoring and say so. Totals in papers are micro
over all, macro over splits, or the two yes/no splits: three quantities.

Source: chanhee-luke/RoboSpatial-Home; chanhee-luke/RoboSpatial-Eval@19f04a5,
evaluation.py; microsoft/HiSpatial@9b0a571, eval/eval_robospatial.py.
"""

import ast
import dataclasses
import re
import warnings

from hispatial_jax.benchmarks import (
  answers,
  base,
  depths,
  directions,
  files,
  intervals,
  lmms_eval,
  loading,
  means,
  parquet,
  published,
)

NAME = "robospatial"
SPLITS = ("context", "compatibility", "configuration")
PROMPTS = ("hispatial",)
RULES = ("robust", "official_robospatial", "lmms_eval", "reference")
CUTS = ("split",)
CONSTANT_BY = "split"
FILES = tuple(f"{split}-*.parquet" for split in SPLITS)
HUB = "chanhee-luke/RoboSpatial-Home"

_OTHERS = "prompt and parser of that paper"
PUBLISHED = (
  base.Published(
    "configuration",
    "HiSpatial-3B",
    86.18,
    "gold word as a substring, or true/false (fits 106/123)",
    published.PAPER,
  ),
  base.Published(
    "configuration", "Gemini-2.5-Pro", 77.24, _OTHERS, published.PAPER
  ),
  base.Published("configuration", "GPT-4o", 77.2, _OTHERS, "RoboSpatial paper"),
  base.Published("configuration", "GPT-4o", 66.7, "re-run", "FlagEval"),
  base.Published("compatibility", "GPT-4o", 58.1, _OTHERS, "RoboSpatial paper"),
  base.Published("compatibility", "GPT-4o", 56.2, "re-run", "FlagEval"),
  base.Published("context", "GPT-4o", 5.7, _OTHERS, "RoboSpatial paper"),
  base.Published("context", "GPT-4o", 7.4, "re-run", "FlagEval"),
)


@dataclasses.dataclass(frozen=True)
class _Depth:
  """Depth in a 16-bit PNG of millimetres; the data has no intrinsics."""

  cell: parquet.Cell

  def __call__(self) -> base.Depth:
    return base.Depth(depths.millimetres(self.cell(), self.cell.key), None)


def _truth(answer: str, split: str, key: str):
  if split != "context":
    word = answer.strip().lower()
    if word in ("yes", "no"):
      return word
    raise base.DataError(f"{key}: answer {answer!r} is not yes or no")
  try:
    corners = [[float(x), float(y)] for x, y in ast.literal_eval(answer)]
  except (ValueError, SyntaxError, TypeError):
    corners = []
  if len(corners) < 3:
    raise base.DataError(f"{key}: answer {answer!r} is no list of (x, y)")
  return corners


def _example(row: parquet.Row, split: str) -> base.Example:
  key = f"{split}/{row.number}"
  question = row.values["question"]
  measured = not row.errors.get("depth_image", "none")
  return base.Example(
    key=key,
    group=key,
    prompts={"hispatial": question},
    truth=_truth(row.values["answer"], split, key),
    image=row.image("img", key),
    question=question,
    category={"split": split},
    depth=_Depth(row.image("depth_image", key)) if measured else None,
    error=row.errors["img"],
  )


def load(path, splits=None) -> list[base.Example]:
  """Examples of one parquet a split; keys are `<split>/<row>`."""
  source, out = files.at(path), []
  for split in loading.wanted(splits, SPLITS):
    names = source.need(f"{split}-*.parquet", f"{split}.parquet", hint=HUB)
    rows = parquet.rows(
      source,
      names,
      ("question", "answer"),
      images=("img",),
      optional=("depth_image",),
    )
    out += [_example(row, split) for row in rows]
  return loading.unique(out, NAME)


def _points(example: base.Example) -> bool:
  return example.category["split"] == "context"


def parse(example: base.Example, text: str) -> base.Parse:
  """yes or no; for context the first point, [x, y]."""
  return directions.pair(text) if _points(example) else answers.polarity(text)


def hit(example: base.Example, value) -> int:
  """Whether the word is right, or the point lies in the polygon."""
  if value is None or not _points(example):
    return int(value == example.truth)
  return int(directions.inside(value, example.truth))


def candidates(examples) -> list:
  """Both words, or a lattice of points."""
  if all(_points(example) for example in examples):
    return [[x / 20, y / 20] for x in range(1, 20) for y in range(1, 20)]
  return ["yes", "no"]


def official_point(text: str) -> tuple[float, float] | None:
  """The official script's: a round pair, else a square one, else a list."""
  number = r"(\d+\.?\d*)"
  for left, right in ((r"\(", r"\)"), (r"\[", r"\]")):
    match = re.search(rf"{left}\s*{number}\s*,\s*{number}\s*{right}", text)
    if match:
      return float(match[1]), float(match[2])
  match = re.search(r"\[(.*?)\]", text, re.DOTALL)
  if not match:
    return None
  try:
    with warnings.catch_warnings():  # of odd literals such as 1or
      warnings.simplefilter("ignore")
      said = ast.literal_eval(f"[{match[1].strip().removesuffix(',')}]")
    first = (
      said if len(said) == 2 and not isinstance(said[0], tuple) else said[0]
    )
    x, y = first
    return float(x), float(y)
  except (
    *(ValueError, SyntaxError, TypeError, IndexError),
    *(MemoryError, RecursionError),
  ):
    return None


def _official(example: base.Example, text: str) -> int:
  if not _points(example):
    return int(text.strip().lower().startswith(example.truth))
  point = official_point(text)
  return int(point is not None and directions.inside(point, example.truth))


def _reference(text: str, truth: str) -> int:
  low = text.lower()
  return int(truth in low or {"yes": "true", "no": "false"}[truth] in low)


def score(example: base.Example, text: str) -> dict:
  """Verdicts; what a rule does not judge is None."""
  found = parse(example, text)
  out = base.verdict(example, found, hit(example, found.value))
  ok, truth = int(not example.error), example.truth
  word, split = not _points(example), example.category["split"]
  return {
    **out,
    "robust": out["correct"],
    "official_robospatial": ok * _official(example, text),
    "lmms_eval": (
      ok * lmms_eval.yes_no_last_line(text, truth) if word else None
    ),
    "reference": (
      ok * _reference(text, truth) if split == "configuration" else None
    ),
  }


def _figures(examples, scores, rule: str) -> dict:
  parts = {
    split: means.judged(part, rule)
    for split, part in means.split(examples, scores, "split").items()
  }
  shares = {s: means.mean(hits) for s, hits in parts.items() if hits}
  return {
    **shares,
    "total_micro": means.mean(hit_ for hits in parts.values() for hit_ in hits),
    "total_macro": means.mean(shares.values()),
  }


def aggregate(examples, scores) -> dict:
  """Figures under every rule."""
  return {
    "reference": means.counted(scores, "reference"),
    **{
      rule: _figures(examples, scores, rule)
      for rule in ("official_robospatial", "lmms_eval", "robust")
    },
  }


def headlines(examples, scores) -> list[base.Headline]:
  """Each split, then the totals by their names."""
  out = []
  for split in ("configuration", "compatibility", "context"):
    for rule in RULES:
      out.append(
        intervals.headline(
          split,
          rule,
          examples,
          scores,
          keep=lambda e, s=split: e.category["split"] == s,
        )
      )
  for rule in ("robust", "official_robospatial"):
    out.append(intervals.headline("total, micro", rule, examples, scores))
    out.append(
      intervals.headline("total, macro", rule, examples, scores, by="split")
    )
  return [line for line in out if line]
