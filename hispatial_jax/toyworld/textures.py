"""Procedural patterns, evaluated where a ray hits, faded before they alias.

A pattern is a function of the local position in metres; it says how much of the
material's second colour shows, and how bright that spot is. `blur` is the width
of a pixel on the surface, as a share of the pattern's period.
"""

import numpy as np

from hispatial_jax.toyworld import materials


def colour(
  table: materials.Table,
  material: np.ndarray,
  local: np.ndarray,
  normal: np.ndarray,
  width: np.ndarray,
) -> np.ndarray:
  """Linear RGB of surface points.

  Args:
    table: of materials.
    material: i32[N] row of the table.
    local: f32[N, 3] metres, in the frame of the thing or the room.
    normal: f32[N, 3] in the same frame.
    width: f32[N] metres that a pixel covers there.

  Returns:
    f32[N, 3].
  """
  base = table.base[material]
  pattern = table.pattern[material]
  for number in np.unique(pattern):
    if number == materials.PLAIN:
      continue
    hit = np.flatnonzero(pattern == number)
    of = material[hit]
    period = table.period[of]
    share, bright = _PATTERNS[number](
      local[hit] / period[:, None],
      normal[hit],
      width[hit] / period,
      table.seed[of],
    )
    first, second = base[hit], table.second[of]
    mixed = first + (second - first) * share[:, None]
    base[hit] = mixed * bright[:, None]
  return base


def _hash(x, y, seed):
  """f32 in 0..1, from whole numbers; the same on every machine."""
  h = x.astype(np.int64) * 0x9E3779B1 + y.astype(np.int64) * 0x85EBCA77
  h = (h ^ seed.astype(np.int64)) & 0xFFFFFFFF
  h = ((h ^ (h >> 15)) * 0x2C1B3C6D) & 0xFFFFFFFF
  h = ((h ^ (h >> 12)) * 0x297A2D39) & 0xFFFFFFFF
  return ((h ^ (h >> 15)) & 0xFFFFFF).astype(np.float32) / np.float32(0x1000000)


def _noise(x, y, seed):
  """Smooth noise of about period 1, 0..1."""
  i, j = np.floor(x), np.floor(y)
  a, b = x - i, y - j
  a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
  low = _hash(i, j, seed) * (1 - a) + _hash(i + 1, j, seed) * a
  high = _hash(i, j + 1, seed) * (1 - a) + _hash(i + 1, j + 1, seed) * a
  return low * (1 - b) + high * b


def _wave(x, duty, blur):
  """A square wave of period 1 that is 1 for |x| < duty / 2, box-filtered."""
  away = np.abs(x - np.round(x))
  sharp = np.clip((duty / 2 - away) / np.maximum(blur, 1e-3) + 0.5, 0, 1)
  far = np.clip(2 * blur - 0.6, 0, 1)
  return sharp * (1 - far) + duty * far


def _clear(blur):
  """1 where detail of period 1 can be seen, 0 where it would alias."""
  return np.clip(1.5 - 2 * blur, 0, 1)


def _stripes(p, normal, blur, seed):
  lying = (seed & 1).astype(bool)
  x = np.where(lying, p[:, 1], p[:, 0])
  return _wave(x, 0.42, blur), np.ones_like(x)


def _dots(p, normal, blur, seed):
  q = p - np.round(p)
  away = np.sqrt((q * q).sum(-1))
  sharp = np.clip((0.34 - away) / np.maximum(blur, 1e-3) + 0.5, 0, 1)
  seen = _clear(blur)
  return sharp * seen + 0.18 * (1 - seen), np.ones_like(away)


def _checks(p, normal, blur, seed):
  sign = np.ones_like(blur)
  for axis in range(3):
    facing = np.abs(normal[:, axis]) > 0.8
    wave = 2 * _wave(p[:, axis] * 0.5 + 0.13, 0.5, blur * 0.5) - 1
    sign = sign * np.where(facing, 1, wave)
  return 0.5 + 0.5 * sign, np.ones_like(blur)


def _planks(p, normal, blur, seed):
  row = np.floor(p[:, 0])
  along = p[:, 2] / 9 + _hash(row, row * 0, seed) * 7
  board = np.floor(along)
  tone = _hash(row, board, seed)
  grain = _noise(p[:, 0] * 7, p[:, 2] * 0.6 + row * 13, seed)
  seen = _clear(blur)
  share = 0.55 * tone + 0.35 * (grain * seen + 0.5 * (1 - seen))
  gap = _wave(p[:, 0], 0.05, blur) + _wave(along, 0.006, blur / 9)
  return share, 1 - 0.6 * np.clip(gap, 0, 1)


def _tiles(p, normal, blur, seed):
  i, j = np.floor(p[:, 0]), np.floor(p[:, 2])
  chess = (seed & 1) * ((i + j) % 2)
  tone = 0.15 * _hash(i, j, seed) + 0.55 * chess * _clear(blur)
  joint = _wave(p[:, 0], 0.04, blur) + _wave(p[:, 2], 0.04, blur)
  return tone, 1 - 0.45 * np.clip(joint, 0, 1)


def _grain(p, normal, blur, seed):
  wide = _noise(p[:, 0] * 0.35, p[:, 2] * 3, seed)
  fine = _noise(p[:, 0] * 1.5, p[:, 2] * 22, seed + 1)
  seen = _clear(blur * 10)
  return 0.65 * wide + 0.35 * (fine * seen + 0.5 * (1 - seen)), np.ones_like(
    wide
  )


def _wall(p, normal, blur, seed):
  s = np.where(np.abs(normal[:, 2]) > 0.5, p[:, 0], p[:, 2])
  return _wave(s, 0.5, blur), np.ones_like(s)


def _carpet(p, normal, blur, seed):
  fine = _noise(p[:, 0] * 2, p[:, 2] * 2, seed)
  wide = _noise(p[:, 0] * 0.12, p[:, 2] * 0.12, seed + 1)
  seen = _clear(blur)
  return 0.4 * wide + 0.6 * (fine * seen + 0.5 * (1 - seen)), np.ones_like(fine)


def _rings(p, normal, blur, seed):
  away = np.sqrt(p[:, 0] ** 2 + p[:, 2] ** 2)
  return _wave(away, 0.3, blur), np.ones_like(away)


_PATTERNS = {
  materials.STRIPES: _stripes,
  materials.DOTS: _dots,
  materials.CHECKS: _checks,
  materials.PLANKS: _planks,
  materials.TILES: _tiles,
  materials.GRAIN: _grain,
  materials.WALL: _wall,
  materials.CARPET: _carpet,
  materials.RINGS: _rings,
}
