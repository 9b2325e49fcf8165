"""Draws a scene: a camera, a room or tabletop, and things that stand in it."""

import dataclasses
import math

import numpy as np

from hispatial_jax.core import geometry
from hispatial_jax.toyworld import materials, plan, things

_TRIES = 40
_MOST = 9


def draw(rng: np.random.Generator, kind: str) -> plan.Scene:
  """A scene of 4 to 9 things, before it is known what hides what."""
  # One factor for the whole picture: without depth nobody can know it.
  unit = math.exp(rng.uniform(math.log(0.72), math.log(1.4)))
  fov = math.radians(rng.uniform(45, 80))
  room = kind == "room"
  height = unit * (rng.uniform(0.9, 1.9) if room else rng.uniform(0.28, 0.6))
  aim = unit * (rng.uniform(2.2, 4.2) if room else rng.uniform(0.65, 1.1))
  pitch = math.atan2(height - (0.5 * unit if room else 0.06 * unit), aim)
  pitch = np.clip(pitch + math.radians(rng.uniform(-4, 4)), 0, math.radians(35))
  roll = math.radians(float(np.clip(rng.normal(0, 1.5), -4, 4)))
  level = [0.0, math.cos(pitch), math.sin(pitch)]
  down = np.array(
    [-math.sin(roll) * level[1], math.cos(roll) * level[1], level[2]]
  )
  frame, _ = geometry.level_frame(down)
  k = geometry.intrinsics_from_fov(fov, fov)
  camera = plan.Camera(k, down.astype(np.float32), frame)
  ground = (_room_ground if room else _table_ground)(rng, unit, height)
  scene = plan.Scene(kind, unit, camera, ground, [])
  _fill(rng, scene)
  return scene


def _room_ground(rng, unit, height):
  low = -unit * np.array([rng.uniform(2, 3.6), rng.uniform(1.0, 2.0)])
  high = unit * np.array([rng.uniform(2, 3.6), rng.uniform(4.0, 6.2)])
  reach = (0.9 * unit, 6.0 * unit)
  return plan.Ground(height, rng.uniform(-35, 35), low, high, reach)


def _table_ground(rng, unit, height):
  low = unit * np.array([-rng.uniform(0.55, 0.9), rng.uniform(0.05, 0.2)])
  high = unit * np.array([rng.uniform(0.55, 0.9), rng.uniform(1.15, 1.6)])
  reach = (0.3 * unit, 1.6 * unit)
  return plan.Ground(height, rng.uniform(-20, 20), low, high, reach)


def _fill(rng, scene):
  """Adds things, large ones first, where they fit and can be seen."""
  chosen = _choose(rng, scene.kind, int(rng.integers(5, 11)))
  drafts = []
  for category, colour in chosen:
    jitter = rng.uniform(0.78, 1.28)
    stretch = things.KINDS[category].stretch
    scale = scene.unit * jitter * (1 + rng.uniform(-stretch, stretch, 3))
    drafts.append((category, colour, scale))
  drafts.sort(key=lambda d: -np.prod(things.model(d[0]).size * d[2]))
  for draft in drafts:
    riding = rng.random() < 0.5
    thing = _ride(rng, scene, draft) if riding else None
    thing = thing or _stand(rng, scene, draft)
    if thing is not None:
      longest = float(thing.size.max())
      thing.rows = materials.of_thing(rng, thing.colour, longest)
      scene.things.append(thing)
    if len(scene.things) == _MOST:
      break


def _choose(rng, kind, count):
  """Pairs (category, colour), each once; colours repeat as late as can be."""
  pool = [name for name in things.KINDS if _nominal(name, kind) > 0]
  categories = [str(name) for name in rng.permutation(pool)[:count]]
  if rng.random() < 0.75:
    again = categories[int(rng.integers(len(categories)))]
    copies = int(rng.integers(1, 4))
    categories = [again] * copies + categories
  categories = categories[:count]
  colours = [str(c) for c in rng.permutation(list(materials.COLOURS))]
  pairs, used = [], set()
  for i, category in enumerate(categories):
    colour = colours[i % len(colours)]
    if (category, colour) not in used:
      used.add((category, colour))
      pairs.append((category, colour))
  return pairs


