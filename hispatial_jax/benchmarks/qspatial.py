"""Q-Spatial-Bench: distances in own pictures (plus) and in ScanNet frames.

The ScanNet split ships no pixels: unpack the frames to
`scannet_images/<scene>/{color,depth}/` with `intrinsics_depth.npy` beside the
data. A frame without picture, depth or intrinsics counts 0 and stays in the
denominator; the reference drops it. Headline: the mean of the two splits.

Source: andrewliao11/Q-Spatial-Bench@17b92e4, and its code@ebe8137,
examples/evaluate_success_rate.ipynb; microsoft/HiSpatial@9b0a571,
eval/eval_q_spatial.py.
"""

import re

from hispatial_jax.benchmarks import (
  base,
  constants,
  files,
  intervals,
  loading,
  means,
  parquet,
  published,
  quantities,
  scannet_frames,
)

NAME = "qspatial"
SPLITS = ("QSpatial_plus", "QSpatial_scannet")
PROMPTS = ("hispatial",)
RULES = ("robust_strict", "robust_inclusive", "official_notebook", "reference")
CUTS = ("split", "question_type", "range")
CONSTANT_BY = "split"
FILES = tuple(f"{split}-*.parquet" for split in SPLITS)
HUB = "andrewliao11/Q-Spatial-Bench, and ScanNet for its frames"
_COLUMNS = ("question", "answer_value", "answer_unit", "question_type")
_SLACK = 1e-6
_CENTIMETRES = {
  **dict.fromkeys(("meters", "meter", "m", "metre", "metres"), 100.0),
  **dict.fromkeys(("feet", "foot", "ft"), 30.48),
  **dict.fromkeys(("inch", "inches", "in"), 2.54),
  "mm": 0.1,
}

_OWN = "first number as metres, within a factor 2; missing frames dropped"
_OTHERS = "prompt of that paper; within a factor 2, ends included"
PUBLISHED = (
  base.Published(
    "macro",
    "HiSpatial-3B",
    85.16,
    f"{_OWN}; fits the macro mean",
    published.PAPER,
  ),
  base.Published(
    "QSpatial_scannet", "HiSpatial-3B", 84.17, _OWN, published.PAPER
  ),
  base.Published(
    "micro",
    "HiSpatial-3B, RGB only",
    76.01,
    f"{_OWN}; fits micro",
    published.PAPER,
  ),
  base.Published(
    "micro", "PaliGemma2-3B", 32.84, f"{_OWN}; fits micro", published.PAPER
  ),
  base.Published("macro", "GPT-5", 68.45, "mean not said", published.PAPER),
  base.Published(
    "macro", "InternVL3.5-8B", 57.94, "mean not said", published.PAPER
  ),
  base.Published(
    "macro", "RoboBrain2.5-8B-MT", 78.31, "mean not said", "its README"
  ),
  base.Published("QSpatial_plus", "Gemini-2.5-Pro", 91.61, _OTHERS, "a paper"),
  base.Published("QSpatial_plus", "TIGeR", 86.01, _OTHERS, "TIGeR paper"),
)


def _example(source, row: parquet.Row, split: str) -> base.Example:
  values, key = row.values, f"{split}/{row.number}"
  unit = values["answer_unit"]
  if unit not in ("centimeter", "meter"):
    raise base.DataError(
      f"{key}: answer_unit {unit!r}; expected centimeter, meter"
    )
  # f32 in the file: 1.4 is 1.39999998.
  truth = float(values["answer_value"]) / (
    100.0 if unit == "centimeter" else 1.0
  )
  if not 0 < truth < float("inf"):
    raise base.DataError(f"{key}: answer {truth!r} is no length")
  image, depth, error = row.image("image", key), None, row.errors["image"]
  path = values.get("image_path") or ""
  if split == "QSpatial_scannet" and error == "no picture":
    image, depth, error = scannet_frames.find(source, path, key)
  return base.Example(
    key=key,
    group=f"{split}/{path or key}",
    prompts={"hispatial": values["question"]},
    truth=truth,
    image=image,
    question=values["question"],
    category={
      "split": split,
      "question_type": values["question_type"],
      "range": loading.length_range(truth),
    },
    depth=depth,
    error=error,
  )


