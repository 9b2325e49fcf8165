"""What each task asks, answered again by the oracle; for check.py.

A function here takes (world, form, kind, slots, options) and returns a bool for
yes/no, else a predicate that accepts exactly the right answers or options.
"""

import math
import re

from hispatial_jax.qa import oracle

LOCATION = r"<loc\d{4}><loc\d{4}><loc\d{4}><loc\d{4}>"
# Words of counting -> axis and sign; of relations -> the same.
PREDICATES = {
  "to the left of": ("x", -1),
  "to the right of": ("x", 1),
  "above": ("y", -1),
  "below": ("y", 1),
  "nearer to us than": ("z", -1),
  "farther from us than": ("z", 1),
}
_RELATIONS = {
  "left": ("x", -1),
  "right": ("x", 1),
  "above": ("y", -1),
  "below": ("y", 1),
  "higher": ("y", -1),
  "lower": ("y", 1),
  "nearer": ("z", -1),
  "farther": ("z", 1),
}
_NAMES = {"x": ("left", "right"), "y": ("above", "below")}
_NAMES["z"] = ("nearer", "farther")
_TASK_AXIS = {"left_right": "x", "above_below": "y", "nearer_farther": "z"}
_SIZES = {
  **dict.fromkeys(("shorter", "shortest"), ("height", -1)),
  **dict.fromkeys(("taller", "tallest"), ("height", 1)),
  **dict.fromkeys(("narrower", "narrowest"), ("width", -1)),
  **dict.fromkeys(("wider", "widest"), ("width", 1)),
  **dict.fromkeys(("smaller", "smallest"), ("volume", -1)),
  **dict.fromkeys(("larger", "largest"), ("volume", 1)),
}
_RATIOS = {"height": 1.10, "width": 1.10, "volume": 1.30}
_FACES = {
  "side": ("front", "right", "back", "left"),
  "heading": ("towards us", "right", "away from us", "left"),
}
WORDS = (*_RELATIONS, *_SIZES, "closer")
SIDES = sorted({*_FACES["side"], *_FACES["heading"]})
_VIEWS = ("in front", "right", "behind", "left")
_ROUNDING = 0.0053  # half of the last digit, plus rounded annotations
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")


def _words(expected: str):
  return lambda text: text.lower().rstrip(".") == expected


def _length(value: float, options):
  """Accepts texts whose one number is the value, at two decimals."""

  def said(text):
    numbers = _NUMBER.findall(re.sub(r"(?<=\d)m\b", " ", text))
    return float(numbers[0]) if len(numbers) == 1 else math.nan

  close = [o for o in options if abs(math.log(said(o) / value)) < 0.17]
  if options and len(close) != 1:
    raise oracle.Unsure(f"options {options} are too alike around {value}")
  if not 0.05 - 1e-3 <= value <= 15.0 + 1e-3:
    raise oracle.Unsure(f"{value} m is outside of what may be asked")
  return lambda text: abs(said(text) - value) <= _ROUNDING


def _pixel(text: str) -> tuple[int, int]:
  y, x, y2, x2 = (int(n) for n in re.findall(r"<loc(\d{4})>", text))
  if (y, x) != (y2, x2):
    raise oracle.Unsure("a pixel written as a box with an inside")
  return round(y * 448 / 1024), round(x * 448 / 1024)


def _pixel_xyz(world, form, kind, slots, options):
  wanted = world.point(*_pixel(slots["p"]))

  def accept(text):
    parts = text.split(" ")
    if len(parts) != 3 or "-0.00m" in parts:
      return False
    got = [float(part.removesuffix("m")) for part in parts]
    off = max(abs(g - w) for g, w in zip(got, wanted, strict=True))
    return off < 0.0051 + 2e-4 * wanted[2]  # depth may be stored as log codes

  return accept


def _depth_order(world, form, kind, slots, options):
  asked = form != "mcq"
  texts = [slots["p"], slots["q"]] if asked else options
  depths = [world.point(*_pixel(text))[2] for text in texts]
  least = max(0.1, 0.0487 * max(depths)) * (1 - 1e-6)
  if max(depths) - min(depths) < least:
    raise oracle.Unsure(f"depths {depths} are too near")
  far = slots.get("word") == "farther" or slots.get("less") == "larger"
  best = (depths[0] < depths[1]) == far
  if form == "yes_no":
    return not best
  if form == "mcq":
    return lambda text: text == texts[best]
  word = "farther" if far else "closer"
  full = f"the pixel in {texts[best]} is {word}"
  return lambda text: text in (full, ("the first", "the second")[best])


def _distance_to_camera(world, form, kind, slots, options):
  thing = world.measured(world.find(slots["a"]))
  return _length(math.dist(thing.centre, (0, 0, 0)), options)


