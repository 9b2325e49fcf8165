"""THE record: what is stored of one picture. The only place that knows.

`TABLE` lists every key. Two forms exist:

  record   a Python dict, arrays and lists, as every source gives it and as the
           pipeline's operations see it: id, source, image u8[H,W,3] RGB (or the
           bytes of a JPEG or PNG file), depth_m f32[H,W] (0 or NaN unknown, inf
           the sky) or None, intrinsics f32[3,3] normalised, qa, objects and
           native, where they have any.
  stored   what TFDS writes: the columns of TABLE, pictures as encoded bytes.

`encode` turns the first into the second, `decode` back. Depth may have another
size than the image if its aspect ratio is the same within one pixel: both see
the same unit image, for which the intrinsics hold. Where both were made smaller
for storage, `native` says from what: depth keeps the rays of the pixels that it
was measured at, and boxes of questions count native pixels.
"""

import json
import math
from typing import Any, NamedTuple

import numpy as np

from hispatial_jax.core import geometry
from hispatial_jax.data import texts
from hispatial_jax.pp import codec
from hispatial_jax.pp import image as image_ops

Record = dict[str, Any]


class Column(NamedTuple):
  """One row of the table: dtype and shape as stored."""

  key: str
  dtype: str
  shape: tuple[int | None, ...]
  unit: str
  meaning: str


TABLE = (
  Column("id", "text", (), "", "unique name, the seed of all that is drawn"),
  Column("source", "text", (), "", "where the picture is from"),
  Column("image", "jpeg", (None, None, 3), "", "RGB"),
  Column("depth", "png16", (None, None, 1), "log m", "0 unknown, 65535 inf"),
  Column("near", "float32", (), "m", "depth of code 1"),
  Column("far", "float32", (), "m", "depth of code 65534"),
  Column("intrinsics", "float32", (3, 3), "image", "of the unit image, +0.5"),
  Column("qa", "sequence", (None,), "", "stored questions, see QA_TABLE"),
  Column("objects", "json", (), "m", "annotations: gravity, objects, kind"),
  Column("native", "int32", (2, 2), "px", "height, width: image, then depth"),
)
# Absent in records written before there was such a column.
OPTIONAL = ("native",)

QA_TABLE = (
  Column("question", "text", (), "", ""),
  Column("answer", "text", (), "", ""),
  Column("level", "int32", (), "", "0..3; -1 of none"),
  Column("task", "text", (), "", "name of the task"),
  Column("format", "text", (), "", "text, mcq, yes_no; released, turn"),
  Column("meta", "json", (), "", "evidence of the answer; a released item"),
)
# Formats of what is stored as others released it, and drawn at load time.
RELEASED, TURN = "released", "turn"

_ASSUMED_FOV = math.radians(60)


class BadRecord(codec.BadInput):
  """A record that cannot be used; its name is in the message."""


def encode(
  record: Record,
  *,
  quality: int = 95,
  square: int = 0,
  pixels: np.ndarray | None = None,
) -> dict[str, Any]:
  """Record -> stored columns; checks all that can be wrong with it.

  Args:
    record: as the head of this file says. Further keys are not stored.
    quality: of the JPEG, when the image is an array or another format.
    square: S to keep image and depth at S x S, resized as the model's input is
      (image.resize, geometry.resize_nearest), so that no bit of it changes but
      by the JPEG. 0: as they are.
    pixels: of the image, where it was decoded before.

  Raises:
    BadRecord: names the record, lists everything found wrong with it.
  """
  wrong: list[tuple[str, str]] = []

  def attempt(reason, function, *args):
    try:
      return function(*args)
    except (ValueError, TypeError, KeyError) as error:
      wrong.append((getattr(error, "reason", reason), str(error)))
      return None

  name = record.get("id")
  if not isinstance(name, str) or not name:
    wrong.append(("id", f"id must be a non-empty text, got {name!r}"))
  given = record.get("image")
  image = attempt(
    "image", codec.check_image, given if pixels is None else pixels
  )
  native = attempt("native", _native, record.get("native"))
  depth = attempt("depth", _depth, record.get("depth_m"), image, native)
  matrix = attempt("intrinsics", _intrinsics, record)
  qa = attempt("qa", _encode_qa, record.get("qa") or [])
  objects = attempt("objects", texts.dump, record.get("objects") or {})
  if wrong:
    raise BadRecord(
      wrong[0][0], f"record {name!r}: " + "; ".join(text for _, text in wrong)
    )
  if native is None:
    native = np.array([image.shape[:2], depth.shape], np.int32)
  if square and image.shape[:2] != (square, square):
    given = image = image_ops.resize(image, square)
  if square:
    depth = geometry.resize_nearest(depth, (square, square))
  codes, near, far = codec.encode_depth(depth)
  return {
    "id": name,
    "source": str(record.get("source") or ""),
    "image": codec.write_jpeg(given, image, quality),
    "depth": codec.write_png(codes),
    "near": np.float32(near),
    "far": np.float32(far),
    "intrinsics": matrix,
    "qa": qa,
    "objects": objects,
    "native": native,
  }


