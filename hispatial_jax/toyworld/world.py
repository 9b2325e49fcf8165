"""A scene as one set of triangles that rays can be cast into."""

import functools
import os
from typing import Any

import numpy as np

from hispatial_jax.toyworld import materials, plan, shapes, things

_FAR = 1e6  # metres; embreex gives 1e37 for a miss


class World:
  """Triangles, what they belong to, and a tree to find them by.

  Attributes:
    corners: f32[T, 3, 3] metres in W.
    normals: f32[T, 3, 3] at the corners, in W.
    owner: i32[T] number of the instance; things first, then surroundings.
    material: i32[T] row of `table`.
    table: all materials.
    axes: f32[I, 3, 3] columns are the instance's axes in W.
    origin: f32[I, 3] of the instance in W.
    things: how many of the instances are things.
    flat: f64[T, 3] unit normals of the triangles.
    offset: f64[T] of their planes: flat . point = offset.
    weights: f32[T, 2, 3] gradients of the second and third corner's weights.
  """

  def __init__(self, scene: plan.Scene, around: list):
    meshes, axes, origin, rows = [], [], [], []
    for thing in scene.things:
      mesh = things.model(thing.category).mesh
      meshes.append(
        placed(mesh, thing.scale, thing.axes, thing.base, len(rows))
      )
      axes.append(thing.axes)
      origin.append(thing.base)
      rows += thing.rows
    for mesh, frame, at, surface in around:
      meshes.append(placed(mesh, np.ones(3), frame, at, len(rows)))
      axes.append(frame)
      origin.append(at)
      rows += surface
    whole = shapes.join(*meshes)
    counts = [len(mesh.slot) for mesh in meshes]
    self.corners, self.normals, self.material = whole
    self.owner = np.repeat(np.arange(len(meshes), dtype=np.int32), counts)
    self.table = materials.table(rows)
    self.axes = np.array(axes, np.float32)
    self.origin = np.array(origin, np.float32)
    self.things = len(scene.things)
    self._planes()
    self._tree = tree(self.corners)

  def _planes(self):
    """Plane and corner weights of each triangle, as linear functions."""
    a, b, c = (self.corners[:, i].astype(float) for i in range(3))
    flat = np.cross(b - a, c - a)
    double_area = np.einsum("tc,tc->t", flat, flat)
    self.flat = flat / np.sqrt(double_area)[:, None]
    self.offset = np.einsum("tc,tc->t", self.flat, a)
    second = np.cross(c - a, flat) / double_area[:, None]
    third = np.cross(flat, b - a) / double_area[:, None]
    self.weights = np.stack([second, third], 1).astype(np.float32)

  def first(self, origin: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """i32[N]: the triangle that each ray meets first, -1 none."""
    return self._tree.run(origin, direction.astype(np.float32))

  def blocked(
    self, origin: np.ndarray, direction: np.ndarray, reach: np.ndarray
  ) -> np.ndarray:
    """bool[N]: whether anything lies within reach (in lengths of direction)."""
    hit = self._tree.run(origin, direction, reach, query="OCCLUDED")
    return hit != -1


def distances(thing: plan.Thing, direction: np.ndarray) -> np.ndarray:
  """Where rays from the camera meet a thing, as if there were nothing else.

  Uses one tree for each category, made once.

  Args:
    thing: placed in W.
    direction: f[N, 3] in W.

  Returns:
    f32[N] in lengths of direction, inf for a miss.
  """
  inverse = thing.axes / thing.scale
  local = (direction @ inverse).astype(np.float32)
  origin = (-thing.base @ inverse).astype(np.float32)
  origins = np.repeat(origin[None], len(local), 0)
  met = _category_tree(thing.category, os.getpid())
  far = met.run(origins, local, query="DISTANCE")
  return np.where(far < _FAR, far, np.float32(np.inf))


@functools.cache
def _category_tree(category, pid):
  return tree(things.model(category).mesh.corners)


def tree(corners: np.ndarray) -> Any:
  """An embree scene of triangles f32[T, 3, 3]."""
  try:
    from embreex import mesh_construction, rtcore_scene
  except ImportError as error:
    raise ImportError(
      "the toy world casts rays with embreex, which is not installed: "
      "pip install 'hispatial_jax[data]'"
    ) from error
  scene = rtcore_scene.EmbreeScene(device=_device(os.getpid()), robust=True)
  corners = np.ascontiguousarray(corners, np.float32)
  mesh_construction.TriangleMesh(scene, corners)
  return scene


@functools.cache
def _device(pid):
  """One for each process: its threads do not survive a fork."""
  from embreex import rtcore

  return rtcore.EmbreeDevice()


def placed(
  mesh: shapes.Mesh,
  scale: np.ndarray,
  axes: np.ndarray,
  origin: np.ndarray,
  first_row: int,
) -> shapes.Mesh:
  """The mesh in W; its slots count from first_row."""
  pose = (axes * scale).T.astype(np.float32)
  corners = mesh.corners.reshape(-1, 3) @ pose + origin.astype(np.float32)
  turn = (axes / scale).T.astype(np.float32)
  normals = mesh.normals.reshape(-1, 3) @ turn
  normals /= np.sqrt((normals * normals).sum(-1, keepdims=True))
  return shapes.Mesh(
    corners.reshape(-1, 3, 3), normals.reshape(-1, 3, 3), mesh.slot + first_row
  )
