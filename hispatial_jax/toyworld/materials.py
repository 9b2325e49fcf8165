"""What surfaces are made of: colours, patterns, gloss.

A material is one row of a `Table`. Things have MAIN (their colour and pattern),
TINT (the same colour, another tone) and slots that are alike for all things.
"""

from typing import NamedTuple

import numpy as np

MAIN, TINT, DARK, WOOD, METAL, GLASS, WHITE, BLACK, LIGHT = range(9)
SLOTS = 9

# Patterns, see textures.py.
PLAIN, STRIPES, DOTS, CHECKS, PLANKS, TILES, GRAIN, WALL, CARPET, RINGS = range(
  10
)

# Linear RGB of the named colours: saturated, far apart, readable in shade.
COLOURS = {
  "red": (0.72, 0.035, 0.03),
  "orange": (0.90, 0.24, 0.015),
  "yellow": (0.88, 0.62, 0.03),
  "green": (0.06, 0.42, 0.06),
  "cyan": (0.03, 0.52, 0.60),
  "blue": (0.025, 0.10, 0.62),
  "purple": (0.24, 0.04, 0.50),
  "pink": (0.88, 0.22, 0.42),
  "white": (0.82, 0.81, 0.78),
  "black": (0.022, 0.022, 0.026),
}

_COMMON = {
  DARK: ((0.05, 0.05, 0.06), 0.2),
  WOOD: ((0.33, 0.17, 0.07), 0.1),
  METAL: ((0.48, 0.48, 0.50), 0.6),
  GLASS: ((0.035, 0.06, 0.10), 0.9),
  WHITE: ((0.80, 0.79, 0.75), 0.2),
  BLACK: ((0.015, 0.015, 0.018), 0.4),
  LIGHT: ((0.95, 0.90, 0.70), 0.3),
}


class Table(NamedTuple):
  """Materials by number.

  Attributes:
    base: f32[M, 3] linear RGB.
    second: f32[M, 3] of the pattern.
    pattern: i32[M], one of the patterns above.
    period: f32[M] metres.
    gloss: f32[M] 0..1.
    glow: f32[M] own light.
    seed: u32[M] varies what the pattern draws.
  """

  base: np.ndarray
  second: np.ndarray
  pattern: np.ndarray
  period: np.ndarray
  gloss: np.ndarray
  glow: np.ndarray
  seed: np.ndarray


def table(rows: list[dict]) -> Table:
  """Stacks rows of `row`."""
  dtypes = [np.float32, np.float32, np.int32] + [np.float32] * 3 + [np.uint32]
  columns = [
    np.array([row[key] for row in rows], dtype)
    for key, dtype in zip(Table._fields, dtypes, strict=True)
  ]
  return Table(*columns)


def row(
  base, second=None, pattern=PLAIN, period=1.0, gloss=0.1, glow=0.0, seed=0
):
  """One material; the pattern's colour is the base unless given."""
  second = base if second is None else second
  return {
    "base": tuple(base),
    "second": tuple(second),
    "pattern": pattern,
    "period": period,
    "gloss": gloss,
    "glow": glow,
    "seed": seed,
  }


def of_thing(rng: np.random.Generator, colour: str, size: float) -> list[dict]:
  """The SLOTS materials of one thing of a named colour.

  Args:
    rng: draws tone, pattern and gloss.
    colour: key of COLOURS.
    size: of the thing in metres, to which the pattern's period relates.
  """
  tone = np.array(COLOURS[colour]) * rng.uniform(0.85, 1.12, 3)
  dark = tone.mean() < 0.05
  tint = tone * 0.55 if not dark else tone + 0.05
  second = tone * 0.45 + 0.35 if colour != "white" else tone * 0.72
  if dark:
    second = tone + 0.07
  pattern = rng.choice(
    [PLAIN, STRIPES, DOTS, CHECKS], p=[0.55, 0.2, 0.13, 0.12]
  )
  period = size * rng.uniform(0.16, 0.3)
  gloss = float(rng.choice([0.08, 0.35, 0.7]))
  seed = int(rng.integers(2**32))
  rows = [
    row(tone, second, int(pattern), period, gloss, 0.0, seed),
    row(tint, gloss=gloss * 0.5),
  ]
  for slot in range(DARK, SLOTS):
    base, shine = _COMMON[slot]
    rows.append(row(base, gloss=shine, glow=0.6 if slot == LIGHT else 0.0))
  return rows
