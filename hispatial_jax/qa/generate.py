"""Questions of a record: a pure function of (annotations, depth, seed).

>>> pairs = draw(record, seed=0, num=8)
>>> pairs[0].question, pairs[0].answer
('How far is the red chair from the camera?', '2.41m')
"""

from collections.abc import Iterable, Mapping
from typing import Any

from hispatial_jax.core import spec
from hispatial_jax.qa import dice, draft, level0, level1, level2, level3, say
from hispatial_jax.qa import scene as scenes

QA = draft.QA

_ALL = (draft.TEXT, draft.MCQ, draft.YES_NO)
_OPEN = (draft.TEXT, draft.MCQ)
# Weights follow HiSpatial's public loader, split where a type of its covers
# several tasks of ours; depth_order, which it lacks, weighs as pixel_xyz.
REGISTRY = {
  "pixel_xyz": draft.Task(0, 350, (draft.TEXT,), level0.pixel_xyz),
  "depth_order": draft.Task(0, 350, _ALL, level0.depth_order),
  "distance_to_camera": draft.Task(1, 180, _OPEN, level1.distance_to_camera),
  "size_height": draft.Task(1, 150, _OPEN, level1.size_height),
  "size_width": draft.Task(1, 150, _OPEN, level1.size_width),
  "orientation": draft.Task(1, 500, _ALL, level1.orientation),
  "distance": draft.Task(2, 600, _OPEN, level2.distance),
  "left_right": draft.Task(2, 470, _ALL, level2.left_right),
  "above_below": draft.Task(2, 470, _ALL, level2.above_below),
  "nearer_farther": draft.Task(2, 460, _ALL, level2.nearer_farther),
  "size_comparison": draft.Task(2, 650, _ALL, level2.size_comparison),
  "perspective": draft.Task(3, 600, _ALL, level3.perspective),
  "perspective_facing": draft.Task(3, 600, _ALL, level3.perspective_facing),
  "counting": draft.Task(3, 700, _ALL, level3.counting),
}
TASKS = {name: task.level for name, task in REGISTRY.items()}
FORMATS = {draft.TEXT: 0.3, draft.MCQ: 0.4, draft.YES_NO: 0.3}

_PATIENCE = 4  # Draws in a row without a new question before a task rests.


def draw(
  record: "Mapping[str, Any] | scenes.Scene",
  seed: int,
  num: int,
  *,
  tasks: Iterable[str] | None = None,
  weights: Mapping[str, float] | None = None,
  formats: Iterable[str] | None = None,
  points=None,
  pixel_grid: int | None = None,
  plain: bool = False,
) -> list[QA]:
  """Draws up to `num` different questions about one record.

  The same record and seed give the same questions anywhere; `draw(r, s, 4)` is
  the beginning of `draw(r, s, 8)`. What a record cannot support is not asked:
  it then gives fewer questions, or none.

  Args:
    record: as in data/records.py (its image is not looked at), or a Scene.
    seed: any whole number; the record's id is added.
    num: how many at most.
    tasks: names of TASKS to draw from; default all.
    weights: task -> relative weight, or "level0".."level3" -> the share of
      the whole level; the rest keeps its default.
    formats: of "text", "mcq", "yes_no"; default all.
    points: f32[H,W,3+] metres in C instead of depth_m, for level 0.
    pixel_grid: N: level 0 asks only for centres of an N x N grid.
    plain: two phrasings a task and one style of options, for small models.

  Raises:
    ValueError: unknown tasks, formats or weights, all listed.
  """
  chosen = _weights(tasks, weights, formats)
  scene = record
  if not isinstance(scene, scenes.Scene):
    scene = scenes.Scene.from_record(dict(record), points)
  roll = dice.Dice(scene.id, int(seed))
  more = {"pixel_grid": pixel_grid, "plain": plain}
  return _collect(scene, roll, num, chosen, set(formats or FORMATS), more)


def _collect(scene, roll, num, chosen, allowed, more) -> list[QA]:
  """Draws tasks by weight until there are `num` pairs or nothing is left."""
  found: list[QA] = []
  asked: set[tuple] = set()
  tired = dict.fromkeys(chosen, 0)
  while len(found) < num and chosen:
    name = roll.weighted(list(chosen), list(chosen.values()))
    qa, key = _one(scene, roll, name, allowed, more)
    if qa is None or (name, key) in asked:
      tired[name] += 1
      if tired[name] >= _PATIENCE:
        del chosen[name]
      continue
    tired[name] = 0
    asked.add((name, key))
    found.append(qa)
  return found


def _one(scene, roll, name, allowed, more):
  """(QA, key), or (None, None) where the draw hits nothing to ask."""
  task = REGISTRY[name]
  formats = [form for form in task.formats if form in allowed]
  form = roll.weighted(formats, [FORMATS[f] for f in formats])
  extra = {"pixel_grid": more["pixel_grid"]} if task.level == 0 else {}
  made = task.draw(scene, roll, form, more["plain"], **extra)
  if made is None:
    return None, None
  return word(made, name, form, roll, more["plain"]), made.key


def word(
  made: draft.Draft, name: str, form: str, roll: dice.Dice, plain: bool
) -> QA:
  """Puts a draft of task `name` in words."""
  question, answer = say.phrase(f"{made.kind}/{form}", roll, made.slots, plain)
  if form == draft.YES_NO:
    answer = "Yes" if made.truth else "No"
    if not plain and roll.chance(0.5):
      question += " Answer with Yes or No."
  elif form == draft.MCQ:
    order = roll.shuffled(range(len(made.options)))
    style = ("A", False) if plain else roll.pick(say.OPTION_STYLES)
    question += say.choices([made.options[k] for k in order], style)
    answer = say.label(order.index(made.truth), style)
  else:
    answer = answer or made.truth
  level = TASKS[name]
  return QA(question, answer, level, name, form, made.meta)


def _weights(tasks, weights, formats) -> dict[str, float]:
  """Task -> weight of those to draw from."""
  levels = {f"level{level}" for level in TASKS.values()}
  tasks = list(TASKS if tasks is None else tasks)
  spec.check_keys(tasks, TASKS, "tasks")
  spec.check_keys(weights or (), {*TASKS, *levels}, "weights")
  spec.check_keys(formats or (), FORMATS, "formats")
  allowed = set(formats or FORMATS)
  found = {
    name: float((weights or {}).get(name, REGISTRY[name].weight))
    for name in tasks
    if allowed & set(REGISTRY[name].formats)
  }
  everything = sum(found.values())
  for level in levels & set(weights or ()):
    inside = [name for name in found if f"level{TASKS[name]}" == level]
    total = sum(found[name] for name in inside) or 1.0
    for name in inside:
      found[name] *= weights[level] * everything / total
  return {name: weight for name, weight in found.items() if weight > 0}
