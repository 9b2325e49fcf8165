"""3DSRBench: twelve kinds of 3-D questions, rotated and mirrored.

vanilla counts rows, flip_eval a row with its mirror image, circ_eval the
rotations of one picture, flip_circ_eval everything in a group: papers print
one of the four under the same name. A row that can't be loaded is wrong, and a
group with a rotation missing is no pass.

Source: ccvl/3DSRBench; VLMEvalKit's _3DSRBench; lmms-eval;
microsoft/HiSpatial@9b0a571, eval/eval_3dsrbench.py.
"""

import re

from hispatial_jax.benchmarks import (
  base,
  choices,
  files,
  groups,
  intervals,
  lmms_eval,
  loading,
  means,
  pictures,
  published,
  tsv,
  vlmevalkit,
)

NAME = "3dsrbench"
SPLITS = ()
PROMPTS = ("hispatial", "vlmevalkit")
RULES = (
  *("robust", "vlmevalkit", "lmms_eval"),
  *("reference_truncate", "reference_regex"),
)
CUTS = ("kind", "category")
CONSTANT_BY = ""
FILES = ("3dsrbench*circular*.tsv", "3dsrbench*.tsv", "3DSRBench*.tsv")
HUB = "ccvl/3DSRBench (3dsrbench_v1_vlmevalkit_circular.tsv)"
_COLUMNS = ("qid", "question", "A", "B", "answer", "category")
_KINDS = {
  "location": ("above", "closer_to_camera", "next_to"),
  "height": ("higher",),
  "orientation": ("in_front_of", "on_the_left", "viewpoint"),
  "multi_object": (
    *("closer_to", "facing", "viewpoint_towards_object"),
    *("parallel", "same_direction"),
  ),
}
_CATEGORIES = [
  f"{kind}_{name}" for kind, names in _KINDS.items() for name in names
]

parse, hit, candidates = choices.parse, choices.hit, choices.candidates

_MIXED = "rows of papers mix vanilla and grouped figures"
PUBLISHED = (
  base.Published(
    "flip + circular",
    "HiSpatial-3B",
    63.81,
    "all rows of a group; truncate or regex parser not said",
    published.PAPER,
  ),
  base.Published(
    "flip + circular", "Gemini-2.5-Pro", 48.47, _MIXED, published.PAPER
  ),
  base.Published("flip + circular", "GPT-4o", 44.20, _MIXED, published.PAPER),
  base.Published("vanilla", "SpatialReasoner", 61.72, "vanilla", "its paper"),
  base.Published("vanilla", "Cambrian-S-7B", 54.8, "vanilla", "its paper"),
  base.Published("flip + circular", "human", 95.7, _MIXED, "3DSRBench paper"),
)


def _kind(category: str) -> str:
  return next((k for k in _KINDS if category.startswith(f"{k}_")), "other")


def _example(row: tsv.Row) -> base.Example:
  text = {name: value.strip() for name, value in row.text.items()}
  key, options = text["qid"], choices.column_options(row.text)
  image, error, url = row.image, row.error, text.get("image_url", "")
  if error and url.startswith(("http://", "https://")):
    # Embedded pictures of -flip rows are mirrored already, those behind a
    # link are not.
    image, error = pictures.Url(url, key, "-flip" in key), ""
  turn = re.search(r"-(\d+)$", key)
  return base.Example(
    key=key,
    group=key.split("-")[0],
    prompts={
      "hispatial": choices.plain_prompt(text["question"], options),
      "vlmevalkit": vlmevalkit.choice_prompt(text["question"], options),
    },
    truth=choices.letter_truth(text["answer"], options, key),
    image=image,
    question=text["question"],
    options=options,
    category={"kind": _kind(text["category"]), "category": text["category"]},
    error=error,
    data={"flip": "-flip" in key, "rotation": int(turn[1]) if turn else 0},
  )


def load(path, splits=None) -> list[base.Example]:
  """Examples of the circular TSV; keys are `qid`."""
  loading.wanted(splits, SPLITS)
  source = files.at(path)
  name = loading.one(source, *FILES, "*.tsv", hint=HUB)
  rows = tsv.rows(source, name, _COLUMNS, "qid")
  return loading.unique([_example(row) for row in rows], NAME)


