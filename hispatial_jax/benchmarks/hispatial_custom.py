"""The trio of HiSpatial's own benchmark, in a format of this project.

The paper's files, prompts and direction threshold are not public: figures here
are ours and never the paper's. A folder holds `custom_bench.jsonl` and its
pictures, one question a line:

  {"id": "object_direction/3", "task": "object_direction", "level": 2,
   "image": "images/003.png", "question": "...", "answer": ANSWER}

  task                        level  ANSWER
  object_to_camera_distance   1      {"value": 3.2, "unit": "meter"}
  object_direction            2      {"vector": [x, y, z]}: x right, y down,
                                     z forward in the camera, of any length
  spatial_problem_solving     3      {"answer": "yes" | "no"} or a value

A line may have measured depth: "depth", a 16-bit PNG of millimetres (0 = no
reading) at any resolution, and "intrinsics", 3x3 of the unit image: the first
row divided by the width, the second by the height, pixel centres at +0.5.
tools/make_custom_bench.py writes such a folder from annotated scenes.

Lengths are right within ±25 %; directions are reported at three thresholds;
problem solving reads what follows the last "final answer".
"""

import json
import math
import re

from hispatial_jax.benchmarks import (
  answers,
  base,
  constants,
  depths,
  directions,
  files,
  intervals,
  loading,
  means,
  pictures,
  published,
  quantities,
)

NAME = "hispatial_custom"
SPLITS = ()
PROMPTS = ("hispatial",)
RULES = ("robust", "pass_15", "pass_30", "pass_45")
CUTS = ("task", "level", "range")
CONSTANT_BY = "task"
FILES = ("custom_bench.jsonl", "images/*", "depth/*")
HUB = "your own data; benchmarks/hispatial_custom.py states the format"
TASKS = (
  "object_to_camera_distance",
  "object_direction",
  "spatial_problem_solving",
)
_DISTANCE, _DIRECTION, _PROBLEM = TASKS
_DEGREES = (15, 30, 45)
_SLACK = 1e-9

_PAPER = "the paper's own files, which are other questions than these"
PUBLISHED = tuple(
  base.Published(name, model, percent, _PAPER, published.PAPER)
  for name, row in (
    (_DISTANCE, (92.18, 47.19, 58.63, 12.70)),
    ("object_direction at 15 degrees", (67.21, 59.27, None, 22.52)),
    (_PROBLEM, (47.44, 33.33, 26.92, 25.64)),
  )
  for model, percent in zip(
    ("HiSpatial-3B", "GPT-5", "RoboRefer-8B-SFT", "Qwen3-VL-8B"),
    row,
    strict=True,
  )
  if percent is not None
)


def truth_of(answer, key: str):
  """yes, no, metres, or a vector of three numbers."""
  answer = answer if isinstance(answer, dict) else {}
  if answer.get("answer") in ("yes", "no"):
    return answer["answer"]
  vector = answer.get("vector")
  if isinstance(vector, list) and len(vector) == 3:
    vector = [float(v) for v in vector]
    if 0 < math.hypot(*vector) < math.inf:
      return vector
  value, unit = answer.get("value"), answer.get("unit", "meter")
  if isinstance(value, int | float) and 0 < value < math.inf:
    try:
      return quantities.metres(value, unit)
    except ValueError as error:
      raise base.DataError(f"{key}: {error}") from error
  raise base.DataError(
    f"{key}: answer {answer!r} is neither a positive value with a unit, nor "
    "three numbers of a vector, nor yes or no"
  )


def _example(item: dict, source: files.Files, folder: str) -> base.Example:
  key = str(item["id"])
  if item["task"] not in TASKS:
    raise base.DataError(
      f"{key}: task {item['task']!r} is none of {', '.join(TASKS)}"
    )
  truth = truth_of(item["answer"], key)
  image = pictures.File(source, folder + str(item["image"]), key)
  return base.Example(
    key=key,
    group=str(item["image"]),
    prompts={"hispatial": item["question"]},
    truth=truth,
    image=image,
    question=item["question"],
    category={
      "task": item["task"],
      "level": item.get("level"),
      "range": loading.length_range(truth),
    },
    depth=depths.measured(item, source, folder, key),
    error=image.problem(),
  )


