"""What is not an object: floor, walls, ceiling, windows, rugs, the table."""

import numpy as np

from hispatial_jax.core import geometry
from hispatial_jax.toyworld import materials, plan, shapes

FLOOR, WALLS, CEILING, TRIM, GLOW, CANVAS, FRAME, RUG, LEGS, TOP = range(10)

_WALLS = [
  (0.62, 0.58, 0.50),
  (0.42, 0.55, 0.60),
  (0.58, 0.50, 0.44),
  (0.50, 0.58, 0.47),
  (0.66, 0.56, 0.40),
  (0.52, 0.50, 0.58),
  (0.68, 0.66, 0.62),
]
_FLOORS = [
  (materials.PLANKS, (0.36, 0.20, 0.09), (0.20, 0.10, 0.045)),
  (materials.PLANKS, (0.50, 0.34, 0.18), (0.34, 0.20, 0.10)),
  (materials.PLANKS, (0.24, 0.15, 0.09), (0.13, 0.08, 0.05)),
  (materials.TILES, (0.55, 0.53, 0.50), (0.36, 0.35, 0.34)),
  (materials.TILES, (0.60, 0.52, 0.42), (0.30, 0.24, 0.19)),
  (materials.CARPET, (0.34, 0.36, 0.40), (0.26, 0.28, 0.32)),
  (materials.CARPET, (0.42, 0.36, 0.30), (0.33, 0.28, 0.23)),
]
_TOPS = [
  ((0.45, 0.27, 0.13), (0.30, 0.16, 0.07)),
  ((0.60, 0.44, 0.27), (0.46, 0.31, 0.17)),
  ((0.25, 0.14, 0.08), (0.15, 0.08, 0.04)),
  ((0.62, 0.60, 0.56), (0.54, 0.52, 0.48)),
]
_SOFT = [(0.45, 0.16, 0.14), (0.16, 0.26, 0.36), (0.46, 0.38, 0.22)]


def build(
  rng: np.random.Generator, scene: plan.Scene
) -> list[tuple[shapes.Mesh, np.ndarray, np.ndarray, list[dict]]]:
  """The surroundings as meshes with their pose and materials.

  Returns:
    (mesh in local metres, axes f32[3,3], origin f64[3] in W, material rows).
  """
  rows = _rows(rng, scene.unit)
  ground = scene.ground
  unit = scene.unit
  axes = geometry.object_axes(ground.turn_deg)
  if scene.kind == "room":
    origin = np.array([0.0, ground.height_m, 0.0])
    parts = _room(rng, unit, ground.low, ground.high, ground.height_m)
    return [(parts, axes, origin, rows)]
  floor = ground.height_m + unit * rng.uniform(0.65, 0.8)
  low = ground.low - unit * np.array([rng.uniform(0.6, 1.6), 0.8])
  high = ground.high + unit * rng.uniform(0.25, 1.5, 2)
  around = _room(rng, unit, low, high, floor)
  desk = _desk(unit, ground.low, ground.high, floor - ground.height_m)
  return [
    (around, axes, np.array([0.0, floor, 0.0]), rows),
    (desk, axes, np.array([0.0, ground.height_m, 0.0]), rows),
  ]


def _rows(rng, unit):
  """The material of each slot."""
  seed = [int(s) for s in rng.integers(2**32, size=10)]
  wall = np.array(_WALLS[rng.integers(len(_WALLS))]) * rng.uniform(0.85, 1.1)
  pattern, base, second = _FLOORS[rng.integers(len(_FLOORS))]
  width = {materials.PLANKS: 0.13, materials.TILES: 0.4, materials.CARPET: 0.05}
  period = unit * width[pattern] * rng.uniform(0.75, 1.4)
  top = _TOPS[rng.integers(len(_TOPS))]
  soft = np.array(_SOFT[rng.integers(len(_SOFT))]) * rng.uniform(0.8, 1.2)
  canvas = rng.uniform(0.1, 0.7, 3), rng.uniform(0.1, 0.7, 3)
  stripes = wall * (1 - 0.12 * rng.integers(2))
  white = (0.78, 0.77, 0.74)
  gloss = 0.0 if pattern == materials.CARPET else 0.25
  return [
    materials.row(base, second, pattern, period, gloss, seed=seed[0]),
    materials.row(wall, stripes, materials.WALL, 0.3 * unit, 0.0, seed=seed[1]),
    materials.row((0.75, 0.75, 0.73), gloss=0.0),
    materials.row(white, gloss=0.2),
    materials.row((0.75, 0.86, 0.95), gloss=0.5, glow=0.7),
    materials.row(*canvas, materials.CHECKS, 0.25 * unit, 0.1, seed=seed[2]),
    materials.row((0.10, 0.07, 0.05), gloss=0.3),
    materials.row(soft, soft * 0.6 + 0.12, materials.RINGS, 0.32 * unit, 0.0),
    materials.row((0.16, 0.13, 0.11), gloss=0.3),
    materials.row(*top, materials.GRAIN, 0.1 * unit, 0.3, seed=seed[3]),
  ]


