"""Members of the released shards, read with suspicion.

Each function takes the bytes of a file; what is wrong with it raises
codec.BadInput, in one line.
"""

import io
import json
import math
import tokenize
from collections.abc import Mapping
from typing import Any

import numpy as np

from hispatial_jax.core import geometry, torch_file
from hispatial_jax.pp import cameras, codec, headers, png_text

# Half of the pixels on the rays of a camera make it the picture's camera.
_PINHOLE, _FEW = 0.5, 0.01
# What numpy raises on the header of a damaged .npy.
_NO_HEADER = (
  ValueError,
  EOFError,
  TypeError,
  SyntaxError,
  OverflowError,
  MemoryError,
  RecursionError,
  tokenize.TokenError,
)


def picture(data: bytes) -> tuple[bytes, tuple[int, int]]:
  """A picture's bytes, and (height, width); it is not decoded.

  The released depth is that of the pixels as stored: a picture that EXIF would
  turn loses that.

  Raises:
    codec.BadInput: "image", "truncated" or "too_large".
  """
  header = codec.read_header(data)
  codec.check_budget(header)
  if header.kind == "jpeg" and header.orientation != 1:
    data = headers.without_exif(data)
  return data, (header.height, header.width)


def log_depth(data: bytes) -> np.ndarray:
  """A 16-bit PNG with the texts near and far -> f32[H,W], NaN unknown.

  Raises:
    codec.BadInput: "near_far", or as codec.read_png does.
  """
  codes = codec.read_png(data)
  texts = png_text.read(data)
  missing = [key for key in ("near", "far") if key not in texts]
  if missing:
    raise codec.BadInput(
      "near_far", f"depth without the text {' and '.join(missing)}"
    )
  try:
    near, far = float(texts["near"]), float(texts["far"])
    return codec.decode_depth(codes, near, far)
  except ValueError:
    raise codec.BadInput(
      "near_far",
      f"near {texts['near']!r:.40} and far {texts['far']!r:.40} are no range of"
      " metres: expected 0 < near <= far",
    ) from None


def metres(data: bytes) -> np.ndarray:
  """A .npy of float metres -> f32[H,W]; 0 where unknown, never capped.

  Raises:
    codec.BadInput: "depth_dtype" of integers, "depth" of another shape, or as
      `array` does.
  """
  depth = array(data)
  if depth.dtype.kind != "f":
    raise codec.BadInput(
      "depth_dtype", f"depth of {depth.dtype}: expected float metres"
    )
  if depth.ndim != 2 or not depth.size:
    raise codec.BadInput("depth", f"depth of shape {depth.shape}, no [H, W]")
  with np.errstate(over="ignore", invalid="ignore"):
    depth = depth.astype(np.float32)
    return np.where(depth > 0, depth, np.float32(0))


def array(data: bytes) -> np.ndarray:
  """A .npy file -> its array, without pickle.

  Raises:
    codec.BadInput: "unsafe_pickle", "truncated" or "npy".
  """
  file, form = io.BytesIO(data), np.lib.format
  try:
    version = form.read_magic(file)
    read = form.read_array_header_1_0
    if version > (1, 0):
      read = form.read_array_header_2_0
    shape, fortran, dtype = read(file)
    size = math.prod(shape) * dtype.itemsize
  except _NO_HEADER as error:
    text = str(error).split("\n")[0]
    raise codec.BadInput("npy", f"no .npy file ({text:.120})") from None
  if dtype.hasobject:
    raise codec.BadInput("unsafe_pickle", "a .npy of objects is not read")
  if dtype.kind not in "biufc":
    raise codec.BadInput("npy", f"a .npy of {dtype}, not of numbers")
  if min(shape, default=1) < 0 or size > len(data) - file.tell():
    raise codec.BadInput(
      "truncated",
      f"{len(data)} bytes of a .npy of shape {shape}, {dtype}: truncated",
    )
  flat = np.frombuffer(data, dtype, math.prod(shape), file.tell())
  return flat.reshape(shape, order="F" if fortran else "C")


def torch(data: bytes) -> Any:
  """What a file of torch.save holds; see core/torch_file.py.

  Raises:
    codec.BadInput: "unsafe_pickle" or "pt".
    ImportError: torch is not installed.
  """
  try:
    return torch_file.load(data)
  except torch_file.Refused as error:
    raise codec.BadInput("unsafe_pickle", str(error)) from None
  except torch_file.Damaged as error:
    raise codec.BadInput("pt", str(error)) from None


