"""A stand-in for moge.MoGe: a wall under a sky, of any picture."""

import sys
import types
from typing import Any, NamedTuple

import numpy as np

from hispatial_jax.core import geometry


class PointMap(NamedTuple):
  """The fields of moge.PointMap."""

  points: Any
  depth: Any
  mask: Any
  intrinsics: Any
  normals: Any = None


def point_map(size, sky=0.25, fov_x_deg=60.0, intrinsics=None) -> PointMap:
  """A wall whose depth runs from 1 m at the left to 3 m at the right.

  Args:
    size: (height, width), pixels.
    sky: share of the rows, from above, that is masked out.
    fov_x_deg: of square pixels.
    intrinsics: instead of fov_x_deg.
  """
  height, width = size
  depth = np.tile(np.linspace(1, 3, width, dtype=np.float32), (height, 1))
  mask = np.ones(size, bool)
  mask[: round(sky * height)] = False
  if intrinsics is None:
    focal = 0.5 / np.tan(np.radians(fov_x_deg) / 2)
    intrinsics = [[focal, 0, 0.5], [0, focal * width / height, 0.5], [0, 0, 1]]
  intrinsics = np.asarray(intrinsics, np.float32)
  points = geometry.unproject(depth, intrinsics)
  points[~mask] = depth[~mask] = np.inf
  return PointMap(points, depth, mask, intrinsics, np.ones_like(points))


class MoGe:
  """Gives `point_map` and keeps what it was asked."""

  def __init__(self, sky: float = 0.25):
    self.sky, self.asked = sky, []

  def infer_batch(self, images, **options) -> list[PointMap]:
    """As moge.MoGe.infer_batch."""
    self.asked += [{"shape": image.shape, **options} for image in images]
    camera = options.get("intrinsics")
    fov = options.get("fov_x_deg") or 60.0
    return [
      point_map(image.shape[:2], self.sky, fov, camera) for image in images
    ]


def install(monkeypatch, model: MoGe) -> list:
  """Makes `moge.load` give `model`; returns the arguments it is called with."""
  import hispatial_jax

  loaded = []

  def load(path, **options):
    if not path.endswith(".pt"):
      raise FileNotFoundError(f"no MoGe-2 model {path}")
    loaded.append((path, options))
    return model

  fake = types.ModuleType("hispatial_jax.moge")
  fake.load = load
  monkeypatch.setitem(sys.modules, "hispatial_jax.moge", fake)
  monkeypatch.setattr(hispatial_jax, "moge", fake, raising=False)
  return loaded
