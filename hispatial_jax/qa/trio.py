"""Questions of the custom trio from a record's annotations.

    items = trio.draw(record, seed=0)    # at most one of each task

Tasks, as benchmarks/hispatial_custom.py has them:
  object_to_camera_distance   as level 1 asks it
  object_direction            unit vector between centres, in the camera
  spatial_problem_solving     one of three small programs over the geometry:
                              fits a gap (yes/no), side by side (sum of
                              widths), by way of a third (sum of distances)
Only what the scene says beyond doubt is asked, see qa/scene.py.
"""

from typing import Any

import numpy as np

from hispatial_jax.qa import dice, draft, generate
from hispatial_jax.qa import scene as scenes

_APART_M = 0.3
_DIGITS = 4
# Width of the gap over that of the thing: clear of a quarter's error.
_NARROW, _WIDE = (0.5, 0.75), (1.3, 2.0)
Item = dict[str, Any]


def draw(record: dict[str, Any], seed: int = 0) -> list[Item]:
  """{"task", "level", "question", "answer"} of each task that can be asked.

  The same record and seed give the same items.

  Args:
    record: as in data/records.py, with objects; its image is not looked at.
    seed: any whole number.
  """
  scene = scenes.Scene.from_record(record)
  roll = dice.Dice(f"{scene.id}/trio", seed)
  made = (
    ("object_to_camera_distance", 1, _distance(scene, seed)),
    ("object_direction", 2, _direction(scene, roll)),
    ("spatial_problem_solving", 3, _problem(scene, roll)),
  )
  return [
    {"task": task, "level": level, "question": pair[0], "answer": pair[1]}
    for task, level, pair in made
    if pair
  ]


def _metres(value: float) -> dict[str, Any]:
  return {"value": round(float(value), _DIGITS), "unit": "meter"}


def _distance(scene, seed):
  pairs = generate.draw(
    scene,
    seed,
    1,
    tasks=["distance_to_camera"],
    formats=[draft.TEXT],
    plain=True,
  )
  if not pairs:
    return None
  return pairs[0].question, _metres(pairs[0].meta["values"]["m"])


def _pairs(scene, roll) -> list[tuple[int, int]]:
  """Ordered pairs of things that are clearly apart, in a drawn order."""
  things = np.flatnonzero(scene.metric).tolist()
  pairs = [
    (i, j)
    for i in things
    for j in things
    if i != j and scene.distance[i, j] >= _APART_M
  ]
  return [pairs[k] for k in roll.shuffled(range(len(pairs)))]


def _direction(scene, roll):
  pairs = _pairs(scene, roll)
  if not pairs:
    return None
  i, j = pairs[0]
  vector = (scene.c_c[j] - scene.c_c[i]) / scene.distance[i, j]
  question = (
    f"Provide the direction vector pointing from {scene.refs[i]} to "
    f"{scene.refs[j]}."
  )
  return question, {"vector": [round(float(v), _DIGITS) for v in vector]}


def _problem(scene, roll):
  programs = (_fits, _side_by_side, _by_way_of)
  for number in roll.shuffled(range(len(programs))):
    made = programs[number](scene, roll)
    if made:
      return made
  return None


def _wide(scene, roll) -> list[int]:
  """Things of a width that can be spoken of, in a drawn order."""
  things = [
    i
    for i in np.flatnonzero(scene.sized).tolist()
    if scene.speakable(scene.width[i])
  ]
  return [things[k] for k in roll.shuffled(range(len(things)))]


def _fits(scene, roll):
  things = _wide(scene, roll)
  if not things:
    return None
  i, fits = things[0], roll.chance(0.5)
  gap = scene.width[i] * roll.between(*(_WIDE if fits else _NARROW))
  question = (
    f"Would {scene.refs[i]} fit through a gap that is {gap:.2f} meters wide?"
  )
  return question, {"answer": "yes" if fits else "no"}


def _side_by_side(scene, roll):
  things = _wide(scene, roll)
  if len(things) < 2:
    return None
  i, j = things[:2]
  question = (
    f"How long a shelf is needed to hold {scene.refs[i]} and "
    f"{scene.refs[j]} side by side?"
  )
  return question, _metres(scene.width[i] + scene.width[j])


def _by_way_of(scene, roll):
  pairs = _pairs(scene, roll)
  for i, j in pairs:
    for k, end in pairs:
      if k == j and end != i:
        question = (
          f"How far is it in a straight line from {scene.refs[i]} to "
          f"{scene.refs[j]} and on to {scene.refs[end]}?"
        )
        return question, _metres(scene.distance[i, j] + scene.distance[j, end])
  return None
