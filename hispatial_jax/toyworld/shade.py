"""Light: lamp and sky, what they reach, and the colour that comes of it."""

import functools
import math
from typing import NamedTuple

import numpy as np

from hispatial_jax.toyworld import plan, textures, world

_TABLE = 4096
_SHADOW, _SKY = 2, 2  # rays for each point


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


class Hits(NamedTuple):
  """Where N rays met something.

  Attributes:
    triangle: i32[N]. owner: i32[N] number of the instance.
    distance: f64[N] metres of depth.
    point: f32[N, 3] metres in W. normal: f32[N, 3] smooth, flat: f32[N, 3] of
    the triangle, both towards the camera.
    width: f32[N] metres that a pixel covers there.
  """

  triangle: np.ndarray
  owner: np.ndarray
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


def shine(place: world.World, hits: Hits, lamp: Light) -> np.ndarray:
  """f32[N, 2]: the share of the lamp and of the sky that reaches a point."""
  count = len(hits.point)
  start = hits.point + hits.flat * (1e-3 * hits.width + 2e-4)[:, None]
  both = np.zeros((count, 2), np.float32)
  for k in range(_SHADOW):
    target = lamp.spot + lamp.radius * _sphere(count, k + _SKY)
    both[:, 0] += ~place.blocked(
      start, target - start, np.ones(count, np.float32)
    )
  reach = np.full(count, lamp.reach, np.float32)
  for k in range(_SKY):
    spread = hits.normal + 0.98 * _sphere(count, k)
    both[:, 1] += ~place.blocked(start, unit(spread), reach)
  return both / np.array([_SHADOW, _SKY], np.float32)


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


def smooth(light: np.ndarray, hits: Hits, size: int) -> np.ndarray:
  """Averages within 5 x 5 pixels of the same surface, in two rounds."""
  normal = hits.normal.reshape(size, size, 3)
  owner = hits.owner.reshape(size, size)
  values = light.reshape(size, size, 2)
  depth = hits.distance.reshape(size, size).astype(np.float32)
  for step in (1, 2):
    total, weight = values.copy(), np.ones((size, size), np.float32)
    for dy, dx in ((0, step), (step, 0), (step, step), (step, -step)):
      here, there = pair(dy, dx, size)
      like = alike(normal[here], normal[there]) > 0.9
      like &= owner[here] == owner[there]
      like &= np.abs(depth[here] / depth[there] - 1) < 0.06
      like = like.astype(np.float32)
      total[here] += values[there] * like[..., None]
      total[there] += values[here] * like[..., None]
      weight[here] += like
      weight[there] += like
    values = total / weight[..., None]
  return values.reshape(-1, 2)


def alike(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """f[I, J]: the dot product of two fields of vectors."""
  return np.einsum("ijc,ijc->ij", a, b)


def pair(dy: int, dx: int, size: int) -> tuple[tuple, tuple]:
  """Slices of an image and of the same shifted by (dy, dx)."""
  rows = slice(0, size - dy), slice(dy, size)
  columns = slice(0, size - dx), slice(dx, size)
  if dx < 0:
    columns = slice(-dx, size), slice(0, size + dx)
  return (rows[0], columns[0]), (rows[1], columns[1])


def colour(
  place: world.World,
  hits: Hits,
  toward: np.ndarray,
  lamp: Light,
  light: np.ndarray,
) -> np.ndarray:
  """f32[N, 3] display RGB 0..1."""
  owner, row = hits.owner, place.material[hits.triangle]
  axes = place.axes[owner]
  local = np.einsum("nc,ncl->nl", hits.point - place.origin[owner], axes)
  facing = np.einsum("nc,ncl->nl", hits.flat, axes)
  albedo = textures.colour(place.table, row, local, facing, hits.width)
  to_lamp = lamp.spot - hits.point
  away = np.sqrt(dot(to_lamp, to_lamp))
  to_lamp /= away[:, None]
  usual = np.sqrt((lamp.spot * lamp.spot).sum())
  fall = 2.0 / (1 + (away / usual) ** 2) * light[:, 0]
  diffuse = np.maximum(dot(hits.normal, to_lamp), 0) * fall
  # The sky is brighter above (W's y points down); the floor throws some back.
  sky = (0.3 + 0.7 * light[:, 1]) * (0.8 - 0.2 * hits.normal[:, 1])
  glow = place.table.glow[row][:, None]
  lit = albedo * (diffuse[:, None] * lamp.warm + sky[:, None] * lamp.sky + glow)
  half = unit(to_lamp - unit(toward.astype(np.float32)))
  gloss = place.table.gloss[row]
  sharp = np.maximum(dot(half, hits.normal), 0) ** (8 + 60 * gloss)
  lit = lit + (0.5 * gloss * sharp * fall)[:, None] * lamp.warm
  lit = lit * 1.25
  return (lit / (1 + 0.28 * lit)) ** np.float32(1 / 2.2)


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """f[N]: the dot products of rows."""
  return np.einsum("nc,nc->n", a, b)


def unit(x: np.ndarray) -> np.ndarray:
  """Rows at length 1."""
  return x / np.sqrt(dot(x, x))[:, None]
