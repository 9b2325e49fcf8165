"""Pictures, depth and cameras as people give them, checked.

Every complaint is one line that says what came and what was expected.
"""

import io
import json
import os

import numpy as np

from hispatial_jax.core import geometry, remote
from hispatial_jax.pp import codec
from hispatial_jax.pp import image as image_ops

# No model looks at more; what is larger is reduced while it is read.
MAX_SIDE = 4096


def read_image(given, max_side: int | None = None) -> np.ndarray:
  """A picture -> u8[H,W,3] RGB, upright where EXIF says how.

  Args:
    given: path of a picture file, its bytes, or an array u8[H,W,3] RGB,
      [H,W] grey or [H,W,4] with alpha; u16 is scaled down. Transparent pixels
      are laid on white, as viewers show them.
    max_side: reduce the longer side to this many pixels by area averaging, with
      memory that does not grow with a large JPEG; see codec.read_image.

  Raises:
    FileNotFoundError: no such file.
    codec.BadInput: a ValueError of one line: truncated, too large, no picture,
      or an array of another form.
  """
  if given is None:
    raise codec.BadInput("image", "the image is missing")
  if isinstance(given, str | os.PathLike):
    path = remote.path(given)
    if not path.is_file():
      raise FileNotFoundError(f"no image file {path}")
    try:
      return codec.read_image(path.read_bytes(), max_side)
    except codec.BadInput as error:
      raise codec.BadInput(error.reason, f"{path}: {error}") from error
  if isinstance(given, bytes | bytearray | memoryview):
    return codec.read_image(bytes(given), max_side)
  return image_ops.reduce(codec.to_rgb(np.asarray(given)), max_side)


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
  file = remote.path(path)
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
  file = remote.path(path)
  if not file.is_file():
    raise FileNotFoundError(f"no depth file {file}")
  try:
    if file.suffix == ".npy":
      return np.load(io.BytesIO(file.read_bytes()), allow_pickle=False)
    codes = codec.read_png(file.read_bytes())
    if "near" in camera and "far" in camera:
      return codec.decode_depth(codes, camera["near"], camera["far"])
  except ValueError as error:
    raise ValueError(f"{file}: {error}") from None
  return codes.astype(np.float32) / 1000
