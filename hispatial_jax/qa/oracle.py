"""A second opinion: brute-force answers from boxes, pixels and plain vectors.

Shares no code with scene.py and level0..3.py, on purpose. Everything comes from
the corners of the oriented boxes and from the depth map, one object at a time,
in Python floats. It is stricter than it needs to be: what is too near to call
raises `Unsure`, so a leak from the dead zone shows as an error.
"""

import math

import numpy as np

_REACH = 1e-3  # Annotations are rounded; margins are judged this much softer.


class Unsure(Exception):
  """The question has no answer beyond doubt; the text says why."""


def _unit(v):
  length = math.sqrt(sum(a * a for a in v))
  return tuple(a / length for a in v)


def _dot(a, b):
  return sum(p * q for p, q in zip(a, b, strict=True))


def _cross(a, b):
  return (
    a[1] * b[2] - a[2] * b[1],
    a[2] * b[0] - a[0] * b[2],
    a[0] * b[1] - a[1] * b[0],
  )


class Thing:
  """One object: its box's corners and axes in C, from its obb in W."""

  def __init__(self, note, rows):
    self.note, obb = note, note["obb"]
    yaw = math.radians(obb.get("yaw_deg") or obb.get("angle_deg") or 0.0)
    self.fronted = obb.get("yaw_deg") is not None
    local = (
      (math.cos(yaw), 0.0, -math.sin(yaw)),
      (0.0, -1.0, 0.0),
      (math.sin(yaw), 0.0, math.cos(yaw)),
    )
    columns = tuple(zip(*rows, strict=True))

    def to_camera(w):
      return tuple(_dot(w, column) for column in columns)

    self.right, self.up, self.ahead = (to_camera(axis) for axis in local)
    self.centre = to_camera(obb["centre"])
    self.sides = tuple(obb["size"])
    known = (str(note.get(k) or "") for k in ("name", "color", "cat"))
    self.words = set(" ".join(known).lower().split())
    self.corners = [
      tuple(
        c + sum(s * h * axis[k] for s, h, axis in zip(*bits, strict=True))
        for k, c in enumerate(self.centre)
      )
      for bits in self._corner_bits()
    ]

  def _corner_bits(self):
    half = [s / 2 for s in self.sides]
    axes = (self.right, self.up, self.ahead)
    for code in range(8):
      signs = [1 if code >> k & 1 else -1 for k in range(3)]
      yield signs, half, axes

  def extent(self, axis) -> float:
    """Length of the box's shadow on a direction."""
    shadow = [_dot(corner, axis) for corner in self.corners]
    return max(shadow) - min(shadow)


