"""Level 3, reasoning: another's point of view, and counting by relation."""

import math
from typing import NamedTuple

import numpy as np

from hispatial_jax.qa import dice, draft, level1

# By quarter of the bearing seen by the observer, as level1.quarter counts.
SIDES = ("in front", "right", "behind", "left")
_LATERAL_M = 0.2
_APART_M = 0.3
_STEEP_DEG = 30.0
_TRIES = 32
# Shares of the answers "none" and "all of them".
_NONE, _EVERY = 0.10, 0.25
# Table of the scene, word for -1 and for 1.
_PREDICATES = (
  ("right_of", "to the left of", "to the right of"),
  ("below", "above", "below"),
  ("farther", "nearer to us than", "farther from us than"),
)


def bearing(origin, forward_deg: float, target) -> tuple[float, float]:
  """(bearing in degrees, right positive; lateral metres) of a target.

  Args:
    origin, target: [3] points in W.
    forward_deg: heading of the observer in W.
  """
  x, z = target[0] - origin[0], target[2] - origin[2]
  angle = math.degrees(math.atan2(x, z)) - forward_deg
  angle = math.remainder(angle, 360.0)
  return angle, math.hypot(x, z) * math.sin(math.radians(angle))


def hand(angle: float, lateral: float) -> str | None:
  """ "left", "right", or None where it is neither beyond doubt."""
  if 20.0 <= abs(angle) <= 160.0 and abs(lateral) >= _LATERAL_M:
    return "right" if angle > 0 else "left"
  return None


def perspective(scene, roll, form, plain):
  """Left or right, or which of four sides, as an object with a front sees."""
  observers = np.flatnonzero(scene.fronted).tolist()
  targets = np.flatnonzero(scene.relates).tolist()
  wish = _wish(roll, form, plain)
  for _ in range(_TRIES if observers and len(targets) > 1 else 0):
    i, j = roll.pick(observers), roll.pick(targets)
    if i != j and scene.gap[i, j] >= _APART_M:
      made = _view(scene, roll, form, wish, (i, j), float(scene.yaw[i]))
      if made:
        return made
  return None


def perspective_facing(scene, roll, form, plain):
  """The same for somebody who stands at one object and faces another."""
  usable = np.flatnonzero(scene.relates).tolist()
  wish = _wish(roll, form, plain)
  possible = scene.heading_ok and len(usable) > 2
  for _ in range(_TRIES if possible else 0):
    i, f, j = (roll.pick(usable) for _ in range(3))
    if len({i, f, j}) < 3 or min(scene.gap[i, j], scene.gap[f, j]) < 0.0:
      continue
    x, _, z = (scene.c_w[f] - scene.c_w[i]).tolist()
    near = min(_flat(scene, i, j), _flat(scene, f, j))
    if math.hypot(x, z) < 0.5 or near < 0.4:
      continue
    heading = math.degrees(math.atan2(x, z))
    made = _view(scene, roll, form, wish, (i, f, j), heading)
    if made:
      return made
  return None


def _flat(scene, i, j):
  x, _, z = (scene.c_w[i] - scene.c_w[j]).tolist()
  return math.hypot(x, z)


class _Wish(NamedTuple):
  """The answer looked for: drawn first, so that all come equally often."""

  four: bool  # one of four sides, else left or right
  quarter: int
  hand: str
  flip: bool  # whether the camera's view shall say the opposite hand


def _wish(roll, form, plain) -> _Wish:
  four = form == draft.MCQ and not plain and roll.chance(0.5)
  hand_ = roll.pick(("left", "right"))
  return _Wish(four, roll.below(4), hand_, roll.chance(0.5))


def _granted(scene, wish, i, j, angle, lateral) -> bool:
  """Whether the answer is beyond doubt and the one looked for."""
  if wish.four:
    rise = abs(scene.c_w[j, 1] - scene.c_w[i, 1])
    steep = math.degrees(math.atan2(rise, _flat(scene, i, j)))
    return steep <= _STEEP_DEG and level1.quarter(angle) == wish.quarter
  camera = "right" if scene.c_w[j, 0] > scene.c_w[i, 0] else "left"
  side = hand(angle, lateral)
  return side == wish.hand and (side != camera) == wish.flip


