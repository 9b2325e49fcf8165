"""POPE: is there such a thing in the picture?

A row counts once for each category it names (random, popular, adversarial):
three sub-sets share pictures and questions. An unparsed answer is "not yes" in
F1 and wrong in accuracy.

Source: VLMEvalKit's POPE.tsv and POPE_rating; lmms-eval.
"""

from hispatial_jax.benchmarks import (
  answers,
  base,
  files,
  intervals,
  loading,
  means,
  published,
  quantities,
  tsv,
  vlmevalkit,
)

NAME = "pope"
SPLITS = ()
PROMPTS = ("vlmevalkit",)
RULES = ("robust", "vlmevalkit", "lmms_eval")
CUTS = ("category",)
CONSTANT_BY = ""
FILES = ("POPE.tsv",)
HUB = "VLMEvalKit's POPE.tsv"

_UNKNOWN = "prompt not public; accuracy or F1 not said (fits 7,917/9,000)"
PUBLISHED = (
  base.Published("accuracy", "HiSpatial-3B", 87.97, _UNKNOWN, published.PAPER),
  base.Published("accuracy", "PaliGemma2-3B", 87.00, _UNKNOWN, published.PAPER),
)


def _example(row: tsv.Row) -> base.Example:
  text = row.text
  key, truth = text["index"].strip(), text["answer"].strip().lower()
  if truth not in ("yes", "no"):
    raise base.DataError(f"{key}: answer {text['answer']!r} is not Yes or No")
  named = [c.strip() for c in text["category"].split(",") if c.strip()]
  return base.Example(
    key=key,
    group=key,
    prompts={"vlmevalkit": text["question"]},
    truth=truth,
    image=row.image,
    question=text["question"],
    category={"category": text["category"]},
    error=row.error,
    data={"categories": tuple(named or [""])},
  )


def load(path, splits=None) -> list[base.Example]:
  """Examples of POPE.tsv; keys are `index`."""
  loading.wanted(splits, SPLITS)
  source = files.at(path)
  name = loading.one(source, *FILES, "*.tsv", hint=HUB)
  rows = tsv.rows(source, name, ("question", "answer", "category"), "index")
  return loading.unique([_example(row) for row in rows], NAME)


def parse(example: base.Example, text: str) -> base.Parse:
  """yes or no."""
  return answers.polarity(text)


def hit(example: base.Example, value) -> int:
  """Whether it is the truth."""
  return int(value == example.truth)


def candidates(examples) -> list[str]:
  """The two answers."""
  return ["yes", "no"]


def score(example: base.Example, text: str) -> dict:
  """Verdicts."""
  found, taken = parse(example, text), vlmevalkit.yes_no(text)
  said = quantities.strip(text) if example.error else text
  out = base.verdict(example, found, hit(example, found.value))
  ok = int(not example.error)
  return {
    **out,
    "robust": out["correct"],
    "vlmevalkit": ok * (taken.lower() == example.truth),
    "lmms_eval": ok * (said.lower().strip() == example.truth),
    "vlmevalkit_extracted": taken,
  }


def _rating(rows) -> dict:
  """F1, precision, recall, accuracy of (truth, said yes, right) rows."""
  rows = list(rows)
  both = sum(truth == "yes" and yes for truth, yes, _ in rows)
  said = sum(yes for _, yes, _ in rows)
  true = sum(truth == "yes" for truth, _, _ in rows)
  if not rows:
    return dict.fromkeys(("f1", "precision", "recall", "acc"))
  return {
    "f1": 2 * both / (said + true) if both else 0.0,
    "precision": both / said if said else 0.0,
    "recall": both / true if true else 0.0,
    "acc": sum(right for _, _, right in rows) / len(rows),
  }


def _said_yes(score: dict, rule: str) -> bool:
  if score["error"]:
    return False
  if rule == "vlmevalkit":
    return score["vlmevalkit_extracted"] == "Yes"
  return score["declared"] == "yes"


def _exploded(examples, scores, rule: str):
  """(category, (truth, said yes, right)) for each category of each row."""
  return [
    (name, (example.truth, _said_yes(score, rule), score[rule]))
    for example, score in zip(examples, scores, strict=True)
    for name in example.data["categories"]
  ]


def _figures(examples, scores, rule: str) -> dict:
  rows = _exploded(examples, scores, rule)
  out = {
    "overall": {**_rating(r for _, r in rows), "n_exploded": len(rows)},
  }
  for name in dict.fromkeys(name for name, _ in rows):
    part = [row for category, row in rows if category == name]
    out[name] = {**_rating(part), "n": len(part)}
  out["unique_rows_acc"] = means.mean(means.judged(scores, rule))
  return out


def aggregate(examples, scores) -> dict:
  """Figures under every rule."""
  return {
    "reference": None,
    "vlmevalkit": _figures(examples, scores, "vlmevalkit"),
    "robust": _figures(examples, scores, "robust"),
    "lmms_eval_exact_accuracy": means.mean(means.judged(scores, "lmms_eval")),
  }


def headlines(examples, scores) -> list[base.Headline]:
  """F1 and accuracy over rows repeated by category, and over rows."""
  out = []
  for rule in ("robust", "vlmevalkit"):
    if any(rule not in score for score in scores):
      continue
    ratio, right = [], []
    for example, score in zip(examples, scores, strict=True):
      yes, true = _said_yes(score, rule), example.truth == "yes"
      for _ in example.data["categories"]:
        ratio.append(("", example.group, 2.0 * (yes and true), yes + true))
        right.append(("", example.group, float(score[rule]), 1.0))
    out.append(base.Headline("F1", rule, tuple(ratio)))
    out.append(base.Headline("accuracy", rule, tuple(right)))
  return out + intervals.each("accuracy of rows", RULES, examples, scores)
