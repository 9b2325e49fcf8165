"""What is known of each object of a scene, read off its exact geometry."""

import math

import numpy as np

from hispatial_jax.core import geometry
from hispatial_jax.toyworld import plan, render, things, world

# Percentiles 2, 5, 50, 95, 98 of 201 sorted numbers.
_RANKS = [4, 10, 100, 190, 196]
_DIGITS = 4
_MOST_RAYS = 16384


def annotations(
  scene: plan.Scene, place: world.World, masks: np.ndarray
) -> dict:
  """The `objects` of a record, ready for json.

  Args:
    scene: the things.
    place: the same as triangles.
    masks: i32[S, S] oid + 1, 0 for none.

  Returns:
    gravity: [3] unit vector down in C. kind: "gt". floor_y: height of the
    ground in W, metres. objects: a list, one dict each:
      oid, cat, cat_plural, color, name
      box2d: [x1, y1, x2, y2] pixels, half-open; area: pixels
      vis: pixels seen / pixels that it would cover alone in an image without
        borders; trunc: whether it reaches over a border
      c_c: [3] m, centre of the 3-D box in C; range: its distance from C
      q_c: five rows of [3] m: percentiles 2, 5, 50, 95, 98 of its surface in C
      obb: centre [3] in W, size [3] (right, up, forward) m, yaw_deg in W or
        null when it has no front, angle_deg the same but always given
      size_whl: [3] m; the width of a thing without front is its longer side
      symmetry: see things.Kind; on: oid of what it stands on, or null
  """
  down = scene.camera.down.astype(float)
  return {
    "gravity": _round(down / np.linalg.norm(down), 6),
    "kind": "gt",
    "floor_y": round(float(scene.ground.height_m), _DIGITS),
    "objects": [
      _object(scene, place, masks == i + 1, i) for i in range(len(scene.things))
    ],
  }


def _object(scene, place, mask, index):
  thing = scene.things[index]
  kind = things.KINDS[thing.category]
  to_camera = scene.camera.frame.astype(float)  # rows: points_w @ R_wc
  centre = thing.centre @ to_camera
  samples = things.model(thing.category).samples * thing.scale
  samples = (samples @ thing.axes.T + thing.base) @ to_camera
  seen, all_of_it = coverage(scene, index, mask)
  corners = place.corners[place.owner == index].reshape(-1, 3) @ to_camera
  uv = geometry.project(corners, scene.camera.intrinsics)
  has_front = kind.symmetry == "1"
  wide, tall, long = (float(s) for s in thing.size)
  if not has_front and long > wide:
    wide, long = long, wide
  yaw = round(float(thing.yaw_deg), _DIGITS)
  return {
    "oid": index,
    "cat": thing.category,
    "cat_plural": kind.plural,
    "color": thing.colour,
    "name": f"{thing.colour} {thing.category}",
    "box2d": _box(mask),
    "area": int(mask.sum()),
    "vis": round(min(seen / max(all_of_it, 1), 1.0), _DIGITS),
    "trunc": bool((uv < 0).any() or (uv > 1).any()),
    "c_c": _round(centre),
    "q_c": _round(np.sort(samples, axis=0)[_RANKS]),
    "obb": {
      "centre": _round(thing.centre),
      "size": _round(thing.size),
      "yaw_deg": yaw if has_front else None,
      "angle_deg": yaw,
    },
    "size_whl": _round(np.array([wide, tall, long])),
    "symmetry": kind.symmetry,
    "range": round(float(np.linalg.norm(centre)), _DIGITS),
    "on": None if thing.support < 0 else thing.support,
  }


def coverage(
  scene: plan.Scene, index: int, mask: np.ndarray
) -> tuple[int, int]:
  """Pixels of a thing that are seen, and that it would cover alone.

  Large things are counted on every n-th pixel, both numbers alike.

  Args:
    scene: the things.
    index: of the thing.
    mask: bool[S, S] where it is seen.
  """
  thing = scene.things[index]
  if not may_be_hidden(scene, index):
    seen = int(mask.sum())
    return seen, seen
  size = len(mask)
  rows, columns, far = alone(thing, size)
  inside_r = (rows >= 0) & (rows < size)
  inside_c = (columns >= 0) & (columns < size)
  seen = mask[np.ix_(rows[inside_r], columns[inside_c])].sum()
  return int(seen), int(np.isfinite(far).sum())


def alone(
  thing: plan.Thing, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """A thing's depth on the pixels around it, beyond the image's borders too.

  Returns:
    rows i64[R], columns i64[C] of the pixels (every n-th, if there are many),
    f32[R, C] depth in metres, inf beside it.
  """
  left, top, right, bottom = thing.image_box
  left, top = math.floor(left * size), math.floor(top * size)
  right, bottom = math.ceil(right * size), math.ceil(bottom * size)
  step = math.ceil(math.sqrt((right - left) * (bottom - top) / _MOST_RAYS))
  columns, rows = np.arange(left, right, step), np.arange(top, bottom, step)
  u, v = np.meshgrid((columns + 0.5) / size, (rows + 0.5) / size)
  toward = render.rays(thing.camera, u.ravel(), v.ravel())
  return rows, columns, world.distances(thing, toward).reshape(u.shape)


def may_be_hidden(scene: plan.Scene, index: int) -> bool:
  """Whether another thing or the image's border might hide a part of it."""
  box = scene.things[index].image_box
  if min(box) < 0 or max(box) > 1:
    return True
  return any(
    i != index
    and box[0] < rival.image_box[2]
    and rival.image_box[0] < box[2]
    and box[1] < rival.image_box[3]
    and rival.image_box[1] < box[3]
    for i, rival in enumerate(scene.things)
  )


def _box(mask):
  """[x1, y1, x2, y2] half-open; all 0 for an empty mask."""
  rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
  if not len(rows):
    return [0, 0, 0, 0]
  return [
    int(columns[0]),
    int(rows[0]),
    int(columns[-1]) + 1,
    int(rows[-1]) + 1,
  ]


def _round(x, digits=_DIGITS):
  return np.round(np.asarray(x, float), digits).tolist()
