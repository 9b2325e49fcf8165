"""A record's objects as arrays, and the relations that hold beyond doubt.

Frames: C the camera (x right, y down, z forward), W the level frame (heading of
C, y along gravity), O the frame of an object with a front (right, up, forward).
Metres and degrees.

What is too near to call is called by nobody: a relation enters a table only if
it beats its margin (`margin`) and if all natural readings of the word agree
(metres, bearing, place in the picture, gravity). Everything else is 0 in the
table, the dead zone: no question, and no "No" either.
"""

import functools
import math
from typing import Any

import numpy as np

from hispatial_jax.core import geometry

# Relative noise of a position, by kind of annotation; "mono" unless known.
KAPPA = {"gt": 0.01, "lidar": 0.01, "mono": 0.03}
NOISE_FLOOR_M = 0.01
LONGEST_M = {"gt": 15.0, "lidar": 50.0, "mono": 50.0}
SHORTEST_M = {"gt": 0.05, "lidar": 0.05, "mono": 0.10}
# Slack between what is drawn and what is asked of the two-dimensional readings.
BEARING_DEG = 1.0
PIXELS = 1.0


def margin(values, sigma, floor: float, share: float = 0.0):
  """Differences that may be asked about.

  Args:
    values: f64[N] one quantity of N objects.
    sigma: f64[N,N] noise of a difference.
    floor: least difference.
    share: least difference relative to the larger of the two.

  Returns:
    (diff f64[N,N] = values_i - values_j, clear bool[N,N]).
  """
  diff = values[:, None] - values[None, :]
  size = np.abs(values)
  need = np.maximum(floor, 2 * sigma)
  if share:
    need = np.maximum(need, share * np.maximum(size[:, None], size[None, :]))
  return diff, np.abs(diff) >= need