def turns(data: bytes) -> list:
  """A JSON list.

  Raises:
    codec.BadInput: "json" of no JSON, "turns" of no list.
  """
  try:
    found = json.loads(data)
  except (ValueError, RecursionError) as error:
    text = str(error).split("\n")[0]
    raise codec.BadInput("json", f"no JSON ({text:.120})") from None
  if not isinstance(found, list):
    raise codec.BadInput(
      "turns", f"expected a list of turns, got {type(found).__name__}"
    )
  return found


def camera(content: Any) -> np.ndarray:
  """A tensor of a normalised camera -> f32[3,3].

  Raises:
    codec.BadInput: "intrinsics".
  """
  try:
    matrix = torch_file.as_array(content)
    geometry.check_intrinsics(matrix)
  except ValueError as error:
    raise codec.BadInput("intrinsics", str(error)) from None
  return matrix.astype(np.float32)


def pixel_camera(content: Any, size: tuple[int, int]) -> np.ndarray:
  """A dict with K, in pixels of `size` -> f32[3,3] normalised.

  Raises:
    codec.BadInput: "intrinsics".
  """
  if not isinstance(content, Mapping) or "K" not in content:
    raise codec.BadInput("intrinsics", "expected a dict with K")
  try:
    matrix = torch_file.as_array(content["K"])
    return cameras.from_pixels(matrix, size, "K")
  except ValueError as error:
    raise codec.BadInput("intrinsics", str(error)) from None


def point_map(content: Any):
  """points, mask and maybe intrinsics -> depth f32[H,W], camera, notes.

  What is masked is inf, what is not on the camera's rays is unknown.

  Raises:
    codec.BadInput: "pt_content", "intrinsics" or "not_pinhole".
  """
  points, mask = _points_and_mask(content)
  x, y, z = np.moveaxis(points, -1, 0)
  with np.errstate(invalid="ignore"):
    known = mask & (z > 0) & np.isfinite(x) & np.isfinite(y) & np.isfinite(z)
  given = content.get("intrinsics")
  matrix = None if given is None else camera(given)
  notes: list[tuple[str, str]] = []
  on_rays = known
  if matrix is not None:
    on_rays = cameras.on_rays(points, matrix, known)
    if on_rays.sum() < _PINHOLE * known.sum():
      notes.append(("other_camera", "points are not of the stored intrinsics"))
      matrix = None
  if matrix is None and known.any():
    matrix, on_rays = _fitted(points, known)
  off = int(known.sum() - on_rays.sum())
  if off > _FEW * known.sum():
    notes.append(
      ("off_rays", f"{off} of {known.sum()} points are off the camera's rays")
    )
  depth = np.where(on_rays, z, np.where(mask, 0, np.inf)).astype(np.float32)
  return depth, matrix, notes


def _fitted(points, known):
  try:
    matrix = cameras.fit(points, known)
    geometry.check_intrinsics(matrix)
  except ValueError as error:
    raise codec.BadInput("not_pinhole", str(error)) from None
  on_rays = cameras.on_rays(points, matrix, known)
  if on_rays.sum() < _PINHOLE * known.sum():
    raise codec.BadInput(
      "not_pinhole",
      f"only {on_rays.sum()} of {known.sum()} points are on the rays of the"
      " best camera",
    )
  return matrix, on_rays


def _points_and_mask(content):
  if not isinstance(content, Mapping) or not {"points", "mask"} <= set(content):
    said = list(content) if isinstance(content, Mapping) else type(content)
    raise codec.BadInput(
      "pt_content", f"expected a dict with points and mask, got {said!s:.80}"
    )
  try:
    points, mask = (torch_file.as_array(content[k]) for k in ("points", "mask"))
  except ValueError as error:
    raise codec.BadInput("pt_content", str(error)) from None
  if points.ndim != 3 or points.shape != (*mask.shape, 3) or not mask.size:
    raise codec.BadInput(
      "pt_content",
      f"expected points [H,W,3] and mask [H,W], got {points.shape} and"
      f" {mask.shape}",
    )
  return points.astype(np.float64), mask != 0
