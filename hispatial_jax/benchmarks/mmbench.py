"""MMBench dev-en in its circular form.

A question counts when all rotations of its options are answered right.
Rotation k has `index` + k million; its image cell names the row that has the
picture. A file without rotations has no circular figure.

Source: VLMEvalKit's MMBench_DEV_EN.tsv and mcq_circular_eval.
"""

from hispatial_jax.benchmarks import (
  base,
  choices,
  files,
  groups,
  intervals,
  loading,
  means,
  published,
  tsv,
  vlmevalkit,
)

NAME = "mmbench"
SPLITS = ()
PROMPTS = ("vlmevalkit", "hispatial_style")
RULES = ("robust", "vlmevalkit")
CUTS = ("category", "l2_category")
CONSTANT_BY = ""
FILES = ("MMBench_DEV_EN.tsv", "MMBench*.tsv")
HUB = "VLMEvalKit's MMBench_DEV_EN.tsv"
_TURN = 1_000_000

parse, hit, candidates = choices.parse, choices.hit, choices.candidates

_UNKNOWN = "version, prompt and metric not said (fits 811/1,164 circular)"
PUBLISHED = (
  base.Published("circular", "HiSpatial-3B", 69.67, _UNKNOWN, published.PAPER),
  base.Published("circular", "PaliGemma2-3B", 49.86, _UNKNOWN, published.PAPER),
  base.Published(
    "circular",
    "GPT-5.2",
    88.2,
    "MMBench-EN v1.1: another version",
    "EASI table",
  ),
)


def _example(row: tsv.Row) -> base.Example:
  text = row.text
  key = text["index"].strip()
  if not key.isdigit():
    raise base.DataError(f"index {key!r} is no whole number")
  options = choices.column_options(text)
  hint = text.get("hint", "").strip()
  return base.Example(
    key=key,
    group=str(int(key) % _TURN),
    prompts=choices.prompts(text["question"], options, hint),
    truth=choices.letter_truth(text["answer"], options, key),
    image=row.image,
    question=text["question"],
    options=options,
    category={
      "category": text["category"],
      "l2_category": text.get("l2-category", ""),
    },
    error=row.error,
    data={"rotation": int(key) // _TURN},
  )


def load(path, splits=None) -> list[base.Example]:
  """Examples of MMBench_DEV_EN.tsv; keys are `index`."""
  loading.wanted(splits, SPLITS)
  source = files.at(path)
  name = loading.one(source, *FILES, "*.tsv", hint=HUB)
  rows = tsv.rows(
    source, name, ("question", "A", "B", "answer", "category"), "index"
  )
  return loading.unique([_example(row) for row in rows], NAME)


def score(example: base.Example, text: str) -> dict:
  """Verdicts on one rotation."""
  taken = vlmevalkit.option(text, example.options)
  return {
    **choices.score(example, text, vlmevalkit=int(taken == example.truth)),
    "vlmevalkit_extracted": taken,
  }


def _group(example: base.Example) -> str:
  return example.group


def _held(examples, scores, rule: str) -> dict[str, int] | None:
  held = groups.together(examples, scores, _group, rule)
  if rule != "robust":
    return held
  return groups.strict(held, groups.incomplete(examples, _group))


def _figures(examples, scores, rule: str) -> dict:
  held = _held(examples, scores, rule)
  kind = {example.group: example.category["category"] for example in examples}
  first = [
    score[rule]
    for example, score in zip(examples, scores, strict=True)
    if example.data["rotation"] == 0
  ]
  return {
    "circular": groups.share(held),
    "vanilla_first_pass": means.mean(first),
    "vanilla_all": means.mean(means.judged(scores, rule)),
    "groups": held,
    "by_category": {
      name: groups.share(held, [g for g, c in kind.items() if c == name])
      for name in sorted(set(kind.values()))
    },
  }


def aggregate(examples, scores) -> dict:
  """Figures under every rule, and how many groups miss a rotation."""
  return {
    "reference": None,
    "vlmevalkit_exact_matching": _figures(examples, scores, "vlmevalkit"),
    "robust": _figures(examples, scores, "robust"),
    "incomplete_groups": len(groups.incomplete(examples, _group)),
  }


def headlines(examples, scores) -> list[base.Headline]:
  """Circular accuracy, and that of the unrotated rows."""
  out = []
  for rule in RULES:
    if all(rule in score for score in scores):
      held = _held(examples, scores, rule)
      out.append(intervals.of_groups("circular", rule, held))
      out.append(
        intervals.headline(
          "vanilla, first pass",
          rule,
          examples,
          scores,
          keep=lambda e: e.data["rotation"] == 0,
        )
      )
  return [line for line in out if line]
