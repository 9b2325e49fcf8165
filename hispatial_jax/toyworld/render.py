"""Casts the rays of a picture: exact depth, who is where, and its colours.

Depth and masks come from one ray through each pixel's centre; the depth is the
intersection with the triangle's plane in float64. Colours take three shadow and
two sky rays a pixel, smoothed within a surface, and four rays more in the
pixels where an edge passes.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from hispatial_jax.toyworld import plan, textures, world

_EDGE = ((-0.25, -0.125), (0.125, -0.25), (0.25, 0.125), (-0.125, 0.25))
_TABLE = 4096


class Light(NamedTuple):
  """A round lamp in W and the light that comes from everywhere.

  Attributes:
    spot: f32[3] metres.
    radius: metres; large gives soft shadows.
    warm: f32[3] strength of the lamp at its usual distance.
    sky: f32[3] strength of the light from everywhere.
    reach: metres in which things darken each other's crevices.
  """

  spot: np.ndarray
  radius: float
  warm: np.ndarray
  sky: np.ndarray
  reach: float


class Picture(NamedTuple):
  """rgb u8[S,S,3], depth_m f32[S,S], owner i32[S,S] number of the instance."""

  rgb: np.ndarray
  depth_m: np.ndarray
  owner: np.ndarray


class _Hits(NamedTuple):
  triangle: np.ndarray
  distance: np.ndarray
  point: np.ndarray
  normal: np.ndarray
  flat: np.ndarray
  width: np.ndarray


def light(rng: np.random.Generator, scene: plan.Scene) -> Light:
  """A lamp above the things, to one side."""
  unit = scene.unit
  room = scene.kind == "room"
  side = rng.choice([-1, 1]) * rng.uniform(0.5, 1.6)
  above, ahead = rng.uniform(1.9, 2.2), rng.uniform(0.3, 2.2)
  if not room:
    side, above, ahead = side * 0.5, rng.uniform(0.8, 1.3), ahead * 0.4
  spot = unit * np.array([side, -above, ahead])
  spot[1] += scene.ground.height_m
  tint = np.array([1.0, rng.uniform(0.88, 0.97), rng.uniform(0.72, 0.92)])
  sky = np.array([rng.uniform(0.85, 0.97), rng.uniform(0.92, 0.98), 1.0])
  return Light(
    spot.astype(np.float32),
    unit * (0.22 if room else 0.12),
    (rng.uniform(0.95, 1.2) * tint).astype(np.float32),
    (rng.uniform(0.5, 0.62) * sky).astype(np.float32),
    unit * (0.7 if room else 0.22),
  )


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
  place: world.World, camera: plan.Camera, lamp: Light, size: int
) -> Picture:
  """Renders size x size pixels."""
  toward = grid_rays(camera, size)
  hits = _meet(place, toward, camera, size)
  owner = place.owner[hits.triangle].reshape(size, size)
  shine = _shine(place, hits, lamp, shadow=3, sky=2)
  shine = _smooth(shine, hits, owner, size)
  rgb = _colour(place, hits, toward, lamp, shine)
  edge = np.flatnonzero(_edges(place, hits, owner, size))
  if len(edge):
    shift = np.array(_EDGE) + 0.5
    many_u = (edge % size)[:, None] + shift[:, 0]
    many_v = (edge // size)[:, None] + shift[:, 1]
    many = rays(camera, many_u.ravel() / size, many_v.ravel() / size)
    more = _meet(place, many, camera, size)
    shine = _shine(place, more, lamp, shadow=2, sky=2)
    colours = _colour(place, more, many, lamp, shine)
    rgb[edge] = colours.reshape(len(edge), len(_EDGE), 3).mean(1)
  rgb = (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
  depth = hits.distance.reshape(size, size).astype(np.float32)
  return Picture(rgb.reshape(size, size, 3), depth, owner)


def _meet(place, toward, camera, size):
  """First hits; every ray meets something, for rooms are closed."""
  triangle = place.first(np.zeros(toward.shape, np.float32), toward)
  flat = place.flat[triangle]
  cosine = _dot(flat, toward)
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
  normal = _unit(normal)
  normal *= np.where(_dot(normal, flat) < 0, np.float32(-1), np.float32(1))[
    :, None
  ]
  slant = np.abs(cosine) / np.sqrt(_dot(toward, toward))
  width = distance / (camera.intrinsics[0, 0] * size)
  width = (width / np.sqrt(np.maximum(slant, 0.02))).astype(np.float32)
  return _Hits(triangle, distance, point, normal, flat, width)


def _dot(a, b):
  return np.einsum("nc,nc->n", a, b)


def _unit(x):
  return x / np.sqrt(_dot(x, x))[:, None]


def _shine(place, hits, lamp, shadow, sky):
  """f32[N, 2]: the share of the lamp and of the sky that reaches a point."""
  count = len(hits.point)
  start = hits.point + hits.flat * (1e-3 * hits.width + 2e-4)[:, None]
  both = np.zeros((count, 2), np.float32)
  for k in range(shadow):
    target = lamp.spot + lamp.radius * _sphere(count, k + sky)
    both[:, 0] += ~place.blocked(
      start, target - start, np.ones(count, np.float32)
    )
  reach = np.full(count, lamp.reach, np.float32)
  for k in range(sky):
    spread = hits.normal + 0.98 * _sphere(count, k)
    both[:, 1] += ~place.blocked(start, _unit(spread), reach)
  return both / np.array([shadow, sky], np.float32)


@functools.cache
def _directions() -> np.ndarray:
  """f32[4096, 3] even on the unit sphere, in an order without pattern."""
  n = np.arange(_TABLE) + 0.5
  z = 1 - 2 * n / _TABLE
  turn = n * math.pi * (3 - math.sqrt(5))
  r = np.sqrt(1 - z * z)
  sphere = np.stack([r * np.cos(turn), r * np.sin(turn), z], -1)
  return np.random.default_rng(0).permutation(sphere).astype(np.float32)


def _sphere(count, k):
  """f32[N, 3] on the unit sphere, other ones for each k."""
  table = np.roll(_directions(), 577 * k, axis=0)
  return np.resize(table, (count, 3))


def _smooth(shine, hits, owner, size):
  """Averages within 5 x 5 pixels of the same surface, in two rounds."""
  normal = hits.normal.reshape(size, size, 3)
  values = shine.reshape(size, size, 2)
  depth = hits.distance.reshape(size, size).astype(np.float32)
  for step in (1, 2):
    total, weight = values.copy(), np.ones((size, size), np.float32)
    for dy, dx in ((0, step), (step, 0), (step, step), (step, -step)):
      here, there = _pair(dy, dx, size)
      like = _alike(normal[here], normal[there]) > 0.9
      like &= owner[here] == owner[there]
      like &= np.abs(depth[here] / depth[there] - 1) < 0.06
      like = like.astype(np.float32)
      total[here] += values[there] * like[..., None]
      total[there] += values[here] * like[..., None]
      weight[here] += like
      weight[there] += like
    values = total / weight[..., None]
  return values.reshape(-1, 2)


def _alike(a, b):
  return np.einsum("ijc,ijc->ij", a, b)


def _pair(dy, dx, size):
  """Slices of an image and of the same shifted by (dy, dx)."""
  rows = slice(0, size - dy), slice(dy, size)
  columns = slice(0, size - dx), slice(dx, size)
  if dx < 0:
    columns = slice(-dx, size), slice(0, size + dx)
  return (rows[0], columns[0]), (rows[1], columns[1])


def _edges(place, hits, owner, size):
  """bool[S*S]: pixels whose neighbour is another surface."""
  material = place.material[hits.triangle].reshape(size, size)
  normal = hits.normal.reshape(size, size, 3)
  edge = np.zeros((size, size), bool)
  for dy, dx in ((0, 1), (1, 0)):
    here, there = _pair(dy, dx, size)
    other = (owner[here] != owner[there]) | (material[here] != material[there])
    other |= _alike(normal[here], normal[there]) < 0.8
    edge[here] |= other
    edge[there] |= other
  return edge.ravel()


def _colour(place, hits, toward, lamp, shine):
  """f32[N, 3] display RGB 0..1."""
  owner, row = place.owner[hits.triangle], place.material[hits.triangle]
  axes = place.axes[owner]
  local = np.einsum("nc,ncl->nl", hits.point - place.origin[owner], axes)
  facing = np.einsum("nc,ncl->nl", hits.flat, axes)
  albedo = textures.colour(place.table, row, local, facing, hits.width)
  to_lamp = lamp.spot - hits.point
  away = np.sqrt(_dot(to_lamp, to_lamp))
  to_lamp /= away[:, None]
  usual = np.sqrt((lamp.spot * lamp.spot).sum())
  fall = 2.0 / (1 + (away / usual) ** 2) * shine[:, 0]
  diffuse = np.maximum(_dot(hits.normal, to_lamp), 0) * fall
  # The sky is brighter above (W's y points down); the floor throws some back.
  sky = (0.3 + 0.7 * shine[:, 1]) * (0.8 - 0.2 * hits.normal[:, 1])
  glow = place.table.glow[row][:, None]
  lit = albedo * (diffuse[:, None] * lamp.warm + sky[:, None] * lamp.sky + glow)
  half = _unit(to_lamp - _unit(toward.astype(np.float32)))
  gloss = place.table.gloss[row]
  sharp = np.maximum(_dot(half, hits.normal), 0) ** (8 + 60 * gloss)
  lit = lit + (0.5 * gloss * sharp * fall)[:, None] * lamp.warm
  lit = lit * 1.25
  return (lit / (1 + 0.28 * lit)) ** np.float32(1 / 2.2)
