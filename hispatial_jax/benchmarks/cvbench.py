"""CV-Bench: relation and count in 2-D, depth order and distance in 3-D.

The official 2-D figure weighs ADE20K and COCO alike, whatever their number of
questions; HiSpatial prints a micro mean over Relation and never scores Count,
where a model without the picture beats many that see it: print the constant
answer beside it.

Source: nyu-visionx/CV-Bench@bc284db; cambrian-mllm/cambrian@539ffc3,
eval/eval/{ade,coco,omni}; microsoft/HiSpatial@9b0a571, eval/eval_cv_bench.py.
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
)

NAME = "cvbench"
SPLITS = ("2D", "3D")
PROMPTS = ("hispatial", "cambrian")
RULES = ("robust", "official_cambrian", "lmms_eval", "reference")
CUTS = ("split", "task", "source")
CONSTANT_BY = "task"
FILES = ("test_2d*.parquet", "test_3d*.parquet", "2D/*.parquet", "3D/*.parquet")
HUB = "nyu-visionx/CV-Bench"
_COLUMNS = ("idx", "task", "question", "choices", "answer", "prompt", "source")
_LETTER_ONLY = (
  "Answer with the option's letter from the given choices directly."
)

parse, hit, candidates = choices.parse, choices.hit, choices.candidates

_MICRO = "micro over the questions of the task; HiSpatial's substring rule"
_MIXED = "tables of other papers; parser and mean not said"
PUBLISHED = (
  base.Published("2D Relation", "HiSpatial-3B", 95.69, _MICRO, published.PAPER),
  base.Published("3D", "HiSpatial-3B", 97.58, _MICRO, published.PAPER),
  base.Published(
    "2D Relation", "RoboRefer-8B-SFT", 96.90, _MIXED, published.PAPER
  ),
  base.Published("3D", "RoboRefer-8B-SFT", 95.92, _MIXED, published.PAPER),
  base.Published("3D", "Gemini-2.5-Pro", 90.80, _MIXED, published.PAPER),
  base.Published("2D Relation", "GPT-5", 95.54, _MIXED, "SpaceTools paper"),
  base.Published("3D", "N3D-VLM-3B", 96.3, _MIXED, "N3D-VLM paper"),
  base.Published(
    "overall", "RoboBrain2.5-8B-NV", 94.58, _MIXED, "RoboBrain 2.5 README"
  ),
  base.Published("overall", "GPT-5", 86.1, _MIXED, "LightNav-ER table"),
)


def _example(row: parquet.Row, split: str) -> base.Example:
  values, key = row.values, str(row.values["idx"])
  options = answers.letters(values["choices"])
  return base.Example(
    key=key,
    group=key,
    prompts={
      "hispatial": values["prompt"],
      "cambrian": f"{values['prompt']}\n{_LETTER_ONLY}",
    },
    truth=choices.letter_truth(values["answer"], options, key),
    image=row.image("image", key),
    question=values["question"],
    options=options,
    category={
      "split": split,
      "task": values["task"],
      "source": values["source"],
    },
    error=row.errors["image"],
  )


def load(path, splits=None) -> list[base.Example]:
  """Examples of test_2d.parquet and test_3d.parquet; keys are `idx`."""
  source, out = files.at(path), []
  for split in loading.wanted(splits, SPLITS):
    names = source.need(
      f"test_{split.lower()}*.parquet", f"{split}/*.parquet", hint=HUB
    )
    rows = parquet.rows(source, names, _COLUMNS)
    out += [_example(row, split) for row in rows]
  return loading.unique(out, NAME)


def reference(text: str, letter: str) -> int:
  """HiSpatial's: the letter anywhere, blanks and round brackets deleted."""
  return int(letter in re.sub(r"[ ()]", "", text.replace("<eos>", "")))


def first_character(text: str, ends: str) -> str:
  """Cambrian's: of what follows the last "answer is" or "answer:".

  Args:
    text: the answer.
    ends: marks it drops from the end; 3-D drops more than 2-D.
  """
  low = text.lower().strip()
  for lead in ("answer is", "answer is:", "answer:"):
    low = low.split(lead)[-1]
  return low.strip().rstrip(ends).lstrip("(").rstrip(")")[:1]


def official(text: str, example: base.Example) -> int:
  """Cambrian's verdict; in 3-D an option of one character may be said too."""
  deep = example.category["split"] == "3D"
  said = first_character(text, ".:," if deep else ".")
  truth = dict(example.options)[example.truth]
  return int(said == example.truth.lower() or (deep and said == truth))


def score(example: base.Example, text: str) -> dict:
  """Verdicts; HiSpatial never scores Count."""
  cut = example.category
  return choices.score(
    example,
    text,
    official_cambrian=official(text, example),
    lmms_eval=int(lmms_eval.first_letter(text) == example.truth),
    reference=(
      reference(text, example.truth)
      if cut["split"] == "3D" or cut["task"] == "Relation"
      else None
    ),
  )


def _figures(examples, scores, rule: str) -> dict:
  def of(**cuts):
    return means.mean(
      score[rule]
      for example, score in zip(examples, scores, strict=True)
      if all(example.category[k] == v for k, v in cuts.items())
    )

  flat, deep = ("ADE20K", "COCO"), of(source="Omni3D")
  parts = {f"2D_{source}": of(source=source) for source in flat}
  both = means.mean(parts.values())
  return {
    "2D": both,
    **parts,
    "3D": deep,
    "overall": means.mean([both, deep]),
    "2D_Relation_micro": of(split="2D", task="Relation"),
    "3D_Depth": of(split="3D", task="Depth"),
    "3D_Distance": of(split="3D", task="Distance"),
    "2D_Relation_source_balanced": means.mean(
      of(source=source, task="Relation") for source in flat
    ),
  }


def _part(examples, scores, split: str, task: str | None = None):
  return [
    score
    for example, score in zip(examples, scores, strict=True)
    if example.category["split"] == split
    and task in (None, example.category["task"])
  ]


def aggregate(examples, scores) -> dict:
  """Figures under every rule."""
  return {
    "reference": {
      "cv_bench_3d": means.counted(_part(examples, scores, "3D"), "reference"),
      "cv_bench_2d_relation": means.counted(
        _part(examples, scores, "2D", "Relation"), "reference"
      ),
    },
    "official_cambrian": _figures(examples, scores, "official_cambrian"),
    "lmms_eval": {"micro": means.mean(means.judged(scores, "lmms_eval"))},
    "robust": _figures(examples, scores, "robust"),
  }


def headlines(examples, scores) -> list[base.Headline]:
  """Overall (official weights), then what HiSpatial prints."""

  def keep(**cuts):
    return lambda e: all(e.category[k] == v for k, v in cuts.items())

  weights = {"ADE20K": 0.25, "COCO": 0.25, "Omni3D": 0.5}
  out = []
  for rule in RULES:
    if rule != "reference":
      out.append(
        intervals.headline(
          "overall", rule, examples, scores, by="source", weights=weights
        )
      )
    out += [
      intervals.headline(
        "2D Relation",
        rule,
        examples,
        scores,
        keep=keep(split="2D", task="Relation"),
      ),
      intervals.headline("3D", rule, examples, scores, keep=keep(split="3D")),
    ]
  return [line for line in out if line]
