"""Level 2, relations of two and more objects, seen from the camera."""

import numpy as np

from hispatial_jax.qa import draft, level1
from hispatial_jax.qa import scene as scenes

# Table of the scene, and for the signs -1, 1: word, superlative, as a place.
_RELATIONS = {
  "left_right": ("right_of", ("left", "right"), None),
  "above_below": ("below", ("above", "below"), ("higher", "lower")),
  "nearer_farther": ("farther", ("nearer", "farther"), None),
}
# Attribute: words for less and more, superlatives, least ratio (GT, other).
_SIZES = {
  "height": ("shorter", "taller", "shortest", "tallest", 1.10, 1.25),
  "width": ("narrower", "wider", "narrowest", "widest", 1.10, 1.25),
  "volume": ("smaller", "larger", "smallest", "largest", 1.30, 2.00),
}


def distance(scene, roll, form, plain):
  """Centre to centre."""
  both = scene.metric[:, None] & scene.metric[None, :]
  clear = both & (scene.distance >= 3 * scene.sigma)
  np.fill_diagonal(clear, False)
  pair = _pair(roll, clear)
  if pair is None:
    return None
  i, j = pair
  refs, ids = [scene.refs[i], scene.refs[j]], [scene.oids[i], scene.oids[j]]
  value = float(scene.distance[i, j])
  return level1.measure(scene, roll, form, "distance", refs, value, ids)


def _pair(roll, table):
  """(i, j), one of the true entries, or None."""
  first, second = np.nonzero(table)
  if not len(first):
    return None
  k = roll.below(len(first))
  return int(first[k]), int(second[k])


def left_right(scene, roll, form, plain):
  """Order along x of C, by bearing and in the picture alike."""
  return _relation(scene, roll, form, plain, "left_right")


def above_below(scene, roll, form, plain):
  """Order along y of C, along gravity and in the picture alike."""
  return _relation(scene, roll, form, plain, "above_below")


def nearer_farther(scene, roll, form, plain):
  """Order along z of C and by distance alike."""
  return _relation(scene, roll, form, plain, "nearer_farther")


def _relation(scene, roll, form, plain, name):
  """Which of two objects, what relation, or whether one holds."""
  table_name, words, places = _RELATIONS[name]
  table = getattr(scene, table_name)
  both = scene.relates[:, None] & scene.relates[None, :]
  pair = _pair(roll, both & (table != 0))
  if pair is None:
    return None
  i, j = pair
  more = int(table[i, j] > 0)
  ask = roll.below(2)  # the word asked about, less or more
  which = form != draft.YES_NO and (plain or roll.chance(0.5))
  a, b = scene.refs[i], scene.refs[j]
  slots = {"a": a, "b": b, "word": words[ask]}
  slots["place"] = (places or words)[ask]
  slots["to"] = ("to", "from")[ask]
  if form == draft.YES_NO:
    kind, truth, options = name, more == ask, ()
  elif which:
    kind, options = f"{name}.which", (a, b)
    truth = int(more != ask)
  else:
    kind, options, truth = f"{name}.side", words, more
  if form == draft.TEXT:
    truth = options[truth]
  return draft.Draft(
    kind=kind,
    slots=slots,
    truth=truth,
    options=options,
    key=(min(i, j), max(i, j)),
    meta={
      "formula": f"{words[more]}(a, b)",
      "ids": [scene.oids[i], scene.oids[j]],
      "values": _values(scene, name, i, j),
      "sigma": _sigma(scene, name, i, j),
    },
  )


_AXES = {"left_right": 0, "above_below": 1, "nearer_farther": 2}


def _values(scene, name, i, j):
  u = _AXES[name]
  pair = [round(float(scene.c_c[k, u]), 4) for k in (i, j)]
  return {"xyz"[u]: pair}


def _sigma(scene, name, i, j):
  u = _AXES[name]
  gap = abs(float(scene.c_c[i, u] - scene.c_c[j, u]))
  return round(gap / float(scene.sigma[i, j]), 1)


def sizes(scene, attribute: str):
  """f64[N] of an attribute, metres or cubic metres."""
  if attribute == "height":
    return scene.size[:, 1]
  return scene.width if attribute == "width" else scene.size.prod(1)


def ratio(scene, attribute: str) -> float:
  """By how much the larger must exceed the smaller to be asked about."""
  sure = scene.kind in ("gt", "lidar")
  return _SIZES[attribute][4 if sure else 5]


def exceeds(scene, attribute: str):
  """bool[N,N]: i clearly exceeds j in the attribute."""
  values = sizes(scene, attribute)
  clear = values[:, None] >= ratio(scene, attribute) * values[None, :]
  if attribute != "volume":
    diff, wide = scenes.margin(values, scene.sigma, 0.0)
    clear &= wide & (diff > 0)
  both = scene.sized[:, None] & scene.sized[None, :]
  return clear & both & (values > 0)[None, :]


def size_comparison(scene, roll, form, plain):
  """Taller, wider, larger of two; of up to four in multiple choice."""
  attribute = roll.pick(tuple(_SIZES)[:2] if plain else tuple(_SIZES))
  more = roll.below(2)
  table = exceeds(scene, attribute)
  pair = _pair(roll, table if more else table.T)
  if pair is None:
    return None
  best, rest = pair[0], [pair[1]]
  if form == draft.MCQ and not plain:
    beaten = (table if more else table.T)[best]
    others = [k for k in np.flatnonzero(beaten).tolist() if k != rest[0]]
    rest += roll.shuffled(others)[: roll.below(3)]
  return _compared(scene, roll, form, attribute, more, best, rest)


def _compared(scene, roll, form, attribute, more, best, rest):
  i, j = roll.shuffled((best, rest[0]))
  words = _SIZES[attribute]
  slots = {"a": scene.refs[i], "b": scene.refs[j], "word": words[more]}
  members = [best, *rest]
  slots["best"] = words[2 + more]
  truth, options, ids = scene.refs[best], (), [i, j]
  kind = "size_comparison"
  if form == draft.MCQ:
    truth, options, ids = 0, tuple(scene.refs[k] for k in members), members
    kind += ".two" if len(members) == 2 else ".many"
    if len(members) == 2:
      options = (slots["a"], slots["b"])
      truth, ids = int(i != best), [i, j]
  elif form == draft.YES_NO:
    asked = roll.below(2)
    slots["word"], truth = words[asked], (i == best) == (asked == more)
  values = sizes(scene, attribute)
  return draft.Draft(
    kind=kind,
    slots=slots,
    truth=truth,
    options=options,
    key=(attribute, *sorted(members)),
    meta={
      "formula": f"{words[more]}: {attribute}",
      "ids": [scene.oids[k] for k in ids],
      "values": {attribute: [round(float(values[k]), 4) for k in ids]},
    },
  )
