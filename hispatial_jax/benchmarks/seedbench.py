"""SEED-Bench, the questions about single pictures.

HiSpatial's prompt for it is not public: the variant used is part of a result.

Source: VLMEvalKit's SEEDBench_IMG.tsv; lmms-eval.
"""

from hispatial_jax.benchmarks import (
  base,
  choices,
  files,
  intervals,
  lmms_eval,
  loading,
  means,
  published,
  tsv,
  vlmevalkit,
)

NAME = "seedbench"
SPLITS = ()
PROMPTS = ("vlmevalkit", "hispatial_style")
RULES = ("robust", "vlmevalkit", "lmms_eval")
CUTS = ("category",)
CONSTANT_BY = ""
FILES = ("SEEDBench_IMG.tsv",)
HUB = "VLMEvalKit's SEEDBench_IMG.tsv"

parse, hit, candidates = choices.parse, choices.hit, choices.candidates

_UNKNOWN = "prompt and parser not public"
PUBLISHED = (
  base.Published("accuracy", "HiSpatial-3B", 63.51, _UNKNOWN, published.PAPER),
  base.Published("accuracy", "PaliGemma2-3B", 48.32, _UNKNOWN, published.PAPER),
)


def _example(row: tsv.Row) -> base.Example:
  text = row.text
  key = text["index"].strip()
  options = choices.column_options(text)
  return base.Example(
    key=key,
    group=key,
    prompts=choices.prompts(text["question"], options),
    truth=choices.letter_truth(text["answer"], options, key),
    image=row.image,
    question=text["question"],
    options=options,
    category={"category": text["category"]},
    error=row.error,
  )


def load(path, splits=None) -> list[base.Example]:
  """Examples of SEEDBench_IMG.tsv; keys are `index`."""
  loading.wanted(splits, SPLITS)
  source = files.at(path)
  name = loading.one(source, *FILES, "*.tsv", hint=HUB)
  rows = tsv.rows(
    source, name, ("question", "A", "B", "answer", "category"), "index"
  )
  return loading.unique([_example(row) for row in rows], NAME)


def score(example: base.Example, text: str) -> dict:
  """Verdicts."""
  taken = vlmevalkit.option(text, example.options)
  return {
    **choices.score(
      example,
      text,
      vlmevalkit=int(taken == example.truth),
      lmms_eval=int(lmms_eval.first_character(text) == example.truth.lower()),
    ),
    "vlmevalkit_extracted": taken,
  }


def aggregate(examples, scores) -> dict:
  """Figures under every rule."""
  out = {"reference": None}
  for name, rule in (
    ("vlmevalkit_exact_matching", "vlmevalkit"),
    ("lmms_eval_first_char", "lmms_eval"),
    ("robust", "robust"),
  ):
    out[name] = {
      "accuracy": means.mean(means.judged(scores, rule)),
      "by_category": means.by(examples, scores, "category", rule),
    }
  return out


def headlines(examples, scores) -> list[base.Headline]:
  """Accuracy."""
  return intervals.each("accuracy", RULES, examples, scores)