def load(path, splits=None) -> list[base.Example]:
  """Examples of custom_bench.jsonl; keys are `id`."""
  loading.wanted(splits, SPLITS)
  source = files.at(path)
  name = loading.one(source, "custom_bench.jsonl", "*.jsonl", hint=HUB)
  folder, out = name.rpartition("/")[0], []
  for number, line in enumerate(source.read(name).decode().splitlines(), 1):
    if not line.strip():
      continue
    try:
      item = json.loads(line)
      out.append(_example(item, source, f"{folder}/" if folder else ""))
    except json.JSONDecodeError as error:
      raise base.DataError(f"{name}, line {number}: {error}") from error
    except (KeyError, TypeError) as error:
      raise base.DataError(
        f"{name}, line {number}: no {error}; expected id, task, image, "
        "question and answer"
      ) from error
  return loading.unique(out, NAME)


def _final(text: str) -> str:
  """What follows the last "final answer"."""
  return re.split(r"(?i)final answer(?: is)?[\s:*]*", text)[-1]


def parse(example: base.Example, text: str) -> base.Parse:
  """Metres, three numbers, or yes or no."""
  task, truth = example.category["task"], example.truth
  if isinstance(truth, list):
    return directions.triple(text)
  if task == _PROBLEM and isinstance(truth, str):
    return answers.polarity(_final(text))
  if isinstance(truth, str):
    return answers.polarity(text)
  return quantities.length(_final(text) if task == _PROBLEM else text)


def hit(example: base.Example, value) -> int:
  """±25 %, ends included; within 15 degrees; the same word."""
  truth = example.truth
  if value is None:
    return 0
  if isinstance(truth, list):
    near = isinstance(value, list) and (
      directions.angle_deg(value, truth) <= _DEGREES[0] + 1e-6
    )
    return int(near)
  if isinstance(truth, str):
    return int(value == truth)
  if isinstance(value, float):
    return int(abs(value - truth) <= (0.25 + _SLACK) * truth)
  return 0


def candidates(examples) -> list:
  """Lengths around the truths, the truths' directions and words."""
  vectors = [e.truth for e in examples if isinstance(e.truth, list)]
  words = sorted({e.truth for e in examples if isinstance(e.truth, str)})
  return constants.lengths(examples) + vectors[:200] + words


def score(example: base.Example, text: str) -> dict:
  """Verdict; `robust` is for lengths and words, pass_N for directions."""
  found, truth = parse(example, text), example.truth
  out = base.verdict(example, found, hit(example, found.value))
  value = None if example.error else found.value
  if isinstance(truth, list):
    angle = None if value is None else directions.angle_deg(value, truth)
    return {
      **out,
      "angle_deg": None if angle is None else round(angle, 4),
      **{
        f"pass_{limit}": int(angle is not None and angle <= limit + 1e-6)
        for limit in _DEGREES
      },
    }
  out["robust"] = out["correct"]
  if isinstance(truth, float):
    off = None if value is None else abs(value - truth) / truth
    out["rel_error"] = None if off is None else round(off, 9)
  return out


def aggregate(examples, scores) -> dict:
  """Figures by task; directions at each threshold."""
  parts = means.split(examples, scores, "task")
  turned = parts.get(_DIRECTION, [])
  return {
    "reference": None,
    "robust": {
      task: means.mean(means.judged(parts.get(task, []), "robust"))
      for task in (_DISTANCE, _PROBLEM)
    },
    "object_direction": {
      f"pass_{limit}": means.mean(means.judged(turned, f"pass_{limit}"))
      for limit in _DEGREES
    },
    "object_direction_mean_angle_deg": means.mean(
      means.judged(turned, "angle_deg")
    ),
  }


def headlines(examples, scores) -> list[base.Headline]:
  """Each task; directions at each threshold."""

  def line(name, task, rule):
    return intervals.headline(
      name, rule, examples, scores, lambda e: e.category["task"] == task
    )

  out = [line(task, task, "robust") for task in (_DISTANCE, _PROBLEM)]
  for limit in _DEGREES:
    name = f"object_direction at {limit} degrees"
    out.append(line(name, _DIRECTION, f"pass_{limit}"))
  return [headline for headline in out if headline]