def regex_letter(text: str, options) -> str | None:
  """HiSpatial's: first stand-alone a-d in any case, else a substring."""
  said = re.sub(r"\s*<eos>\s*$", "", text.strip()).strip()
  match = re.search(r"\b([A-D])\b", said, re.IGNORECASE)
  if match:
    return match[1].upper()
  low = said.lower()
  return next((letter for letter, t in options if t.lower() in low), None)


def score(example: base.Example, text: str) -> dict:
  """Verdicts on one row."""
  truth = example.truth
  return choices.score(
    example,
    text,
    vlmevalkit=int(vlmevalkit.option(text, example.options) == truth),
    lmms_eval=int(lmms_eval.letter_3dsr(text) == truth),
    reference_truncate=int(truth in text[:2]),
    reference_regex=int(regex_letter(text, example.options) == truth),
  )


def _circle(example: base.Example) -> str:
  return example.group + ("-flip" if example.data["flip"] else "")


_SETTINGS = {
  "flip_eval": lambda example: example.key.replace("-flip", ""),
  "circ_eval": _circle,
  "flip_circ_eval": lambda example: example.group,
}


def held(examples, scores, setting: str, rule: str) -> dict[str, int] | None:
  """0/1 by group under a setting; None where rotations are missing at all."""
  key = _SETTINGS[setting]
  out = groups.together(examples, scores, key, rule)
  if rule != "robust" or setting == "flip_eval":
    return out
  circles = groups.incomplete(examples, _circle)
  broken = {key(e) for e in examples if _circle(e) in circles}
  return groups.strict(out, broken)


def _by_kind(examples, key, held_, cut: str, names) -> dict:
  kinds = {}
  for example in examples:
    kinds.setdefault(key(example), example.category[cut])
  return {
    name: groups.share(held_, [g for g, kind in kinds.items() if kind == name])
    for name in names
  }


def _figures(examples, scores, rule: str) -> dict:
  out = {
    "vanilla": {
      "overall": means.mean(means.judged(scores, rule)),
      "n": len(scores),
    }
  }
  for setting, key in _SETTINGS.items():
    passed = held(examples, scores, setting, rule)
    out[setting] = {
      "overall": groups.share(passed),
      "n_groups": len({key(example) for example in examples}),
      "by_category": _by_kind(examples, key, passed, "kind", _KINDS),
    }
  return out


def _reference(examples, scores, rule: str) -> dict:
  key = _SETTINGS["flip_circ_eval"]
  passed = held(examples, scores, "flip_circ_eval", rule)
  return {
    "accuracy": groups.share(passed),
    "by_category": _by_kind(examples, key, passed, "kind", _KINDS),
    "by_subcategory": _by_kind(examples, key, passed, "category", _CATEGORIES),
  }


def aggregate(examples, scores) -> dict:
  """Figures under every rule; the reference's file was no JSON where an empty
  category made its mean NaN."""
  reference = {
    name: _reference(examples, scores, f"reference_{name}")
    for name in ("truncate", "regex")
  }
  return {
    "reference": reference,
    "reference_json_contains_nan_token": None
    in reference["regex"]["by_subcategory"].values(),
    "vlmevalkit_exact_matching": _figures(examples, scores, "vlmevalkit"),
    "lmms_eval": _figures(examples, scores, "lmms_eval"),
    "robust": _figures(examples, scores, "robust"),
    "incomplete_groups": len(groups.incomplete(examples, _circle)),
  }


def headlines(examples, scores) -> list[base.Headline]:
  """All four figures, the strictest first."""
  out = []
  for setting, name in (
    ("flip_circ_eval", "flip + circular"),
    ("circ_eval", "circular"),
    ("flip_eval", "flip"),
    ("", "vanilla"),
  ):
    for rule in RULES:
      if not all(rule in score for score in scores):
        continue
      if setting:
        passed = held(examples, scores, setting, rule)
        out.append(intervals.of_groups(name, rule, passed))
      else:
        out.append(intervals.headline(name, rule, examples, scores))
  return [line for line in out if line]
