"""What a scene is made of: camera, ground and things, in the level frame W.

W has its origin in the camera, x right, y down, z ahead (level), so the ground
lies at y = the camera's height above it.
"""

import dataclasses

import numpy as np

from hispatial_jax.core import geometry
from hispatial_jax.toyworld import things


@dataclasses.dataclass
class Camera:
  """intrinsics f32[3,3] normalised, down f32[3] in C, frame R_wc f32[3,3]."""

  intrinsics: np.ndarray
  down: np.ndarray
  frame: np.ndarray


@dataclasses.dataclass
class Thing:
  """One object.

  Attributes:
    category, colour: its name.
    scale: f64[3] along right, up, forward, of the category's model.
    yaw_deg: in W.
    base: f64[3] metres in W, centre of the lower face.
    support: index of the thing below, -1 for the ground.
    rows: its materials.
  """

  category: str
  colour: str
  scale: np.ndarray
  yaw_deg: float
  base: np.ndarray
  support: int
  rows: list[dict]

  @property
  def size(self) -> np.ndarray:
    """f64[3] metres along right, up, forward."""
    return things.model(self.category).size * self.scale

  @property
  def centre(self) -> np.ndarray:
    """f64[3] metres in W, of the box."""
    return self.base - np.array([0.0, self.size[1] / 2, 0.0])

  @property
  def axes(self) -> np.ndarray:
    """f32[3,3] columns right, up, forward in W."""
    return geometry.object_axes(self.yaw_deg)

  def corners(self) -> np.ndarray:
    """f32[8,3] of the box in W."""
    return geometry.box_corners(self.centre, self.size, self.axes)


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

  def local(self, points: np.ndarray) -> np.ndarray:
    """[..., 3] in W -> [..., 2] (right, forward) of the rectangle."""
    axes = geometry.object_axes(self.turn_deg)
    return points @ axes[:, [0, 2]]


@dataclasses.dataclass
class Scene:
  """All that is drawn. `unit` is the scale common to everything in it."""

  kind: str
  unit: float
  camera: Camera
  ground: Ground
  things: list[Thing]


def overlap(a: Thing, b: Thing, gap: float = 0.0) -> bool:
  """Whether two footprints come nearer than gap (separating axes)."""
  between = (b.centre - a.centre)[[0, 2]]
  for first in (a, b):
    for axis in (0, 2):
      line = first.axes[[0, 2], axis]
      reach = sum(
        (np.abs(line @ t.axes[[0, 2]][:, [0, 2]]) * t.size[[0, 2]]).sum() / 2
        for t in (a, b)
      )
      if abs(between @ line) > reach + gap:
        return False
  return True


def image_box(scene: Scene, thing: Thing) -> np.ndarray:
  """[u1, v1, u2, v2] of the box's corners; NaN if one is behind the camera."""
  points = thing.corners() @ scene.camera.frame
  if points[:, 2].min() < 0.05 * scene.unit:
    return np.full(4, np.nan)
  uv = geometry.project(points, scene.camera.intrinsics)
  return np.concatenate([uv.min(0), uv.max(0)])