def load(path, splits=None) -> list[base.Example]:
  """Examples of one parquet a split; keys are `<split>/<row>`."""
  source, out = files.at(path), []
  for split in loading.wanted(splits, SPLITS):
    names = source.need(f"{split}-*.parquet", f"{split}.parquet", hint=HUB)
    rows = parquet.rows(source, names, _COLUMNS, optional=("image_path",))
    out += [_example(source, row, split) for row in rows]
  return loading.unique(out, NAME)


def parse(example: base.Example, text: str) -> base.Parse:
  """Metres."""
  return quantities.length(text)


def _ratio(value: float, truth: float) -> float:
  return max(value / truth, truth / value)


def hit(example: base.Example, value) -> int:
  """Strictly within a factor of two, as the published code has it."""
  return int(value is not None and _ratio(value, example.truth) < 2)


def candidates(examples) -> list[float]:
  """Lengths around those of the truths."""
  return constants.lengths(examples)


def _reference_number(text: str) -> float | None:
  """HiSpatial's: a decimal, signed or not, or an unsigned integer."""
  match = re.search(r"[-+]?\d*\.\d+|\d+", text)
  return float(match[0]) if match else None


def notebook_m(text: str) -> float | None:
  """The notebook's: last scalar{} and distance_unit{}; unknown units as cm."""
  scalars = re.findall(r"scalar{([^}]*)}", text)
  units = re.findall(r"distance_unit{([^}]*)}", text)
  if not scalars or not units:
    return None
  numbers = [float(n) for n in re.findall(r"\d+\.?\d*", scalars[-1])]
  if not numbers:
    return None
  unit = _CENTIMETRES.get(units[-1].lower(), 1.0)
  return sum(numbers) / len(numbers) * unit / 100


def score(example: base.Example, text: str) -> dict:
  """Verdicts; the reference never sees an item whose frame is missing."""
  found, truth = parse(example, text), example.truth
  missing = bool(example.error)
  out = base.verdict(example, found, hit(example, found.value))
  ratio = None
  if found.parsed and not missing:
    ratio = _ratio(found.value, truth)
  number, notebook = _reference_number(text), notebook_m(text)
  near = number is not None and 0.5 * truth < number < 2.0 * truth
  official = bool(notebook) and _ratio(notebook, truth) < 2 and not missing
  return {
    **out,
    "declared_m": found.value,
    "input_missing": missing,
    "robust_ratio": None if ratio is None else round(ratio, 9),
    "robust_strict": out["correct"],
    "robust_inclusive": int(ratio is not None and ratio <= 2 + _SLACK),
    "official_notebook_m": notebook,
    "official_notebook": int(official),
    "reference_number": number,
    "reference_skipped": missing,
    "reference": None if missing else int(near),
  }


def _figures(examples, scores, rule: str) -> dict:
  parts = means.split(examples, scores, "split")
  shares = {s: means.mean(means.judged(parts.get(s, ()), rule)) for s in SPLITS}
  return {
    **shares,
    "micro": means.mean(means.judged(scores, rule)),
    "macro": means.mean(shares.values()),
    "by_type": means.by(examples, scores, "question_type", rule),
  }


def _reference(examples, scores, runs: int) -> dict:
  """The script's own figures after so many runs with one output name."""
  parts = means.split(examples, scores, "split")
  out = {
    s: means.counted(list(parts.get(s, ())) * runs, "reference") for s in SPLITS
  }
  return {**out, "accuracy": means.mean(means.judged(scores, "reference"))}


def aggregate(examples, scores) -> dict:
  """Figures under every rule."""
  return {
    "reference": _reference(examples, scores, 1),
    "reference_second_run_same_prefix": _reference(examples, scores, 2),
    "official_notebook_strict_lt_2": _figures(
      examples, scores, "official_notebook"
    ),
    "robust_strict_lt_2": _figures(examples, scores, "robust_strict"),
    "robust_inclusive_le_2": _figures(examples, scores, "robust_inclusive"),
  }


def headlines(examples, scores) -> list[base.Headline]:
  """The mean of the splits, the micro mean, each split."""
  out = []
  for rule in RULES:
    if {example.category["split"] for example in examples} == set(SPLITS):
      out.append(
        intervals.headline("macro", rule, examples, scores, by="split")
      )
    out.append(intervals.headline("micro", rule, examples, scores))
    for split in SPLITS:
      out.append(
        intervals.headline(
          split,
          rule,
          examples,
          scores,
          keep=lambda e, s=split: e.category["split"] == s,
        )
      )
  return [line for line in out if line]
