"""Triangle meshes of simple solids, from which all things are made.

Local frame of a thing: (right, up, forward) in metres, the floor at up = 0.
Every triangle has its corners, the normals there (so that round things look
round with few triangles) and the slot of the material that covers it.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Mesh(NamedTuple):
  """corners f32[M,3,3] metres, normals f32[M,3,3] unit, slot i32[M]."""

  corners: np.ndarray
  normals: np.ndarray
  slot: np.ndarray


Vector = Sequence[float]


def join(*parts: Mesh) -> Mesh:
  """One mesh of several."""
  return Mesh(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def grid(points: np.ndarray, normals: np.ndarray, slot: int) -> Mesh:
  """Two triangles for each cell of points[I, J, 3]; none for empty cells."""

  def cells(x):
    a, b, c, d = x[:-1, :-1], x[1:, :-1], x[1:, 1:], x[:-1, 1:]
    pair = np.stack([np.stack([a, b, c], 2), np.stack([a, c, d], 2)], 2)
    return pair.reshape(-1, 3, 3)

  corners = cells(points)
  cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
  keep = np.linalg.norm(cross, axis=-1) > 1e-9
  return Mesh(
    corners[keep].astype(np.float32),
    cells(normals)[keep].astype(np.float32),
    np.full(keep.sum(), slot, np.int32),
  )


def box(size: Vector, centre: Vector, slot: int = 0) -> Mesh:
  """A sharp-edged cuboid: 12 triangles."""
  unit = _unit_box()
  half = np.asarray(size, np.float32) / 2
  corners = unit.corners * half + np.asarray(centre, np.float32)
  return Mesh(corners, unit.normals, np.full(12, slot, np.int32))


@functools.cache
def _unit_box() -> Mesh:
  """The box from -1 to 1 along each axis."""
  parts = []
  for axis in range(3):
    for sign in (-1, 1):
      points, normals = np.zeros((2, 2, 3)), np.zeros((2, 2, 3))
      points[..., axis] = normals[..., axis] = sign
      points[..., (axis + 1) % 3] = [[-1, -1], [1, 1]]
      points[..., (axis + 2) % 3] = [[-1, 1], [-1, 1]]
      parts.append(grid(points, normals, 0))
  return join(*parts)


def pillow(
  size: Vector,
  centre: Vector,
  slot: int = 0,
  power: float = 1.0,
  cells: tuple[int, int] | None = None,
) -> Mesh:
  """A superellipsoid: power 1 an ellipsoid, towards 0 a box with soft edges.

  Args:
    size: metres along each axis.
    centre: of it.
    slot: of the material.
    power: of both sections.
    cells: of the grid around and upward; by default few for small ones.
  """
  cells = cells or _cells(max(size))
  around = np.linspace(0, 2 * math.pi, cells[0] + 1)
  upward = np.linspace(-math.pi / 2, math.pi / 2, cells[1] + 1)

  def surface(e):
    def signed(x):
      return np.sign(x) * np.abs(np.where(np.abs(x) < 1e-9, 0, x)) ** e

    c, s = signed(np.cos(upward)), signed(np.sin(upward))
    return np.stack(
      [
        c[:, None] * signed(np.cos(around)),
        np.repeat(s[:, None], len(around), 1),
        c[:, None] * signed(np.sin(around)),
      ],
      -1,
    )

  half = np.asarray(size, float) / 2
  normals = _unit(surface(max(2 - power, 1e-3)) / half)
  return grid(surface(power) * half + np.asarray(centre), normals, slot)


def _cells(size):
  """Enough for a smooth outline at that size in metres."""
  return (16, 8) if size > 0.3 else (12, 6) if size > 0.12 else (8, 4)


def lathe(
  profile: Sequence[tuple[float, float]],
  slot: int = 0,
  centre: Vector = (0, 0, 0),
  segments: int = 24,
) -> Mesh:
  """A turned solid about the up axis.

  Args:
    profile: (radius, height) from below to above along the outside. Bends under
      50 degrees are smooth, sharper ones stay edges.
    slot: of the material.
    centre: added to all points.
    segments: of the full turn.
  """
  points = np.asarray(profile, float)
  step = np.diff(points, axis=0)
  flat = _unit(np.stack([step[:, 1], -step[:, 0]], -1))
  soft = _unit(flat[:-1] + flat[1:])
  smooth = (flat[:-1] * flat[1:]).sum(-1) > math.cos(math.radians(50))
  begin, end = flat.copy(), flat.copy()
  begin[1:][smooth] = soft[smooth]
  end[:-1][smooth] = soft[smooth]
  angle = np.linspace(0, 2 * math.pi, segments + 1)
  turn = np.stack([np.cos(angle), np.zeros_like(angle), np.sin(angle)], -1)
  up = np.array([0.0, 1.0, 0.0])

  def ring(pair):
    return pair[0] * turn + pair[1] * up

  parts = []
  for i in range(len(step)):
    rings = np.stack([ring(points[i]), ring(points[i + 1])])
    normals = np.stack([ring(begin[i]), ring(end[i])])
    parts.append(grid(rings + np.asarray(centre), normals, slot))
  return join(*parts)


def cylinder(
  radius: float, height: float, base: Vector = (0, 0, 0), slot: int = 0
) -> Mesh:
  """A closed cylinder that stands on `base`."""
  profile = [(0, 0), (radius, 0), (radius, height), (0, height)]
  return lathe(profile, slot, base, 20 if radius > 0.1 else 12)


def hoop(
  radius: float,
  tube: float,
  centre: Vector,
  slot: int = 0,
  arc_deg: float = 180,
) -> Mesh:
  """A part of a ring in the plane of right and up, open to the left."""
  half = math.radians(arc_deg) / 2
  along = np.linspace(-half, half, 13)[:, None]
  around = np.linspace(0, 2 * math.pi, 9)[None, :]

  def stack(distance):
    x = np.cos(along) * distance
    y = np.sin(along) * distance
    return np.stack([x, y, np.zeros_like(x)], -1)

  side = np.sin(around)[..., None] * np.array([0.0, 0.0, 1.0])
  normals = stack(np.cos(around)) + side
  points = stack(radius + tube * np.cos(around)) + tube * side
  return grid(points + np.asarray(centre), normals, slot)


def lay(mesh: Mesh, axis: int) -> Mesh:
  """The mesh with its up axis laid along right (0) or forward (2)."""
  order = [1, 0, 2] if axis == 0 else [0, 2, 1]
  return Mesh(mesh.corners[..., order], mesh.normals[..., order], mesh.slot)


def shift(mesh: Mesh, by: Vector) -> Mesh:
  """The mesh moved."""
  moved = mesh.corners + np.asarray(by, np.float32)
  return Mesh(moved.astype(np.float32), mesh.normals, mesh.slot)


def tilt(mesh: Mesh, angle_deg: float, pivot: Vector = (0, 0, 0)) -> Mesh:
  """The mesh turned about the right axis: positive leans it backward."""
  angle = math.radians(angle_deg)
  cos, sin = math.cos(angle), math.sin(angle)
  turn = np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]], np.float32)
  pivot = np.asarray(pivot, np.float32)
  corners = (mesh.corners - pivot) @ turn.T + pivot
  return Mesh(corners, mesh.normals @ turn.T, mesh.slot)


def _unit(x: np.ndarray) -> np.ndarray:
  return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