class Scene:
  """The objects of one record. Make it with `Scene.from_record`.

  Attributes:
    id: the record's.
    kind: "gt", "lidar" or "mono": how good the geometry is.
    refs: list of "the red chair", None where no text names one object only.
    cats, plurals, oids: lists, one entry an object.
    c_c, c_w: f64[N,3] centres in C and in W.
    q: f64[N,5,3] percentiles 2, 5, 50, 95, 98 of the surface in C.
    box: f64[N,4] pixels. vis: f64[N]. trunc: bool[N].
    size: f64[N,3] obb sides (right, up, forward). yaw: f64[N] degrees or NaN.
    width: f64[N] side to side: along O's right, or the longer horizontal side
      of a thing without a front.
    level: whether gravity is known. heading_ok: whether W has a heading.
    s: f64[N] noise of a position; sigma: f64[N,N] of a difference.
    depth_m, intrinsics, points: the point map's source, or None.
  """

  def __init__(self, record: dict[str, Any], points=None):
    notes = record.get("objects") or {}
    things = [o for o in notes.get("objects", ()) if o.get("area", 1) > 0]
    self.id = str(record["id"])
    self.kind = notes.get("kind", "mono")
    self.depth_m = record.get("depth_m")
    self.intrinsics = record.get("intrinsics")
    self.points = points
    self.memo: dict[str, Any] = {}  # what tasks keep for the next question
    self.n = len(things)
    self.oids = [int(o["oid"]) for o in things]
    self.cats = [o["cat"] for o in things]
    self.plurals = [o.get("cat_plural") or o["cat"] + "s" for o in things]
    self.refs = _references(things)
    self._geometry(things, notes.get("gravity"))
    self._usable(things)

  @classmethod
  def from_record(cls, record: dict[str, Any], points=None) -> "Scene":
    """Scene of a record or of its annotations.

    Args:
      record: as in data/records.py; needs id, and objects and depth_m with
        intrinsics as far as there are any. The image is not looked at.
      points: f32[H,W,3+] metres in C, inf or NaN unknown; taken for level 0
        instead of depth_m.
    """
    return cls(record, points)

  def _geometry(self, things, gravity) -> None:
    def column(get, *shape):
      rows = [get(o) for o in things]
      return np.array(rows, np.float64).reshape(self.n, *shape)

    self.c_c = column(lambda o: o["c_c"], 3)
    self.q = column(lambda o: o["q_c"], 5, 3)
    self.box = column(lambda o: o["box2d"], 4)
    self.vis = column(lambda o: o.get("vis", 1.0))
    self.size = column(lambda o: o["obb"]["size"], 3)
    self.yaw = column(lambda o: _yaw(o))
    self.width = np.where(
      np.isnan(self.yaw),
      np.maximum(self.size[:, 0], self.size[:, 2]),
      self.size[:, 0],
    )
    self.range = np.sqrt((self.c_c**2).sum(1))
    self.level = gravity is not None
    if self.level:
      frame, self.heading_ok = geometry.level_frame(
        np.asarray(gravity, np.float64)
      )
      self.c_w = self.c_c @ np.asarray(frame, np.float64).T
    else:
      self.heading_ok, self.c_w = False, self.c_c
    kappa = KAPPA.get(self.kind, KAPPA["mono"])
    self.s = np.maximum(NOISE_FLOOR_M, kappa * self.c_c[:, 2])
    self.sigma = np.hypot(self.s[:, None], self.s[None, :])

  def _usable(self, things) -> None:
    """Which objects may appear in which kind of question."""
    named = np.array([ref is not None for ref in self.refs], bool)
    self.trunc = np.array([bool(o.get("trunc")) for o in things], bool)
    self.seen = (self.vis >= 0.5) & (self.c_c[:, 2] > 0)
    self.relates = named & self.seen
    self.metric = self.relates & ~self.trunc
    self.sized = self.metric & (self.vis >= 0.8)
    side = np.sqrt([float(o.get("area", 1e9)) for o in things] or [0.0])
    large = side[: self.n] >= self._picture_side() / 14
    self.fronted = self.metric & (self.vis >= 0.7) & large & ~np.isnan(self.yaw)
    if not self.heading_ok:
      self.fronted = self.fronted & False

  def _picture_side(self) -> float:
    if self.depth_m is not None and np.ndim(self.depth_m) == 2:
      return float(min(self.depth_m.shape))
    return float(self.box[:, 2:].min(initial=448.0, where=self.box[:, 2:] > 0))

  def speakable(self, metres: float) -> bool:
    """Whether a length is one the engine answers with."""
    return self.shortest <= metres <= LONGEST_M.get(self.kind, 50.0)

  @property
  def shortest(self) -> float:
    """The least length the engine answers with, metres."""
    return SHORTEST_M.get(self.kind, 0.10)

  def _axis(self, u: int):
    """AX(u): order along an axis of C; f64[N,N] gap, bool[N,N] clear."""
    gap, clear = margin(self.c_c[:, u], self.sigma, 0.10)
    extent = self.q[:, 4, u] - self.q[:, 0, u]
    clear &= np.abs(gap) >= 0.075 * (extent[:, None] + extent[None, :])
    low, high = self.q[:, 1, u], self.q[:, 3, u]
    overlap = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    length = high - low
    clear &= overlap <= 0.25 * np.minimum(length[:, None], length)
    return gap, clear

  def _agreed(self, gap, clear, *readings):
    """i8[N,N] sign of gap where clear and all other readings agree."""
    sign = np.sign(gap)
    for diff, least in readings:
      clear = clear & (diff * sign >= least)
    both = self.seen[:, None] & self.seen[None, :]
    return np.where(clear & both, sign, 0).astype(np.int8)

  @functools.cached_property
  def right_of(self):
    """i8[N,N]: 1 where i is right of j, -1 left of it, 0 not to be asked."""
    bearing = np.degrees(np.arctan2(self.c_c[:, 0], self.c_c[:, 2]))
    u = (self.box[:, 0] + self.box[:, 2]) / 2
    return self._agreed(
      *self._axis(0),
      (bearing[:, None] - bearing, BEARING_DEG),
      (u[:, None] - u, PIXELS),
    )

  @functools.cached_property
  def below(self):
    """i8[N,N]: 1 where i is below j, -1 above it, 0 not to be asked."""
    if not self.level:
      return np.zeros((self.n, self.n), np.int8)
    down, lower = margin(self.c_w[:, 1], self.sigma, 0.10)
    v = (self.box[:, 1] + self.box[:, 3]) / 2
    gap, clear = self._axis(1)
    return self._agreed(
      gap, clear & lower, (down, 0.10), (v[:, None] - v, PIXELS)
    )

  @functools.cached_property
  def farther(self):
    """i8[N,N]: 1 where i is farther than j, -1 nearer, 0 not to be asked."""
    _, depth = margin(self.c_c[:, 2], self.sigma, 0.15, 0.10)
    far, ranged = margin(self.range, self.sigma, 0.15, 0.10)
    gap, clear = self._axis(2)
    return self._agreed(gap, clear & depth & ranged, (far, 0.0))

  @functools.cached_property
  def distance(self):
    """f64[N,N] metres, centre to centre."""
    return np.sqrt(((self.c_c[:, None] - self.c_c[None]) ** 2).sum(-1))

  @functools.cached_property
  def gap(self):
    """f64[N,N] least horizontal distance of upright cylinders around boxes."""
    flat = self.c_w[:, None, ::2] - self.c_w[None, :, ::2]
    radius = np.hypot(self.size[:, 0], self.size[:, 2]) / 2
    return np.sqrt((flat**2).sum(-1)) - radius[:, None] - radius[None, :]


def _yaw(thing) -> float:
  """Yaw in degrees; NaN without one single front."""
  yaw = thing["obb"].get("yaw_deg")
  fronted = str(thing.get("symmetry", "1")) in ("none", "1")
  return float(yaw) if yaw is not None and fronted else math.nan


def _references(things) -> list[str | None]:
  """ "the red chair" for each thing that this text tells from all others.

  A simulated reader takes a text to mean everything whose words (name, colour,
  category) include all of the text's: it must find one thing.
  """
  known = []
  for thing in things:
    words = f"{thing.get('name') or ''} {thing.get('color') or ''}"
    known.append(set(f"{words} {thing['cat']}".lower().split()))
  refs = []
  for thing in things:
    name = thing.get("name")
    said = set((name or "").lower().split())
    unique = bool(said) and sum(said <= words for words in known) == 1
    refs.append(f"the {name}" if unique else None)
  return refs
