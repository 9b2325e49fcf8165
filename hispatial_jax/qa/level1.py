"""Level 1, single objects: distance to the camera, size, orientation."""

import math

import numpy as np

from hispatial_jax.qa import dice, draft, say

# Side seen, heading, opposite side, by quarter of the angle object -> camera.
SIDES = ("front", "right", "back", "left")
HEADINGS = ("towards us", "right", "away from us", "left")
_LEAST_CHOICE_M = 0.15  # divided by 1.9 three times still prints as 0.02
_SLACK_DEG = 5.0  # dead zone on both sides of a diagonal


def lengths(roll: dice.Dice, value: float):
  """(options, index of the truth): four lengths, at least 25 % apart.

  The truth takes each rank, from shortest to longest, equally often, so that
  the middle of the options says nothing. None where two decimals would not
  tell the options apart at every rank.
  """
  if value < _LEAST_CHOICE_M:
    return None
  rank = roll.below(4)
  below, above, factor = [], [], 1.0
  for _ in range(rank):
    factor /= roll.between(1.35, 1.9)
    below.append(value * factor)
  factor = 1.0
  for _ in range(3 - rank):
    factor *= roll.between(1.35, 1.9)
    above.append(value * factor)
  ladder = [*below[::-1], value, *above]
  return tuple(f"{say.number(v)}m" for v in ladder), rank


def measure(scene, roll, form, kind, refs, value, ids):
  """Draft of a question for a length; None if it cannot be asked."""
  if not scene.speakable(value):
    return None
  options, truth = (), f"{say.number(value)}m"
  if form == draft.MCQ:
    made = lengths(roll, value)
    if made is None:
      return None
    options, truth = made
  slots = dict(zip("ab", refs, strict=False))
  return draft.Draft(
    kind=kind,
    slots=slots | {"v": say.number(value)},
    truth=truth,
    options=options,
    key=tuple(sorted(ids)),
    meta={"formula": kind, "ids": ids, "values": {"m": round(value, 4)}},
  )


def _one(scene, roll, allowed):
  """Number of one allowed object, or None."""
  found = np.flatnonzero(allowed)
  return int(roll.pick(found)) if len(found) else None


def _single(scene, roll, form, kind, allowed, values):
  i = _one(scene, roll, allowed)
  if i is None:
    return None
  ids = [scene.oids[i]]
  return measure(
    scene, roll, form, kind, [scene.refs[i]], float(values[i]), ids
  )


def distance_to_camera(scene, roll, form, plain):
  """Euclidean distance of the object's centre from the camera."""
  return _single(
    scene, roll, form, "distance_to_camera", scene.metric, scene.range
  )


def size_height(scene, roll, form, plain):
  """Extent along gravity."""
  allowed = scene.sized & scene.level
  return _single(scene, roll, form, "size_height", allowed, scene.size[:, 1])


def size_width(scene, roll, form, plain):
  """From side to side; the longer horizontal side without a front."""
  return _single(scene, roll, form, "size_width", scene.sized, scene.width)


def quarter(angle_deg: float, slack_deg: float = _SLACK_DEG) -> int | None:
  """0 ahead, 1 right, 2 behind, 3 left; None near a diagonal."""
  nearest = round(angle_deg / 90.0)
  if abs(angle_deg - 90.0 * nearest) > 45.0 - slack_deg:
    return None
  return nearest % 4


def orientation(scene, roll, form, plain):
  """Which side of an object shows, or where it is heading, as we see it."""
  i = _one(scene, roll, scene.fronted)
  if i is None:
    return None
  x, _, z = scene.c_w[i].tolist()
  # Bearing of the camera from the object, against the object's own heading.
  angle = math.degrees(math.atan2(-x, -z)) - float(scene.yaw[i])
  angle = math.remainder(angle, 360.0)
  side = quarter(angle)
  if side is None:
    return None
  kind = "side" if plain or roll.chance(0.5) else "heading"
  names = SIDES if kind == "side" else HEADINGS
  slots = {"a": scene.refs[i]}
  truth: object = names[side]
  if form == draft.MCQ:
    truth = side
  elif form == draft.YES_NO:
    truth = roll.chance(0.5)  # a No only where the opposite is seen
    slots["side"] = names[side if truth else (side + 2) % 4]
  return draft.Draft(
    kind=f"orientation.{kind}",
    slots=slots,
    truth=truth,
    options=names,
    key=(i, kind),
    meta={
      "formula": f"quarter(camera in O), {kind}",
      "ids": [scene.oids[i]],
      "values": {"angle_deg": round(angle, 2)},
    },
  )