def _distance(world, form, kind, slots, options):
  a, b = (world.measured(world.find(slots[k])) for k in "ab")
  return _length(math.dist(a.centre, b.centre), options)


def _sized(world, text):
  thing = world.measured(world.find(text))
  if thing.note.get("vis", 1) < 0.8:
    raise oracle.Unsure("the size of a half hidden thing")
  return thing


def _size_height(world, form, kind, slots, options):
  return _length(world.height(_sized(world, slots["a"])), options)


def _size_width(world, form, kind, slots, options):
  return _length(world.width(_sized(world, slots["a"])), options)


def _orientation(world, form, kind, slots, options):
  thing = world.measured(world.find(slots["a"]))
  if not thing.fronted:
    raise oracle.Unsure("a thing without a front")
  to_camera = [-c for c in thing.centre]
  seen = world.quarter(thing.ahead, thing.right, to_camera)
  names = _FACES[kind.split(".")[1]]
  if form != "yes_no":
    return _words(names[seen])
  asked = names.index(slots["side"])
  if asked not in (seen, (seen + 2) % 4):
    raise oracle.Unsure("a No where the opposite does not hold")
  return asked == seen


def _relation(world, form, kind, slots, options):
  task, _, sub = kind.partition(".")
  axis = _TASK_AXIS[task]
  a, b = world.find(slots["a"]), world.find(slots["b"])
  sign = world.order(a, b, axis)
  if sub == "side":
    return _words(_NAMES[axis][sign > 0])
  of, asked = _RELATIONS[slots.get("word") or slots["place"]]
  if of != axis:
    raise oracle.Unsure(f"a word along {of} in a question along {axis}")
  if form == "yes_no":
    return sign == asked
  return _words(slots["a"] if sign == asked else slots["b"])


def _size_comparison(world, form, kind, slots, options):
  attribute, sign = _SIZES[slots.get("word") or slots["best"]]
  names = options if kind.endswith(".many") else [slots["a"], slots["b"]]
  things = [_sized(world, name) for name in names]
  values = [getattr(world, attribute)(thing) for thing in things]
  order = sorted(range(len(values)), key=lambda k: -sign * values[k])
  first, second = values[order[0]], values[order[1]]
  ratio = max(first, second) / min(first, second)
  if ratio < _RATIOS[attribute] * (1 - 2e-3):
    raise oracle.Unsure(f"{attribute} {values} are too near")
  if form == "yes_no":
    return order[0] == 0
  return _words(names[order[0]])


def _view(world, form, kind, slots, observer, ahead, right):
  target = world.find(slots["a"])
  to = [t - o for t, o in zip(target.centre, observer.centre, strict=True)]
  if kind.endswith(".four"):
    return _words(_VIEWS[world.quarter(ahead, right, to)])
  lateral = sum(t * r for t, r in zip(to, right, strict=True))
  along = sum(t * f for t, f in zip(to, ahead, strict=True))
  if abs(lateral) < max(0.199, 0.999 * math.tan(0.349) * abs(along)):
    raise oracle.Unsure("almost straight ahead or behind")
  hand = "right" if lateral > 0 else "left"
  return hand == slots["side"] if form == "yes_no" else _words(hand)


def _perspective(world, form, kind, slots, options):
  observer = world.measured(world.find(slots["k"]))
  if not observer.fronted:
    raise oracle.Unsure("an observer without a front")
  ahead, right = observer.ahead, observer.right
  return _view(world, form, kind, slots, observer, ahead, right)


def _perspective_facing(world, form, kind, slots, options):
  observer, faced = world.find(slots["k"]), world.find(slots["b"])
  ahead, right, apart = world.heading(observer.centre, faced.centre)
  if apart < 0.499:
    raise oracle.Unsure("observer and what they face are too near")
  return _view(world, form, kind, slots, observer, ahead, right)


def _counting(world, form, kind, slots, options):
  plural = slots.get("c_plural") or slots["c"]
  names = ("cat", "cat_plural")
  group = [t for t in world.things if plural in [t.note[k] for k in names]]
  anchor = world.find(slots["k"])
  axis, sign = PREDICATES[slots["where"]]
  if not group or anchor in group:
    raise oracle.Unsure(f"no {plural} to count")
  count = sum(world.order(t, anchor, axis) == sign for t in group)
  if form == "yes_no":
    return count == int(slots["n"])
  return _words(str(count))


TASKS = {
  "pixel_xyz": _pixel_xyz,
  "depth_order": _depth_order,
  "distance_to_camera": _distance_to_camera,
  "size_height": _size_height,
  "size_width": _size_width,
  "orientation": _orientation,
  "distance": _distance,
  **dict.fromkeys(_TASK_AXIS, _relation),
  "size_comparison": _size_comparison,
  "perspective": _perspective,
  "perspective_facing": _perspective_facing,
  "counting": _counting,
}
