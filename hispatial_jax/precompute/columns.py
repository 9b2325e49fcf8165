"""A picture that is seen through -> what is stored and counted of it."""

from typing import Any, NamedTuple

import numpy as np

from hispatial_jax.core import geometry
from hispatial_jax.data import records
from hispatial_jax.precompute import pictures, plan, questions, tally

_ASSUMED_FOV_RAD = np.radians(60.0)


class Made(NamedTuple):
  """A record made.

  Attributes:
    columns: as stored.
    tally: see tally.py, less what `asked` counts.
    asked: what is counted of its questions.
    notes: what its source noted, see data/sources.py.
  """

  columns: dict[str, Any]
  tally: dict[str, Any]
  asked: questions.Asked
  notes: list[pictures.Bad]


def make(
  picture: pictures.Picture, options: plan.Options, measured: bool = False
) -> Made | pictures.Bad:
  """Encodes a record.

  Args:
    picture: its record has depth and a camera, or is to be kept without.
    options: of the records.
    measured: its depth is the source's own.
  """
  record = picture.record
  try:
    columns = records.encode(
      record,
      quality=options.quality,
      square=options.square,
      pixels=picture.pixels,
    )
  except records.BadRecord as error:
    return pictures.bad(record["id"], error)
  counted = tally.of_record(record.get("depth_m"), columns)
  notes = [
    pictures.bad(record["id"], ValueError(text), reason)
    for reason, text in record.get("notes", ())
  ]
  return Made(
    columns,
    counted | {"measured": int(measured)},
    questions.of_record(record),
    notes,
  )


def camera(matrix: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
  """Without a valid pixel nothing tells a camera: then 60 degrees if needed."""
  if np.isfinite(depth_m).any():
    return matrix
  try:
    geometry.check_intrinsics(matrix)
    return matrix
  except ValueError:
    height, width = depth_m.shape
  half = np.tan(_ASSUMED_FOV_RAD / 2)
  fov_y = 2 * np.arctan(half * height / width)
  return geometry.intrinsics_from_fov(_ASSUMED_FOV_RAD, fov_y)
