"""What is known of each object of a scene, read off its exact geometry."""

import math

import numpy as np

from hispatial_jax.core import geometry
from hispatial_jax.toyworld import plan, render, things, world

_PERCENTILES = (2, 5, 50, 95, 98)
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
  seen, all_of_it = coverage(scene, place, index, mask)
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
    "q_c": _round(np.percentile(samples, _PERCENTILES, axis=0)),
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
  scene: plan.Scene, place: world.World, index: int, mask: np.ndarray
) -> tuple[int, int]:
  """Pixels of a thing that are seen, and that it would cover alone.

  Large things are counted on every n-th pixel, both numbers alike.

  Args:
    scene: the things.
    place: the same as triangles.
    index: of the thing.
    mask: bool[S, S] where it is seen.
  """
  size = len(mask)
  box = plan.image_box(scene, scene.things[index])
  if _alone_in_view(scene, index, box):
    seen = int(mask.sum())
    return seen, seen
  left, top = (math.floor(x) for x in box[:2] * size)
  right, bottom = (math.ceil(x) for x in box[2:] * size)
  step = math.ceil(math.sqrt((right - left) * (bottom - top) / _MOST_RAYS))
  columns, rows = np.arange(left, right, step), np.arange(top, bottom, step)
  u, v = np.meshgrid((columns + 0.5) / size, (rows + 0.5) / size)
  toward = render.rays(scene.camera, u.ravel(), v.ravel()).astype(np.float32)
  alone = place.alone(index).run(np.zeros_like(toward), toward) != -1
  rows = rows[(rows >= 0) & (rows < size)]
  columns = columns[(columns >= 0) & (columns < size)]
  return int(mask[np.ix_(rows, columns)].sum()), int(alone.sum())


def _alone_in_view(scene, index, box):
  """Whether nothing, nor the image's border, can hide any part of it."""
  if (box < 0).any() or (box > 1).any():
    return False
  for i, other in enumerate(scene.things):
    rival = plan.image_box(scene, other)
    if (
      i != index and (box[:2] < rival[2:]).all() and (rival[:2] < box[2:]).all()
    ):
      return False
  return True


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
