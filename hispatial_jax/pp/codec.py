"""Pictures and depth as bytes, and the checks of what comes from outside.

Depth is a uint16 PNG on a logarithmic scale: code 0 unknown, 65535 infinitely
far (sky), else t = (code - 1) / 65533 and depth = near^(1-t) * far^t. Between
0.2 m and 250 m a step is 1.1e-4 of the depth, so that an error is half of it.
Source: golden/hispatial_data/FORMAT.md, "Log depth".
"""

import re

import cv2
import numpy as np

INFINITE = 65535
_STEPS = 65533
_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_IMWRITE = int(cv2.IMWRITE_JPEG_QUALITY)
# The next marker inside a scan: not a stuffed zero, a restart or a fill byte.
_NEXT_MARKER = re.compile(rb"\xff(?![\x00\xd0-\xd7\xff])", re.DOTALL)


class BadInput(ValueError):
  """Input that cannot be used; `reason` is the name it is counted under."""

  def __init__(self, reason: str, message: str):
    super().__init__(message)
    self.reason = reason

  def __reduce__(self):
    return type(self), (self.reason, str(self))


def encode_depth(depth_m: np.ndarray) -> tuple[np.ndarray, float, float]:
  """Depth -> codes u16[H,W], near, far (metres; both 1 if nothing is known).

  Args:
    depth_m: [H,W] metres; 0 or NaN unknown, inf sky.
  """
  depth = np.asarray(depth_m, np.float64)
  with np.errstate(invalid="ignore"):
    known = np.isfinite(depth) & (depth > 0)
  codes = np.zeros(depth.shape, np.uint16)
  codes[depth == np.inf] = INFINITE
  if not known.any():
    return codes, 1.0, 1.0
  near = np.float32(depth[known].min())
  far = np.float32(depth[known].max())
  span = np.log(np.float64(far)) - np.log(np.float64(near))
  if span > 0:
    t = (np.log(depth[known]) - np.log(np.float64(near))) / span
  else:
    t = np.zeros(known.sum())
  codes[known] = 1 + np.rint(np.clip(t, 0, 1) * _STEPS).astype(np.uint16)
  return codes, float(near), float(far)


def decode_depth(codes: np.ndarray, near: float, far: float) -> np.ndarray:
  """Codes u16[H,W] -> f32[H,W] metres; code 0 -> NaN, 65535 -> inf.

  Raises:
    BadInput: near and far are no positive range.
  """
  near, far = float(near), float(far)
  if not 0 < near <= far < np.inf:
    raise BadInput("depth", f"near {near} and far {far} are no range")
  span = np.log(far) - np.log(near)
  t = (codes.astype(np.float64) - 1) * (span / _STEPS)
  depth = (near * np.exp(t)).astype(np.float32)
  depth[codes == 0] = np.nan
  depth[codes == INFINITE] = np.inf
  return depth


def check_sizes(depth_size: tuple[int, int], image_size: tuple[int, int]):
  """Raises ValueError unless the aspect ratios agree within one pixel."""
  (h, w), (height, width) = depth_size, image_size
  if abs(h - height * w / width) > 1 and abs(w - width * h / height) > 1:
    raise ValueError(
      f"depth of another size: {w}x{h} against an image of {width}x{height};"
      " another resolution is fine, another aspect ratio is not"
    )


def check_image(image) -> np.ndarray:
  """An array u8[H,W,3] or the bytes of a picture file -> u8[H,W,3] RGB.

  Raises:
    BadInput: missing, truncated or not a picture; array of another form.
  """
  if image is None or (isinstance(image, bytes) and not image):
    raise BadInput("image", "the image is missing")
  if isinstance(image, bytes):
    return read_image(image)
  image = np.asarray(image)
  if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
    raise BadInput(
      "image", f"image must be uint8[H,W,3], got {image.dtype}{image.shape}"
    )
  return image


def read_image(data: bytes) -> np.ndarray:
  """JPEG or PNG bytes -> u8[H,W,3] RGB, upright where EXIF says how.

  Raises:
    BadInput: "truncated" or "image". OpenCV would fill up with grey.
  """
  if data[:2] == _JPEG:
    whole = data[-2:] == b"\xff\xd9" or jpeg_end(data)
  elif data[:8] == _PNG:
    whole = _PNG_END in data[-64:]
  else:
    raise BadInput("image", f"neither JPEG nor PNG: starts {data[:8]!r}")
  if not whole:
    raise BadInput("truncated", f"truncated picture of {len(data)} bytes")
  picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
  if picture is None:
    raise BadInput("image", f"picture of {len(data)} bytes does not decode")
  return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def jpeg_end(data: bytes) -> int:
  """Length of the JPEG at the start of `data`; 0 if its end is missing.

  Walks the segments, so that a thumbnail's end does not count for the whole.
  """
  at = 2
  while at + 4 <= len(data):
    if data[at] != 0xFF:
      return 0
    marker = data[at + 1]
    if marker == 0xFF:
      at += 1
      continue
    if marker == 0xD9:
      return at + 2
    at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    if marker == 0xDA:
      found = _NEXT_MARKER.search(data, at)
      if not found:
        return 0
      at = found.start()
  return at + 2 if data[at : at + 2] == b"\xff\xd9" else 0


def write_jpeg(given, image: np.ndarray, quality: int) -> bytes:
  """JPEG bytes: those given, cut at their end, or the image encoded anew."""
  if isinstance(given, bytes) and given[:2] == _JPEG:
    return given[: jpeg_end(given)]
  bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
  _, data = cv2.imencode(".jpg", bgr, [_IMWRITE, quality])
  return data.tobytes()


def write_png(codes: np.ndarray) -> bytes:
  """Codes u16[H,W] -> PNG bytes."""
  return cv2.imencode(".png", codes)[1].tobytes()


def read_png(data: bytes) -> np.ndarray:
  """PNG bytes -> u16[H,W].

  Raises:
    BadInput: "truncated" or "depth".
  """
  if data[:8] == _PNG and _PNG_END not in data[-64:]:
    raise BadInput("truncated", f"truncated depth of {len(data)} bytes")
  codes = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
  if codes is None or codes.dtype != np.uint16 or codes.ndim != 2:
    raise BadInput("depth", f"no uint16 PNG in {len(data)} bytes of depth")
  return codes
