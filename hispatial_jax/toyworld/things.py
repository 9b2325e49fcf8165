"""The categories of the toy world: names, symmetries, where they may stand."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hispatial_jax.toyworld import furniture, shapes, toys

SAMPLES = 201  # points of a surface; then percentiles need no interpolation


class Kind(NamedTuple):
  """One category.

  Attributes:
    build: returns the mesh.
    plural: of the name.
    symmetry: "1" has one front; "2", "4", "inf" looks the same when turned by
      180, 90, any degrees; "none" has neither a front nor a symmetry.
    room: scale in a room, 0 if it does not stand there.
    table: scale on a tabletop, 0 if it does not stand there.
    top: share of the upper face, along right and forward, that others may
      stand on.
    stretch: the three axes are scaled apart by up to this share.
  """

  build: Callable[[], shapes.Mesh]
  plural: str
  symmetry: str
  room: float
  table: float
  top: float = 0.0
  stretch: float = 0.12


KINDS: dict[str, Kind] = {
  "chair": Kind(furniture.chair, "chairs", "1", 1.0, 0.0),
  "sofa": Kind(furniture.sofa, "sofas", "1", 0.85, 0.0),
  "cabinet": Kind(furniture.cabinet, "cabinets", "1", 1.0, 0.0, top=0.9),
  "monitor": Kind(furniture.monitor, "monitors", "1", 0.9, 0.45),
  "table": Kind(furniture.table, "tables", "2", 0.9, 0.0, top=0.9),
  "stool": Kind(furniture.stool, "stools", "4", 1.1, 0.0, top=0.6, stretch=0.0),
  "lamp": Kind(furniture.lamp, "lamps", "inf", 1.0, 0.25, stretch=0.0),
  "dog": Kind(toys.dog, "dogs", "1", 0.9, 0.22),
  "car": Kind(toys.car, "cars", "1", 0.8, 0.2),
  "robot": Kind(toys.robot, "robots", "1", 0.9, 0.2),
  "ball": Kind(toys.ball, "balls", "inf", 0.9, 0.25, stretch=0.0),
  "box": Kind(toys.box, "boxes", "2", 1.0, 0.3, top=0.9, stretch=0.3),
  "vase": Kind(toys.vase, "vases", "inf", 0.9, 0.4, stretch=0.0),
  "cone": Kind(toys.cone, "cones", "4", 0.9, 0.25, stretch=0.0),
  "bucket": Kind(toys.bucket, "buckets", "inf", 1.0, 0.0, stretch=0.0),
  "bottle": Kind(toys.bottle, "bottles", "inf", 0.0, 1.0, stretch=0.0),
  "bowl": Kind(toys.bowl, "bowls", "inf", 0.0, 1.0, stretch=0.0),
  "mug": Kind(toys.mug, "mugs", "none", 0.0, 1.1, stretch=0.0),
  "can": Kind(toys.can, "cans", "inf", 0.0, 1.1, stretch=0.0),
  "book": Kind(toys.book, "books", "none", 0.0, 1.1, top=0.8),
}


class Model(NamedTuple):
  """A category's mesh, made once.

  Attributes:
    mesh: centred on its bounding box in right and forward, standing at up = 0.
    size: f64[3] metres along right, up, forward.
    samples: f32[SAMPLES, 3] points on the surface, even by area.
  """

  mesh: shapes.Mesh
  size: np.ndarray
  samples: np.ndarray


@functools.cache
def model(category: str) -> Model:
  """The model of a category, in its nominal size."""
  mesh = KINDS[category].build()
  low = mesh.corners.reshape(-1, 3).min(0).astype(float)
  high = mesh.corners.reshape(-1, 3).max(0).astype(float)
  middle = (low + high) / 2
  middle[1] = low[1]
  mesh = shapes.shift(mesh, -middle)
  return Model(mesh, high - low, _surface_points(mesh, SAMPLES))


def _surface_points(mesh: shapes.Mesh, count: int) -> np.ndarray:
  """Points spread over the triangles in proportion to their area."""
  a, b, c = (mesh.corners[:, i].astype(float) for i in range(3))
  area = np.linalg.norm(np.cross(b - a, c - a), axis=-1)
  share = np.cumsum(area) / area.sum()
  which = np.searchsorted(share, (np.arange(count) + 0.5) / count)
  rng = np.random.default_rng(0)
  u, v = rng.random((2, count, 1))
  u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
  points = a[which] + u * (b - a)[which] + v * (c - a)[which]
  return points.astype(np.float32)
