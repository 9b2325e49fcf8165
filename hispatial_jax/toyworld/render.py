"""Casts the rays of a picture: exact depth, who is where, and its colours.

Depth and masks come from one ray through each pixel's centre; the depth is the
intersection with the triangle's plane in float64. Colours take a few shadow and
sky rays a pixel, smoothed within a surface, and four camera rays more in the
pixels where an edge passes.
"""

from typing import NamedTuple

import numpy as np

from hispatial_jax.toyworld import plan, shade, world

_EDGE = np.array(
  [(-0.25, -0.125), (0.125, -0.25), (0.25, 0.125), (-0.125, 0.25)]
)


class Picture(NamedTuple):
  """rgb u8[S,S,3], depth_m f32[S,S], owner i32[S,S] number of the instance."""

  rgb: np.ndarray
  depth_m: np.ndarray
  owner: np.ndarray


def rays(camera: plan.Camera, u: np.ndarray, v: np.ndarray) -> np.ndarray:
  """f64[N, 3] directions in W with a depth of 1, through unit-image points."""
  k = camera.intrinsics.astype(float)
  x = (u - k[0, 2]) / k[0, 0]
  y = (v - k[1, 2]) / k[1, 1]
  toward = np.stack([x, y, np.ones_like(x)], -1)
  return toward @ camera.frame.T.astype(float)


def grid_rays(camera: plan.Camera, size: int) -> np.ndarray:
  """f64[S*S, 3] directions of `rays` through the centres of all pixels."""
  centre = (np.arange(size) + 0.5) / size
  u, v = np.meshgrid(centre, centre)
  return rays(camera, u.ravel(), v.ravel())


def picture(
  place: world.World, camera: plan.Camera, lamp: shade.Light, size: int
) -> Picture:
  """Renders size x size pixels."""
  toward = grid_rays(camera, size)
  hits = _meet(place, toward, camera, size)
  owner = hits.owner.reshape(size, size)
  light = shade.smooth(shade.shine(place, hits, lamp), hits, size)
  rgb = shade.colour(place, hits, toward, lamp, light)
  edge = np.flatnonzero(_edges(place, hits, size))
  if len(edge):
    x = (edge % size)[:, None] + 0.5 + _EDGE[:, 0]
    y = (edge // size)[:, None] + 0.5 + _EDGE[:, 1]
    more = rays(camera, x.ravel() / size, y.ravel() / size)
    parts = _meet(place, more, camera, size)
    light = _borrow(place, parts, hits, light, lamp, edge, size)
    colours = shade.colour(place, parts, more, lamp, light)
    rgb[edge] = colours.reshape(len(edge), len(_EDGE), 3).mean(1)
  rgb = (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
  depth = hits.distance.reshape(size, size).astype(np.float32)
  return Picture(rgb.reshape(size, size, 3), depth, owner)


def _borrow(place, parts, hits, light, lamp, edge, size):
  """Light of the parts of edge pixels, from the pixel of the same surface.

  Tried in turn: the pixel itself, its neighbour to that side, the one above or
  below. Where none shows the same surface, rays are cast.
  """
  columns = (edge % size)[:, None]
  rows = (edge // size)[:, None]
  beside = np.clip(columns + np.sign(_EDGE[:, 0]).astype(int), 0, size - 1)
  beyond = np.clip(rows + np.sign(_EDGE[:, 1]).astype(int), 0, size - 1)
  found = np.full((len(edge), len(_EDGE)), -1)
  tries = (rows * size + columns, rows * size + beside, beyond * size + columns)
  for pixel in tries:
    pixel = np.broadcast_to(pixel, found.shape)
    flat = pixel.ravel()
    same = parts.owner == hits.owner[flat]
    same &= shade.dot(parts.normal, hits.normal[flat]) > 0.9
    same &= np.abs(parts.distance / hits.distance[flat] - 1) < 0.06
    found = np.where((found < 0) & same.reshape(found.shape), pixel, found)
  found = found.ravel()
  borrowed = light[found]
  rest = np.flatnonzero(found < 0)
  if len(rest):
    few = shade.Hits(*(field[rest] for field in parts))
    borrowed[rest] = shade.shine(place, few, lamp)
  return borrowed


def _meet(place, toward, camera, size):
  """First hits; every ray meets something, for rooms are closed."""
  triangle = place.first(np.zeros(toward.shape, np.float32), toward)
  flat = place.flat[triangle]
  cosine = shade.dot(flat, toward)
  distance = place.offset[triangle] / cosine
  flat *= -np.sign(cosine)[:, None]
  point = (toward * distance[:, None]).astype(np.float32)
  corners, normals = place.corners[triangle], place.normals[triangle]
  weights = np.einsum(
    "nkc,nc->nk", place.weights[triangle], point - corners[:, 0]
  )
  weights = np.clip(weights, 0, 1)
  normal = normals[:, 0] * (1 - weights.sum(1, keepdims=True))
  normal += normals[:, 1] * weights[:, :1] + normals[:, 2] * weights[:, 1:]
  flat = flat.astype(np.float32)
  normal = shade.unit(normal)
  normal *= np.where(
    shade.dot(normal, flat) < 0, np.float32(-1), np.float32(1)
  )[:, None]
  slant = np.abs(cosine) / np.sqrt(shade.dot(toward, toward))
  width = distance / (camera.intrinsics[0, 0] * size)
  width = (width / np.sqrt(np.maximum(slant, 0.02))).astype(np.float32)
  return shade.Hits(
    triangle, place.owner[triangle], distance, point, normal, flat, width
  )


def _edges(place, hits, size):
  """bool[S*S]: pixels whose neighbour is another surface."""
  owner = hits.owner.reshape(size, size)
  material = place.material[hits.triangle].reshape(size, size)
  normal = hits.normal.reshape(size, size, 3)
  edge = np.zeros((size, size), bool)
  for dy, dx in ((0, 1), (1, 0)):
    here, there = shade.pair(dy, dx, size)
    other = (owner[here] != owner[there]) | (material[here] != material[there])
    other |= shade.alike(normal[here], normal[there]) < 0.8
    edge[here] |= other
    edge[there] |= other
  return edge.ravel()