def _room(rng, unit, low, high, eye):
  """Six sides seen from inside, skirting, things on the walls, a rug."""
  tall = max(unit * rng.uniform(2.4, 3.0), eye + 0.3 * unit)
  size = np.array([high[0] - low[0], tall, high[1] - low[1]])
  middle = np.array([(low[0] + high[0]) / 2, tall / 2, (low[1] + high[1]) / 2])
  shellbox = shapes.box(size, middle, WALLS)
  slot = shellbox.slot.copy()
  slot[shellbox.normals[:, 0, 1] < -0.5] = FLOOR
  slot[shellbox.normals[:, 0, 1] > 0.5] = CEILING
  parts = [shellbox._replace(normals=-shellbox.normals, slot=slot)]
  skirt, thick = 0.09 * unit, 0.015 * unit
  for axis, sign in ((0, -1), (0, 1), (2, 1)):
    # (across the wall, up, out of the wall), then put in place.
    wall = [*_hangings(rng, unit, size[2 - axis], tall)]
    wall.append(((0.0, skirt / 2), (size[2 - axis], skirt, thick), TRIM))
    for (along, up), (wide, high_, deep), kind in wall:
      centre, extent = middle.copy(), np.zeros(3)
      centre[axis] += sign * (size[axis] / 2 - deep / 2)
      centre[2 - axis] += along
      centre[1] = up
      extent[axis], extent[1], extent[2 - axis] = deep, high_, wide
      parts.append(shapes.box(extent, centre, kind))
  if rng.random() < 0.6:
    radius = unit * rng.uniform(0.7, 1.3)
    spot = middle + size * np.append(rng.uniform(-0.15, 0.15, 2), 0)[[0, 2, 1]]
    disc = [(radius, 0), (radius, 0.002 * unit), (0, 0.002 * unit)]
    parts.append(shapes.lathe(disc, RUG, (spot[0], 0, spot[2]), 40))
  return shapes.join(*parts)


def _hangings(rng, unit, wide, tall):
  """A window, a picture, a door, or nothing, each in its third of a wall."""
  for third in (-1, 0, 1):
    along = third * wide / 3.2 + unit * rng.uniform(-0.1, 0.1)
    what = rng.choice(
      ["window", "picture", "door", ""], p=[0.3, 0.3, 0.12, 0.28]
    )
    if what == "window":
      w, h = unit * rng.uniform(0.7, 1.1), unit * rng.uniform(0.8, 1.1)
      up = min(1.55 * unit, tall - h / 2 - 0.1 * unit)
      yield (along, up), (w + 0.12 * unit, h + 0.12 * unit, 0.03 * unit), TRIM
      for side in (-1, 1):
        pane = (along + side * w / 4, up)
        yield pane, (w / 2 - 0.04 * unit, h, 0.035 * unit), GLOW
    elif what == "picture":
      w, h = unit * rng.uniform(0.35, 0.8, 2)
      up = 1.5 * unit
      yield (along, up), (w + 0.07 * unit, h + 0.07 * unit, 0.025 * unit), FRAME
      yield (along, up), (w, h, 0.03 * unit), CANVAS
    elif what == "door":
      w, h = 0.85 * unit, 2.0 * unit
      yield (along, h / 2), (w + 0.14 * unit, h + 0.1 * unit, 0.03 * unit), TRIM
      yield (along, h / 2), (w, h, 0.04 * unit), LEGS


def _desk(unit, low, high, tall):
  """The table under a tabletop scene; its upper face is at up = 0."""
  thick = 0.035 * unit
  size = np.array([high[0] - low[0], thick, high[1] - low[1]])
  x, z = (low + high) / 2
  parts = [shapes.box(size, (x, -thick / 2, z), TOP)]
  for end in (low, high):
    for other in (low, high):
      leg = np.array([end[0], 0, other[1]])
      leg = leg + (np.array([x, 0, z]) - leg) * 0.08
      leg[1] = -(tall + thick) / 2
      parts.append(
        shapes.box((0.06 * unit, tall - thick, 0.06 * unit), leg, LEGS)
      )
  return shapes.join(*parts)
