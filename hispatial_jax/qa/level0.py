"""Level 0, geometric perception: what the point map says of single pixels.

Pixels are those of the 448 x 448 picture; the map behind it may have another
size and is read as the loader resizes it (nearest, corner aligned).
"""

import math

import numpy as np

from hispatial_jax.qa import dice, draft, say

_TRIES = 48
_REACH = 2  # A pixel counts if its 5 x 5 window is valid and
_FLAT = 0.03  # its depths differ by less than this share.
_APART = 32
_BINS = np.geomspace(0.3, 20.0, 7)  # of depth: eight with both open ends
_WINDOW = np.arange(-_REACH, _REACH + 1)


def _candidates(scene, roll: dice.Dice, pixel_grid: int | None):
  """Pixels (row, column) to try: an equal share from each 4 x 4 cell."""
  if pixel_grid:
    place = np.arange(pixel_grid) + 0.5
    place = (place * say.MAP_SIZE / pixel_grid).astype(int)
    cells = np.stack(np.meshgrid(place, place, indexing="ij"), -1)
    cells = cells.reshape(-1, 2)
    if len(cells) <= _TRIES:
      return cells
    return cells[[roll.below(len(cells)) for _ in range(_TRIES)]]
  low, side = _REACH, (say.MAP_SIZE - 2 * _REACH) // 4
  rows = [
    (
      low + side * (k % 4) + roll.below(side),
      low + side * (k // 4 % 4) + roll.below(side),
    )
    for k in range(_TRIES)
  ]
  return np.array(rows)


def _valid(scene, roll: dice.Dice, pixel_grid: int | None):
  """(pixels i64[M,2], points f64[M,3]) of those candidates that count."""
  pixels = _candidates(scene, roll, pixel_grid)
  source = scene.points if scene.points is not None else scene.depth_m
  height, width = source.shape[:2]
  rows = (pixels[:, 0, None] + _WINDOW) * height // say.MAP_SIZE
  columns = (pixels[:, 1, None] + _WINDOW) * width // say.MAP_SIZE
  window = source[rows[:, :, None], columns[:, None, :]].astype(np.float64)
  z = window if scene.points is None else window[..., 2]
  with np.errstate(invalid="ignore"):
    near, far = z.min((1, 2)), z.max((1, 2))
    good = (near > 0) & (far - near < _FLAT * near)
    good &= far <= 50.0  # NaN compares false
  if scene.points is not None:
    points = window[good, _REACH, _REACH, :3]
  else:
    z = z[good, _REACH, _REACH]
    row, column = rows[good, _REACH], columns[good, _REACH]
    k = np.asarray(scene.intrinsics, np.float64)
    y = ((row + 0.5) / height - k[1, 2]) / k[1, 1]
    x = ((column + 0.5) / width - k[0, 2] - k[0, 1] * y) / k[0, 0]
    points = np.stack([x * z, y * z, z], -1)
  return pixels[good], points


def _has_map(scene) -> bool:
  depth = scene.depth_m is not None and scene.intrinsics is not None
  return depth or scene.points is not None


def pixel_xyz(scene, roll, form, plain, pixel_grid=None):
  """Where a pixel is, x y z in C; depth evenly over octave-like bins."""
  if not _has_map(scene):
    return None
  pixels, points = _valid(scene, roll, pixel_grid)
  if not len(pixels):
    return None
  bins = np.searchsorted(_BINS, points[:, 2])
  here = np.flatnonzero(bins == roll.pick(sorted(set(bins.tolist()))))
  i = roll.pick(here)
  row, column = pixels[i].tolist()
  return draft.Draft(
    kind="pixel_xyz",
    slots={"p": say.location(row, column)},
    truth=say.point(points[i]),
    key=(row, column),
    meta={
      "formula": "point_map[pixel]",
      "ids": [],
      "values": {
        "pixel": [row, column],
        "xyz": [round(v, 4) for v in points[i].tolist()],
      },
    },
  )


def depth_order(scene, roll, form, plain, pixel_grid=None):
  """Which of two pixels is nearer (smaller z), or farther."""
  if not _has_map(scene):
    return None
  pixels, points = _valid(scene, roll, pixel_grid)
  ratio = 0.05 if scene.kind in ("gt", "lidar") else 0.10
  for _ in range(_TRIES if len(pixels) > 1 else 0):
    i, j = roll.below(len(pixels)), roll.below(len(pixels))
    zi, zj = float(points[i, 2]), float(points[j, 2])
    apart = math.dist(pixels[i], pixels[j]) >= _APART
    clear = abs(math.log(zi / zj)) >= ratio and abs(zi - zj) >= 0.10
    if apart and clear:
      return _order(roll, form, pixels[[i, j]].tolist(), zi, zj)
  return None


def _order(roll, form, pixels, zi, zj):
  word = roll.pick(("closer", "farther"))
  first = (zi < zj) == (word == "closer")  # the first pixel is the answer
  p, q = (say.location(*pixel) for pixel in pixels)
  slots = {"p": p, "q": q, "word": word}
  slots["to"] = "to" if word == "closer" else "from"
  slots["less"] = "smaller" if word == "closer" else "larger"
  slots["best"] = "closest" if word == "closer" else "farthest"
  slots["answer"] = p if first else q
  slots["nth"] = "first" if first else "second"
  truth = {
    draft.TEXT: f"the pixel in {slots['answer']} is {word}",
    draft.MCQ: 0 if first else 1,
    draft.YES_NO: first,
  }[form]
  return draft.Draft(
    kind="depth_order",
    slots=slots,
    truth=truth,
    options=(f"the pixel in {p}", f"the pixel in {q}"),
    key=(*sorted(map(tuple, pixels)),),
    meta={
      "formula": "z_i < z_j" if word == "closer" else "z_i > z_j",
      "ids": [],
      "values": {"pixels": pixels, "z": [round(zi, 4), round(zj, 4)]},
      "sigma": round(abs(zi - zj) / max(0.01, 0.014 * max(zi, zj)), 1),
    },
  )