def decode(stored: dict[str, Any]) -> Record:
  """Stored columns, as TFDS reads them, -> record.

  Returns:
    id, source, image u8[H,W,3], depth_m f32[H,W] (NaN unknown, inf sky),
    intrinsics f32[3,3], qa list of dict, objects dict, native i32[2,2].

  Raises:
    BadRecord: pictures that do not decode, intrinsics or texts out of form.
  """
  name = texts.read(stored["id"])
  try:
    image = codec.read_image(stored["image"])
    codes = codec.read_png(stored["depth"])
    depth_m = codec.decode_depth(codes, stored["near"], stored["far"])
    matrix = np.asarray(stored["intrinsics"], np.float32)
    geometry.check_intrinsics(matrix)
    return {
      "id": name,
      "source": texts.read(stored["source"]),
      "image": image,
      "depth_m": depth_m,
      "intrinsics": matrix,
      "qa": _decode_qa(stored["qa"]),
      "objects": json.loads(stored["objects"]),
      "native": np.asarray(
        stored.get("native", (image.shape[:2], depth_m.shape)), np.int32
      ),
    }
  except json.JSONDecodeError as error:
    raise BadRecord("json", f"record {name!r}: {error}") from error
  except ValueError as error:
    reason = getattr(error, "reason", "value")
    raise BadRecord(reason, f"record {name!r}: {error}") from error


def _native(sizes) -> np.ndarray | None:
  """i32[2,2], or None where the record does not say."""
  if sizes is None:
    return None
  sizes = np.asarray(sizes, np.int32)
  if sizes.shape != (2, 2) or sizes.min() < 1:
    raise ValueError(
      f"native must be [[H, W] of the image, [H, W] of depth], got {sizes!r}"
    )
  return sizes


def _depth(depth_m, image, native) -> np.ndarray:
  """depth_m, as it was, checked against the image; None -> all unknown."""
  if depth_m is None:
    return np.zeros((1, 1) if image is None else image.shape[:2], np.float32)
  geometry.check_depth(depth_m)
  depth_m = np.asarray(depth_m, np.float32)
  if native is not None:
    codec.check_sizes(tuple(native[1]), tuple(native[0]))
  elif image is not None:
    codec.check_sizes(depth_m.shape, image.shape[:2])
  return depth_m


def assumed_intrinsics() -> np.ndarray:
  """f32[3,3] that is stored where neither depth nor a camera is known."""
  return geometry.intrinsics_from_fov(_ASSUMED_FOV, _ASSUMED_FOV)


def _intrinsics(record) -> np.ndarray:
  matrix = record.get("intrinsics")
  if matrix is None and record.get("depth_m") is None:
    matrix = assumed_intrinsics()
  elif matrix is None:
    raise ValueError("depth without intrinsics: give a normalised 3x3 matrix")
  matrix = np.asarray(matrix, np.float32)
  geometry.check_intrinsics(matrix)
  return matrix


def _encode_qa(items) -> list[dict[str, Any]]:
  rows = []
  for number, item in enumerate(items):
    missing = [c.key for c in QA_TABLE[:5] if c.key not in item]
    if missing:
      raise ValueError(f"qa {number} has no {', '.join(missing)}")
    row = {c.key: str(item[c.key]) for c in QA_TABLE[:5]}
    row["level"] = int(item["level"])
    digits = None if row["format"] == RELEASED else 4
    rows.append(row | {"meta": texts.dump(item.get("meta") or {}, digits)})
  return rows


def _decode_qa(columns) -> list[dict[str, Any]]:
  """TFDS gives a sequence of dicts as a dict of columns; both are read."""
  if isinstance(columns, dict):
    keys = list(columns)
    columns = [
      dict(zip(keys, row, strict=True))
      for row in zip(*columns.values(), strict=True)
    ]
  rows = []
  for item in columns:
    row = {
      c.key: texts.read(item[c.key]) for c in QA_TABLE if c.dtype == "text"
    }
    row["level"] = int(item["level"])
    rows.append(row | {"meta": json.loads(item["meta"])})
  return rows