def _nominal(category, kind):
  """Scale of a category on the ground of that kind of scene, 0 if never."""
  of = things.KINDS[category]
  return of.room if kind == "room" else of.table


def _make(rng, scene, draft, base, support):
  category, colour, scale = draft
  factor = _nominal(category, scene.kind)
  if support >= 0 and scene.kind == "room":
    factor = 1.5 * things.KINDS[category].table
  if rng.random() < 0.35:
    yaw = scene.ground.turn_deg + 90.0 * int(rng.integers(4))
  else:
    yaw = rng.uniform(-180, 180)
  yaw = (yaw + 180.0) % 360.0 - 180.0
  return plan.Thing(
    category, colour, scale * factor, yaw, base, support, scene.camera
  )


def _stand(rng, scene, draft):
  """On the ground; places are even in the image. None if nothing fits."""
  if _nominal(draft[0], scene.kind) == 0:
    return None
  height = scene.ground.height_m
  toward = _rays(scene.camera, rng.uniform(0.06, 0.94, _TRIES), rng)
  for ray in toward.tolist():
    if ray[1] < 0.02:
      continue
    far = height / ray[1]
    base = np.array([ray[0] * far, height, ray[2] * far])
    if not scene.ground.reach[0] < base[2] < scene.ground.reach[1]:
      continue
    thing = _make(rng, scene, draft, base, -1)
    if (
      scene.ground.holds(thing.footprint, 0.03 * scene.unit)
      and _apart(scene, thing)
      and _seen(scene, thing)
    ):
      return thing
  return None


def _rays(camera, u, rng):
  """f64[N, 3] directions in W, at the given u and drawn v."""
  v = rng.uniform(0.15, 0.97, len(u))
  k = camera.intrinsics.astype(float)
  ray = np.stack([(u - k[0, 2]) / k[0, 0], (v - k[1, 2]) / k[1, 1]], -1)
  return np.insert(ray, 2, 1.0, axis=1) @ camera.frame.T.astype(float)


def _ride(rng, scene, draft):
  """On the upper face of another thing. None if nothing fits."""
  hosts = [
    i for i, t in enumerate(scene.things) if things.KINDS[t.category].top > 0
  ]
  if things.KINDS[draft[0]].table == 0 or not hosts:
    return None
  for _ in range(_TRIES // 2):
    support = int(rng.choice(hosts))
    host = scene.things[support]
    loose = _make(rng, scene, draft, host.base, support)
    half = host.size[[0, 2]] / 2 * things.KINDS[host.category].top
    flat_host, flat_thing = host.axes[:, [0, 2]], loose.axes[:, [0, 2]]
    inner = half - np.abs(flat_host.T @ flat_thing) @ (loose.size[[0, 2]] / 2)
    if (inner < 0).any():
      continue
    base = host.base + flat_host @ rng.uniform(-inner, inner)
    base[1] -= host.size[1]
    thing = dataclasses.replace(loose, base=base)
    if _apart(scene, thing) and _seen(scene, thing):
      return thing
  return None


def _apart(scene, thing):
  """Whether the footprint is clear of all that stands on the same face."""
  gap = 0.012 * scene.unit * (4 if scene.kind == "room" else 1)
  return not any(
    other.support == thing.support
    and plan.overlap(thing.footprint, other.footprint, gap)
    for other in scene.things
  )


def _seen(scene, thing):
  """Most of it in the image, not too small, not mostly behind another."""
  box = thing.image_box
  if math.isnan(box[0]):
    return False
  area = _area(box)
  inside = _area([min(max(x, 0.0), 1.0) for x in box])
  if inside < 0.75 * area or not 0.003 < area < 0.3:
    return False
  for other in scene.things:
    rival = other.image_box
    low = [max(p, q) for p, q in zip(box[:2], rival[:2], strict=True)]
    high = [min(p, q) for p, q in zip(box[2:], rival[2:], strict=True)]
    if _area(low + high) > 0.4 * min(area, _area(rival)):
      return False
  return True


def _area(box):
  return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)