def _view(scene, roll, form, wish, ids, heading):
  """Draft for observer ids[0] and target ids[-1], if it grants the wish."""
  i, j = ids[0], ids[-1]
  angle, lateral = bearing(scene.c_w[i], heading, scene.c_w[j])
  if not _granted(scene, wish, i, j, angle, lateral):
    return None
  name = "perspective" if len(ids) == 2 else "perspective_facing"
  refs = [scene.refs[k] for k in ids]
  slots = {"k": refs[0], "a": refs[-1], "b": refs[1]}
  meta = {
    "formula": "bearing of the target in the observer's frame",
    "ids": [scene.oids[k] for k in ids],
    "values": {"bearing_deg": round(angle, 2), "lateral_m": round(lateral, 3)},
  }
  kind, options = f"{name}.hand", ("left", "right")
  truth: object = wish.hand
  if wish.four:
    kind, options, truth = f"{name}.four", SIDES, wish.quarter
  elif form == draft.MCQ:
    truth = int(wish.hand == "right")
  elif form == draft.YES_NO:
    kind, truth = name, roll.chance(0.5)
    slots["side"] = options[(wish.hand == "right") == truth]
  return draft.Draft(kind, slots, truth, (wish.four, *ids), meta, options)


def _countable(scene):
  """Categories all of whose objects can be told: name -> their numbers."""
  groups: dict[str, list[int]] = {}
  for i, cat in enumerate(scene.cats):
    groups.setdefault(cat, []).append(i)
  return {
    cat: group
    for cat, group in groups.items()
    if 2 <= len(group) <= 8 and scene.seen[group].all()
  }


def counts(scene):
  """All counting questions: [(category, predicate, sign, anchor, n, total)].

  Each object of the category, named or not, is clearly in or clearly out.
  """
  found = []
  anchors = np.flatnonzero(scene.relates).tolist()
  for cat, group in _countable(scene).items():
    for number, (table, *_) in enumerate(_PREDICATES):
      signs = getattr(scene, table)[group]
      for k in anchors:
        column = signs[:, k]
        if scene.cats[k] != cat and column.all():
          more, total = int((column > 0).sum()), len(group)
          found.append((cat, number, 1, k, more, total))
          found.append((cat, number, -1, k, total - more, total))
  return found


def _pools(found, roll):
  """(none, some, all): counting questions by answer, the extremes thinned.

  They are kept only beside questions with some in and some out, and so few
  that even a scene asked until it is dry keeps the shares.
  """
  some = [c for c in found if 0 < c[4] < c[5]]
  share = len(some) / (1.0 - _NONE - _EVERY)

  def thinned(extreme, part):
    return roll.shuffled(extreme)[: int(share * part + roll.random())]

  none = thinned([c for c in found if c[4] == 0], _NONE)
  return none, some, thinned([c for c in found if c[4] == c[5]], _EVERY)


def counting(scene, roll, form, plain):
  """How many of a category lie on one side of an anchor.

  One in ten answers is none, one in four all: `_pools` sees to it.
  """
  if "counts" not in scene.memo:
    scene.memo["counts"] = _pools(counts(scene), dice.Dice(scene.id, "counts"))
  none, some, every = scene.memo["counts"]
  if not some:
    return None
  u = roll.random()
  pool = (none if u < _NONE else every if u < _NONE + _EVERY else some) or some
  cat, number, sign, k, n, total = roll.pick(pool)
  words = _PREDICATES[number]
  group = scene.plurals[scene.cats.index(cat)]
  slots = {"c": group, "c_plural": group, "k": scene.refs[k]}
  slots["where"] = words[1 + (sign > 0)]
  options, truth = (), f"{n}."
  if form == draft.MCQ:
    truth = roll.below(min(n, 3) + 1)
    options = tuple(str(n - truth + step) for step in range(4))
  elif form == draft.YES_NO:
    truth = roll.chance(0.5)
    said = n if truth else max(n + roll.pick((-1, 1)), 0 if n else 1)
    slots["n"] = str(said)
    slots["c"] = cat if said == 1 else group
    slots["are"] = "is" if said == 1 else "are"
  return draft.Draft(
    kind="counting",
    slots=slots,
    truth=truth,
    options=options,
    key=(cat, number, sign, k),
    meta={
      "formula": f"count({cat} {slots['where']} anchor)",
      "ids": [scene.oids[k]],
      "values": {"count": n, "total": total},
    },
  )
