"""Texts of the stored columns: plain ones, and JSON."""

import json

import numpy as np


def read(value) -> str:
  """A text as TFDS gives it, which may be bytes."""
  return value.decode() if isinstance(value, bytes) else str(value)


def dump(value, digits: int | None = 4) -> str:
  """Compact JSON: floats rounded, arrays as lists, NaN refused."""
  return json.dumps(
    _plain(value, digits), allow_nan=False, separators=(",", ":")
  )


def _plain(value, digits):
  if isinstance(value, dict):
    return {str(k): _plain(v, digits) for k, v in value.items()}
  if isinstance(value, np.ndarray | np.generic):
    return _plain(value.tolist(), digits)
  if isinstance(value, list | tuple):
    return [_plain(v, digits) for v in value]
  if isinstance(value, float) and digits is not None:
    return round(value, digits)
  return value