class World:
  """A record's objects and depth, for asking one thing at a time."""

  def __init__(self, record):
    notes = record.get("objects") or {}
    self.record = record
    self.sure = notes.get("kind", "mono") in ("gt", "lidar")
    self.kappa = 0.01 if self.sure else 0.03
    self.things = []
    if notes.get("gravity") is not None:
      self.down = _unit(notes["gravity"])
      tilt = self.down[2]
      x, y, z = (-tilt * d for d in self.down)
      flat = _unit((x, y, z + 1.0))
      rows = (_cross(self.down, flat), self.down, flat)
      self.things = [
        Thing(note, rows)
        for note in notes.get("objects", ())
        if note.get("area", 1) > 0
      ]

  def find(self, text: str) -> Thing:
    """The one thing that "the red chair" can mean."""
    said = set(text.lower().removeprefix("the ").split())
    found = [t for t in self.things if said <= t.words]
    if len(found) != 1:
      raise Unsure(f"{text!r} means {len(found)} things")
    return found[0]

  def noise(self, a: Thing, b: Thing) -> float:
    """Two standard deviations of a difference of positions."""
    each = [max(0.01, self.kappa * t.centre[2]) for t in (a, b)]
    return 2 * math.hypot(*each) * (1 - _REACH)

  def order(self, a: Thing, b: Thing, axis: str) -> int:
    """1 if a is right of, below or farther than b, -1 for the opposite."""
    ga, gb, floor = a.centre, b.centre, 0.10
    box_a, box_b = a.note["box2d"], b.note["box2d"]
    if axis == "x":
      k, other = 0, ga[0] / ga[2] - gb[0] / gb[2]
      seen = (box_a[0] + box_a[2]) - (box_b[0] + box_b[2])
    elif axis == "y":
      k, other = 1, _dot(ga, self.down) - _dot(gb, self.down)
      seen = (box_a[1] + box_a[3]) - (box_b[1] + box_b[3])
    else:
      far_a, far_b = (math.dist(g, (0, 0, 0)) for g in (ga, gb))
      k, other, floor = 2, far_a - far_b, 0.15
      seen = other
    gap = ga[k] - gb[k]
    if abs(gap) < max(floor - _REACH, self.noise(a, b)):
      raise Unsure(f"{axis} of two things differs by {gap:.3f} m only")
    if not (gap > 0) == (other > 0) == (seen > 0):
      raise Unsure(f"readings along {axis} disagree: {gap} {other} {seen}")
    if min(a.note.get("vis", 1), b.note.get("vis", 1)) < 0.5:
      raise Unsure("one of the two is hardly visible")
    return 1 if gap > 0 else -1

  def height(self, thing: Thing) -> float:
    """Along gravity."""
    return thing.extent(self.down)

  def width(self, thing: Thing) -> float:
    """Along the thing's right, else its longer horizontal edge."""
    across = thing.extent(thing.right)
    if thing.fronted:
      return across
    return max(across, thing.extent(thing.ahead))

  def volume(self, thing: Thing) -> float:
    """Of the box, cubic metres: base by shoelace, times height."""
    a, b, c = (thing.corners[k] for k in (0, 1, 4))
    base = _cross(
      [p - q for p, q in zip(b, a, strict=True)],
      [p - q for p, q in zip(c, a, strict=True)],
    )
    return math.sqrt(_dot(base, base)) * self.height(thing)

  def measured(self, thing: Thing) -> Thing:
    """The thing, if metric questions may be asked about it."""
    if thing.note.get("trunc") or thing.note.get("vis", 1) < 0.5:
      raise Unsure("a metric question about a cut or hidden thing")
    return thing

  def quarter(self, ahead, right, to, slack_deg=5.0) -> int:
    """0 ahead, 1 right, 2 behind, 3 left: the axis nearest to direction."""
    drop = _dot(to, self.down)
    level = _unit([v - drop * d for v, d in zip(to, self.down, strict=True)])
    shares = [_dot(level, ahead), _dot(level, right)]
    shares += [-shares[0], -shares[1]]
    best = max(range(4), key=shares.__getitem__)
    if shares[best] < math.cos(math.radians(45.0 - slack_deg)) - _REACH:
      raise Unsure("near a diagonal")
    return best

  def heading(self, here, there):
    """(ahead, right, metres) of the level way from one point to another."""
    to = [q - p for p, q in zip(here, there, strict=True)]
    drop = _dot(to, self.down)
    flat = [v - drop * d for v, d in zip(to, self.down, strict=True)]
    ahead = _unit(flat)
    return ahead, _cross(self.down, ahead), math.sqrt(_dot(flat, flat))

  def point(self, row: int, column: int):
    """xyz of a pixel of the 448 map, by the inverse of the intrinsics."""
    depth = np.asarray(self.record["depth_m"], np.float64)
    height, width = depth.shape
    i = min(math.floor(row / (448 / height)), height - 1)
    j = min(math.floor(column / (448 / width)), width - 1)
    z = float(depth[i, j])
    if not 0 < z < math.inf:
      raise Unsure(f"pixel {row, column} has no depth")
    unit = np.array([(j + 0.5) / width, (i + 0.5) / height, 1.0])
    matrix = np.asarray(self.record["intrinsics"], np.float64)
    return tuple((np.linalg.inv(matrix) @ unit * z).tolist())
