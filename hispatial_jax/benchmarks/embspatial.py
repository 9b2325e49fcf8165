"""EmbSpatial-Bench: six relations in Matterport3D, AI2-THOR and ScanNet.

There is no official parser, so every paper has its own. One file in memory:
the JSON holds its pictures as base64 (some 400 MB for 3,640 questions).

Source: Phineas476/EmbSpatial-Bench; microsoft/HiSpatial@9b0a571,
eval/eval_emb_spatial.py; VLMEvalKit's EASI matcher; lmms-eval.
"""

import json

from hispatial_jax.benchmarks import (
  answers,
  base,
  choices,
  files,
  intervals,
  lmms_eval,
  loading,
  means,
  pictures,
  published,
  vlmevalkit,
)

NAME = "embspatial"
SPLITS = ()
PROMPTS = ("hispatial", "vlmevalkit")
RULES = ("robust", "vlmevalkit_easi", "lmms_eval", "reference")
CUTS = ("source", "relation")
CONSTANT_BY = ""
FILES = ("embspatial_bench.json", "embspatial_bench*.json")
HUB = "Phineas476/EmbSpatial-Bench"
_FIELDS = ("question", "answer_options", "answer", "image", "relation")

parse, hit, candidates = choices.parse, choices.hit, choices.candidates

_OTHERS = "parser and prompt of that paper; the set has no official ones"
PUBLISHED = (
  base.Published(
    "accuracy",
    "HiSpatial-3B",
    80.71,
    "gold letter among the first two characters (fits 2,938/3,640)",
    published.PAPER,
  ),
  base.Published(
    "accuracy", "HiSpatial-3B", 79.78, "as one tracker lists it", "a tracker"
  ),
  base.Published("accuracy", "Gemini-2.5-Pro", 76.67, _OTHERS, published.PAPER),
  base.Published("accuracy", "Qwen3.5-27B", 84.5, _OTHERS, "model card"),
  base.Published("accuracy", "GPT-5", 82.9, _OTHERS, "81.5 elsewhere"),
  base.Published("accuracy", "RoboBrain2-32B", 78.57, _OTHERS, "its paper"),
)


def _prompts(question: str, options) -> dict[str, str]:
  listed = "".join(f"{letter}: {said}\n" for letter, said in options)
  return {
    "hispatial": choices.plain_prompt(question, options),
    "vlmevalkit": (
      f"Question: {question}\nOptions:\n{listed}"
      "Give me the answer letter directly. The best answer is:"
    ),
  }


def _example(item: dict, row: int, by_id: bool) -> base.Example:
  key = str(item["question_id"]) if by_id else str(row)
  options = answers.letters(item["answer_options"])
  if not (
    isinstance(item["answer"], int) and 0 <= item["answer"] < len(options)
  ):
    raise base.DataError(
      f"{key}: answer {item['answer']!r} is no index of its "
      f"{len(options)} options"
    )
  image = item["image"] or ""
  wrong = pictures.problem(pictures.decode(image))
  source = str(item.get("data_source", "unknown"))
  return base.Example(
    key=key,
    group=f"{source}/{item.get('scene_id', key)}",
    prompts=_prompts(item["question"], options),
    truth=options[item["answer"]][0],
    image=pictures.Base64(image, key),
    question=item["question"],
    options=options,
    category={"source": source, "relation": item["relation"]},
    error=wrong,
  )


def load(path, splits=None) -> list[base.Example]:
  """Examples of embspatial_bench.json.

  Keys are `question_id`; where one is missing or occurs twice all keys are row
  numbers.
  """
  loading.wanted(splits, SPLITS)
  source = files.at(path)
  name = loading.one(source, *FILES, hint=HUB)
  try:
    items = json.loads(source.read(name))
  except ValueError as error:
    raise base.DataError(
      f"{source.root}/{name}: not JSON ({error}); it may be cut short"
    ) from error
  if not isinstance(items, list):
    raise base.DataError(f"{name}: expected a list, got {type(items).__name__}")
  for row, item in enumerate(items):
    missing = [field for field in _FIELDS if field not in item]
    if missing:
      raise base.DataError(
        f"{name}: item {row} has no {', '.join(missing)}; it has "
        f"{', '.join(item)}"
      )
  ids = [item.get("question_id") for item in items]
  by_id = None not in ids and len(set(map(str, ids))) == len(ids)
  return loading.unique(
    [_example(item, row, by_id) for row, item in enumerate(items)], NAME
  )


def score(example: base.Example, text: str) -> dict:
  """Verdicts."""
  easi = vlmevalkit.spatial_option(text)
  return choices.score(
    example,
    text,
    vlmevalkit_easi=int(easi == example.truth),
    lmms_eval=int(lmms_eval.first_letter(text) == example.truth),
    reference=int(example.truth in text[:2]),
  )


def aggregate(examples, scores) -> dict:
  """Figures under every rule."""
  out = {"reference": means.counted(scores, "reference")}
  for rule in ("vlmevalkit_easi", "lmms_eval", "robust"):
    out[rule] = {
      "accuracy": means.mean(means.judged(scores, rule)),
      "by_source": means.by(examples, scores, "source", rule),
      "by_relation": means.by(examples, scores, "relation", rule),
    }
  return out


def headlines(examples, scores) -> list[base.Headline]:
  """Accuracy; questions of one scene are drawn together."""
  return intervals.each("accuracy", RULES, examples, scores)
