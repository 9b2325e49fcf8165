"""What a scene is made of: camera, ground and things, in the level frame W.

W has its origin in the camera, x right, y down, z ahead (level), so the ground
lies at y = the camera's height above it.
"""

import dataclasses
import functools
import math
from typing import NamedTuple

import numpy as np

from hispatial_jax.core import geometry
from hispatial_jax.toyworld import things


@dataclasses.dataclass
class Camera:
  """intrinsics f32[3,3] normalised, down f32[3] in C, frame R_wc f32[3,3]."""

  intrinsics: np.ndarray
  down: np.ndarray
  frame: np.ndarray


class Footprint(NamedTuple):
  """A rectangle on the ground: centre, direction of forward, half sizes."""

  x: float
  z: float
  cos: float
  sin: float
  half_right: float
  half_forward: float


@dataclasses.dataclass
class Thing:
  """One object; only `support` and `rows` may change after it is made.

  Attributes:
    category, colour: its name.
    scale: f64[3] along right, up, forward, of the category's model.
    yaw_deg: in W.
    base: f64[3] metres in W, centre of the lower face.
    support: index of the thing below, -1 for the ground.
    camera: that sees it.
    rows: its materials.
  """

  category: str
  colour: str
  scale: np.ndarray
  yaw_deg: float
  base: np.ndarray
  support: int
  camera: Camera
  rows: list[dict] = dataclasses.field(default_factory=list)

  @functools.cached_property
  def size(self) -> np.ndarray:
    """f64[3] metres along right, up, forward."""
    return things.model(self.category).size * self.scale

  @functools.cached_property
  def centre(self) -> np.ndarray:
    """f64[3] metres in W, of the box."""
    return self.base - np.array([0.0, self.size[1] / 2, 0.0])

  @functools.cached_property
  def axes(self) -> np.ndarray:
    """f32[3,3] columns right, up, forward in W."""
    return geometry.object_axes(self.yaw_deg)

  @functools.cached_property
  def corners(self) -> np.ndarray:
    """f32[8,3] of the box in W."""
    return geometry.box_corners(self.centre, self.size, self.axes)

  @functools.cached_property
  def image_box(self) -> tuple[float, ...]:
    """(u1, v1, u2, v2) around the box in the unit image, NaN if too near."""
    points = self.corners @ self.camera.frame
    if points[:, 2].min() < 0.1 * points[:, 2].max():
      return (math.nan,) * 4
    uv = geometry.project(points, self.camera.intrinsics)
    return (*uv.min(0).tolist(), *uv.max(0).tolist())

  @functools.cached_property
  def footprint(self) -> Footprint:
    """The box seen from above."""
    yaw = math.radians(self.yaw_deg)
    x, _, z = self.base.tolist()
    right, _, forward = (self.size / 2).tolist()
    return Footprint(x, z, math.cos(yaw), math.sin(yaw), right, forward)


@dataclasses.dataclass
class Ground:
  """The rectangle that things stand on.

  Attributes:
    height_m: of the camera above it.
    turn_deg: yaw of the rectangle's forward axis in W.
    low, high: its ends (right, forward) in its own axes, camera at 0, metres.
    reach: least and largest z at which things stand.
  """

  height_m: float
  turn_deg: float
  low: np.ndarray
  high: np.ndarray
  reach: tuple[float, float]

  def holds(self, foot: Footprint, margin: float) -> bool:
    """Whether a footprint lies within the rectangle, margin from its ends."""
    turn = math.radians(self.turn_deg)
    cos, sin = math.cos(turn), math.sin(turn)
    right = foot.x * cos - foot.z * sin
    forward = foot.x * sin + foot.z * cos
    c = abs(foot.cos * cos + foot.sin * sin)
    s = abs(foot.sin * cos - foot.cos * sin)
    reach_right = foot.half_right * c + foot.half_forward * s + margin
    reach_forward = foot.half_right * s + foot.half_forward * c + margin
    return (
      self.low[0] + reach_right < right < self.high[0] - reach_right
      and self.low[1] + reach_forward < forward < self.high[1] - reach_forward
    )


@dataclasses.dataclass
class Scene:
  """All that is drawn. `unit` is the scale common to everything in it."""

  kind: str
  unit: float
  camera: Camera
  ground: Ground
  things: list[Thing]


def overlap(a: Footprint, b: Footprint, gap: float = 0.0) -> bool:
  """Whether two footprints come nearer than gap (separating axes)."""
  dx, dz = b.x - a.x, b.z - a.z
  c = abs(a.cos * b.cos + a.sin * b.sin)
  s = abs(a.sin * b.cos - a.cos * b.sin)
  for one, two in ((a, b), (b, a)):
    right = abs(dx * one.cos - dz * one.sin)
    forward = abs(dx * one.sin + dz * one.cos)
    reach_right = one.half_right + two.half_right * c + two.half_forward * s
    reach_forward = one.half_forward + two.half_right * s + two.half_forward * c
    if right > reach_right + gap or forward > reach_forward + gap:
      return False
  return True
