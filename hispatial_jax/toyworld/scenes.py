"""Records of the toy world: a picture, its depth, and all that is in it."""

import numpy as np

from hispatial_jax.toyworld import (
  annotate,
  layout,
  materials,
  plan,
  render,
  shade,
  shell,
  things,
  world,
)

KINDS = ("room", "tabletop")

# What is kept must be seen on a grid of this size, whatever the picture's, so
# that a seed shows the same scene at every size.
_GRID = 56
_LEAST_CELLS = 5
_LEAST_VISIBLE = 0.3
_LEAST_THINGS = 4
_ATTEMPTS = 50


def make(seed: int, size: int = 112, kind: str | None = None) -> dict:
  """The scene of a seed, as a raw record.

  Args:
    seed: of all that is drawn; not negative.
    size: pixels of a side. The scene does not depend on it.
    kind: one of KINDS, drawn if None.

  Returns:
    id, source, image u8[S,S,3] RGB, depth_m f32[S,S] (exact at the pixels'
    centres), intrinsics f32[3,3] normalised, qa [], objects (annotate.py), and
    masks i32[S,S]: oid + 1, 0 where no object is seen.

  Raises:
    ValueError: an unknown kind, a size below 1, a negative seed.
  """
  wrong = []
  if kind is not None and kind not in KINDS:
    wrong.append(f"kind must be one of {KINDS} or None, got {kind!r}")
  if size < 1:
    wrong.append(f"size must be at least 1, got {size}")
  if seed < 0:
    wrong.append(f"seed must not be negative, got {seed}")
  if wrong:
    raise ValueError("toy scene: " + "; ".join(wrong))
  scene, place, lamp = compose(seed, kind)
  shot = render.picture(place, scene.camera, lamp, size)
  masks = np.where(shot.owner < place.things, shot.owner + 1, 0)
  masks = masks.astype(np.int32)
  return {
    "id": f"toy-{seed:08d}",
    "source": "toyworld",
    "image": shot.rgb,
    "depth_m": shot.depth_m,
    "intrinsics": scene.camera.intrinsics,
    "qa": [],
    "objects": annotate.annotations(scene, place, masks),
    "masks": masks,
  }


def compose(
  seed: int, kind: str | None = None
) -> tuple[plan.Scene, world.World, shade.Light]:
  """What `make` renders: the scene, its triangles, its light."""
  for attempt in range(_ATTEMPTS):
    rng = np.random.default_rng([seed, attempt])
    drawn = str(rng.choice(KINDS))
    scene = layout.draw(rng, kind or drawn)
    _drop_hidden(scene)
    if len(scene.things) >= _LEAST_THINGS:
      place = world.World(scene, shell.build(rng, scene))
      return scene, place, shade.light(rng, scene)
  raise RuntimeError(
    f"toy scene {seed}: {_ATTEMPTS} drafts without {_LEAST_THINGS} visible "
    "things"
  )


def _drop_hidden(scene):
  """Removes what can hardly be seen, and what stands on that.

  One pass will do: what goes can only uncover the rest.
  """
  nearest = np.full((_GRID, _GRID), np.inf, np.float32)
  owner = np.full((_GRID, _GRID), -1)
  total = []
  for i, thing in enumerate(scene.things):
    rows, columns, far = annotate.alone(thing, _GRID)
    total.append(np.isfinite(far).sum())
    row = (rows >= 0) & (rows < _GRID)
    column = (columns >= 0) & (columns < _GRID)
    spot = np.ix_(rows[row], columns[column])
    far = far[np.ix_(row, column)]
    owner[spot] = np.where(far < nearest[spot], i, owner[spot])
    nearest[spot] = np.minimum(far, nearest[spot])
  hidden = set()
  for i in range(len(scene.things)):
    seen = (owner == i).sum()
    if seen < max(_LEAST_CELLS, _LEAST_VISIBLE * total[i]):
      hidden.add(i)
  _drop(scene, hidden)


def _drop(scene, gone):
  """Removes things by index; supports are renumbered."""
  for i, thing in enumerate(scene.things):  # what carries stands before
    if thing.support in gone:
      gone.add(i)
  kept = [i for i in range(len(scene.things)) if i not in gone]
  number = {old: new for new, old in enumerate(kept)} | {-1: -1}
  scene.things = [scene.things[i] for i in kept]
  for thing in scene.things:
    thing.support = number[thing.support]


def vocabulary() -> list[str]:
  """Every word for colours and categories, plurals too, sorted."""
  words = set(materials.COLOURS)
  for name, kind in things.KINDS.items():
    words |= {name, kind.plural}
  return sorted(words)


def contact_sheet(
  seeds, size: int = 112, *, columns: int = 6, depth: bool = False
) -> np.ndarray:
  """u8[H, W, 3]: the pictures of several seeds in rows.

  Args:
    seeds: of the scenes, at least one.
    size: pixels of a side of each.
    columns: pictures in a row.
    depth: shows under each row its depth, near red to far blue.
  """
  cells = []
  for seed in seeds:
    record = make(int(seed), size)
    picture = record["image"]
    if depth:
      picture = np.concatenate([picture, depth_colours(record["depth_m"])])
    cells.append(picture)
  while len(cells) % columns and len(cells) > columns:
    cells.append(np.full_like(cells[0], 255))
  rows = [
    np.concatenate(cells[i : i + columns], 1)
    for i in range(0, len(cells), columns)
  ]
  return np.concatenate(rows)


def depth_colours(depth_m: np.ndarray) -> np.ndarray:
  """u8[H, W, 3]: log depth, near warm to far cold; unknown grey, sky white."""
  depth = np.asarray(depth_m, np.float32)
  known = np.isfinite(depth) & (depth > 0)
  colours = np.full((*depth.shape, 3), 128, np.uint8)
  colours[np.isposinf(depth)] = 255
  if known.any():
    log = np.log(depth[known])
    t = (log - log.min()) / max(float(np.ptp(log)), 1e-6)
    knots = np.linspace(0, 1, len(_SCALE))
    rgb = [np.interp(t, knots, channel) for channel in np.transpose(_SCALE)]
    colours[known] = np.stack(rgb, -1).astype(np.uint8)
  return colours


# Near to far, even in lightness steps.
_SCALE = [
  (250, 235, 170),
  (250, 170, 80),
  (225, 90, 70),
  (160, 50, 110),
  (85, 40, 130),
  (30, 25, 80),
]
