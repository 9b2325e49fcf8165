"""What is counted of the records made; numbers that add up.

A tally is a JSON-able dict of numbers, of lists of them, of dicts of them:
`add` sums two, so that shards are counted where they are made and the whole is
the sum. Histograms have fixed bins.
"""

import itertools
import math
from typing import Any

import numpy as np

from hispatial_jax.core import geometry

# Bins a decade from 1 cm to 1 km; the first and the last hold what is beyond.
_DECADES, _BINS = (-2, 3), 12
_FOV_STEP = 5.0
_SAMPLES = 1 << 16

DEPTH_EDGES_M = np.logspace(*_DECADES, (_DECADES[1] - _DECADES[0]) * _BINS + 1)
FOV_EDGES_DEG = np.arange(0.0, 180.0 + _FOV_STEP, _FOV_STEP)
SHARE_EDGES = np.linspace(0.0, 1.0, 11)


def empty() -> dict[str, Any]:
  """Nothing counted yet."""
  return {
    "images": 0,
    "records": 0,
    "measured": 0,
    "without_depth": 0,
    "all_sky": 0,
    "bad": {},
    "noted": {},
    "bytes": {"image": 0, "depth": 0, "stored": 0},
    "pixels": {"all": 0, "valid": 0, "unknown": 0, "infinite": 0},
    "depth": [0] * (len(DEPTH_EDGES_M) - 1),
    "fov": [0] * (len(FOV_EDGES_DEG) - 1),
    "valid_share": [0] * (len(SHARE_EDGES) - 1),
    "batches": {"rows": 0, "filled": 0},
    "seconds": {"all": 0.0, "model": 0.0},
  }


def of_record(
  depth_m: np.ndarray | None, columns: dict[str, Any]
) -> dict[str, Any]:
  """The tally of one record.

  Args:
    depth_m: f32[H,W] metres; 0 or NaN unknown, inf infinitely far or masked.
      None: nobody knows, and no pixel is counted.
    columns: as stored: their bytes, and intrinsics f32[3,3] normalised.

  Depths are counted on a grid of at most 65,536 pixels of the picture.
  """
  known = {
    "images": 1,
    "records": 1,
    "bytes": {key: len(columns[key]) for key in ("image", "depth")},
  }
  if depth_m is None:
    return known | {"without_depth": 1}
  depth_m = np.asarray(depth_m, np.float32)
  infinite = int(np.isposinf(depth_m).sum())
  with np.errstate(invalid="ignore"):
    valid = int((np.isfinite(depth_m) & (depth_m > 0)).sum())
  fov_x, _ = geometry.fov_from_intrinsics(columns["intrinsics"])
  size = depth_m.size
  return known | {
    "all_sky": int(infinite == size),
    "pixels": {
      "all": size,
      "valid": valid,
      "unknown": size - valid - infinite,
      "infinite": infinite,
    },
    "depth": _depths(depth_m),
    "fov": _bins([math.degrees(float(fov_x))], FOV_EDGES_DEG),
    "valid_share": _bins([valid / size], SHARE_EDGES),
  }


def add(*tallies: dict[str, Any]) -> dict[str, Any]:
  """The sum of tallies."""
  out: dict[str, Any] = {}
  for tally in tallies:
    for key, value in tally.items():
      if key not in out:
        out[key] = add(value) if isinstance(value, dict) else value
      elif isinstance(value, dict):
        out[key] = add(out[key], value)
      elif isinstance(value, list):
        pairs = itertools.zip_longest(out[key], value, fillvalue=0)
        out[key] = [a + b for a, b in pairs]
      else:
        out[key] = out[key] + value
  return out


def bad_count(tally: dict[str, Any]) -> int:
  """Pictures that could not be used."""
  return sum(tally["bad"].values())


def reasons(counts: dict[str, int]) -> str:
  """ "image: 3, truncated: 1"."""
  return ", ".join(f"{k}: {v}" for k, v in sorted(counts.items()))


def _depths(depth_m) -> list[int]:
  step = max(1, math.ceil(math.sqrt(depth_m.size / _SAMPLES)))
  few = np.asarray(depth_m[::step, ::step], np.float64)
  with np.errstate(invalid="ignore"):
    few = few[np.isfinite(few) & (few > 0)]
  return _bins(few, DEPTH_EDGES_M)


def _bins(values, edges) -> list[int]:
  values = np.clip(values, edges[0], edges[-1])
  return np.histogram(values, edges)[0].tolist()
