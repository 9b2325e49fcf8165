"""Pictures, depth and cameras as people give them, checked.

Every complaint is one line that says what came and what was expected.
"""

import json
import os
import pathlib

import cv2
import numpy as np
from etils import epath

from hispatial_jax.core import geometry
from hispatial_jax.pp import codec


def read_image(given) -> np.ndarray:
  """A picture -> u8[H,W,3] RGB, upright where EXIF says how.

  Args:
    given: path of a picture file, its bytes, or an array u8[H,W,3] RGB,
      [H,W] grey or [H,W,4] with alpha; u16 is scaled down. Transparent pixels
      are laid on white, as viewers show them.

  Raises:
    FileNotFoundError: no such file.
    ValueError: truncated, no picture, or an array of another form.
  """
  if given is None:
    raise ValueError("the image is missing")
  if isinstance(given, str | os.PathLike):
    path = epath.Path(given)
    if not path.is_file():
      raise FileNotFoundError(f"no image file {path}")
    try:
      return read_image(path.read_bytes())
    except ValueError as error:
      raise ValueError(f"{path}: {error}") from error
  if not isinstance(given, bytes):
    return _rgb(np.asarray(given))
  raw = np.frombuffer(given, np.uint8)
  if given[:2] == b"\xff\xd8" or given[:4] == b"\x89PNG":
    rgb = codec.read_image(given)  # refuses truncated ones
  else:
    found = cv2.imdecode(raw, cv2.IMREAD_COLOR) if len(raw) else None
    if found is None:
      raise ValueError(f"no picture in {len(given)} bytes: {given[:8]!r}")
    rgb = cv2.cvtColor(found, cv2.COLOR_BGR2RGB)
  if given[:4] == b"\x89PNG":
    whole = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED)
    if whole.ndim == 3 and whole.shape[2] == 4:
      order = np.concatenate([whole[..., 2::-1], whole[..., 3:]], axis=-1)
      rgb = _rgb(order)
  return rgb


def _rgb(array: np.ndarray) -> np.ndarray:
  shape, dtype = array.shape, array.dtype
  channels = 1 if array.ndim == 2 else shape[-1] if array.ndim == 3 else 0
  if channels not in (1, 3, 4) or dtype not in (np.uint8, np.uint16):
    raise ValueError(
      f"image must be uint8[H,W,3] RGB, got {dtype}{list(shape)}"
    )
  if array.size == 0:
    raise ValueError(f"image is empty: {list(shape)}")
  if dtype == np.uint16:
    array = np.round(array / 257).astype(np.uint8)
  array = array.reshape(*shape[:2], channels)
  if channels == 4:
    alpha = array[..., 3:].astype(np.float32) / 255
    mixed = array[..., :3] * alpha + 255 * (1 - alpha)
    return np.round(mixed).astype(np.uint8)
  return np.repeat(array, 3, axis=2) if channels == 1 else array


def check_depth(depth_m, intrinsics, size: tuple[int, int]):
  """(depth f32[h,w], intrinsics f32[3,3]) checked; (None, None) without.

  Raises:
    ValueError: only one of them given, negative or unknown throughout,
      another aspect ratio than the image, intrinsics not normalised.
  """
  if depth_m is None and intrinsics is None:
    return None, None
  if depth_m is None or intrinsics is None:
    have, lack = ("depth", "intrinsics")[:: 1 if intrinsics is None else -1]
    raise ValueError(f"{have} without {lack}: give both, or neither")
  geometry.check_depth(depth_m)
  depth = np.asarray(depth_m, np.float32)
  codec.check_sizes(depth.shape, size)
  if not (np.isfinite(depth) & (depth > 0)).any():
    raise ValueError(
      f"depth holds no known value: all {depth.size} are 0, NaN or inf"
    )
  matrix = np.asarray(intrinsics, np.float32)
  geometry.check_intrinsics(matrix)
  return depth, matrix


def read_json(path) -> dict:
  """The intrinsics file's content.

  Raises:
    FileNotFoundError, ValueError: no such file; not a JSON object.
  """
  file = pathlib.Path(path)
  if not file.is_file():
    raise FileNotFoundError(f"no intrinsics file {file}")
  try:
    found = json.loads(file.read_text())
  except ValueError as error:
    raise ValueError(f"{file} is not JSON: {error}") from None
  if not isinstance(found, dict):
    raise ValueError(f"{file}: expected a JSON object, got {found!r:.60}")
  return found


def intrinsics(camera: dict, name: str):
  """f32[3,3] normalised, from either form of the intrinsics file.

  Raises:
    ValueError: neither form is complete, or the numbers are no camera.
  """
  pixels = ("fx", "fy", "cx", "cy", "width", "height")
  if "intrinsics" in camera:
    numbers = camera["intrinsics"]
  elif all(key in camera for key in pixels):
    fx, fy, cx, cy, width, height = (float(camera[key]) for key in pixels)
    if width <= 0 or height <= 0:
      raise ValueError(f"{name}: width {width} and height {height}")
    numbers = [
      [fx / width, 0, cx / width],
      [0, fy / height, cy / height],
      [0, 0, 1],
    ]
  else:
    raise ValueError(
      f"{name}: expected key intrinsics, or {', '.join(pixels)}; "
      f"got {', '.join(camera) or 'nothing'}"
    )
  try:
    matrix = np.array(numbers, np.float32)
    geometry.check_intrinsics(matrix)
  except (TypeError, ValueError) as error:
    raise ValueError(f"{name}: {error}") from None
  return matrix


def check_camera_size(camera: dict, size: tuple[int, int], name: str) -> None:
  """Refuses a camera file whose picture had another aspect ratio.

  Args:
    camera: the file's content; without width and height all is accepted.
    size: (height, width) of the picture at hand.
    name: of the file.

  Raises:
    ValueError: says both sizes.
  """
  if not {"width", "height"} <= set(camera):
    return
  width, height = float(camera["width"]), float(camera["height"])
  if abs(width * size[0] - height * size[1]) > max(width, height, *size):
    raise ValueError(
      f"{name} is the camera of a picture of {width:g}x{height:g}, this one "
      f"has {size[1]}x{size[0]}: another aspect ratio"
    )


def read_depth(path: str, camera: dict):
  """Depth file -> [H,W] metres.

  Args:
    path: .npy in metres, or a 16-bit PNG.
    camera: the intrinsics file's content; near and far make a PNG log-coded.

  Raises:
    FileNotFoundError, ValueError: no such file; not one of these formats.
  """
  file = pathlib.Path(path)
  if not file.is_file():
    raise FileNotFoundError(f"no depth file {file}")
  try:
    if file.suffix == ".npy":
      return np.load(file, allow_pickle=False)
    codes = codec.read_png(file.read_bytes())
    if "near" in camera and "far" in camera:
      return codec.decode_depth(codes, camera["near"], camera["far"])
  except ValueError as error:
    raise ValueError(f"{file}: {error}") from None
  return codes.astype(np.float32) / 1000
