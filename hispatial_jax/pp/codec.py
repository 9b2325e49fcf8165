"""Pictures and depth as bytes, and the checks of what comes from outside.

Depth is a uint16 PNG on a logarithmic scale: code 0 unknown, 65535 infinitely
far (sky), else t = (code - 1) / 65533 and depth = near^(1-t) * far^t. Between
0.2 m and 250 m a step is 1.1e-4 of the depth, so that an error is half of it.
Source: golden/hispatial_data/FORMAT.md, "Log depth".
"""

import cv2
import numpy as np

from hispatial_jax.pp import headers
from hispatial_jax.pp import image as image_ops

INFINITE = 65535
# The most pixels that are ever decoded: 403 MB of RGB.
MAX_PIXELS = 1 << 27
_STEPS = 65533
_SHARES = (np.arange(INFINITE + 1) - 1.0) / _STEPS  # t of each code
_IMWRITE = int(cv2.IMWRITE_JPEG_QUALITY)
_REDUCED = {
  1: cv2.IMREAD_COLOR,
  2: cv2.IMREAD_REDUCED_COLOR_2,
  4: cv2.IMREAD_REDUCED_COLOR_4,
  8: cv2.IMREAD_REDUCED_COLOR_8,
}


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
  # A table of all codes: far fewer exponentials than a picture has pixels.
  table = near * np.exp(_SHARES * (np.log(far) - np.log(near)))
  table = table.astype(np.float32)
  table[0], table[INFINITE] = np.nan, np.inf
  return table[codes]


def check_sizes(depth_size: tuple[int, int], image_size: tuple[int, int]):
  """Raises BadInput unless the aspect ratios agree within one pixel."""
  (h, w), (height, width) = depth_size, image_size
  if abs(h - height * w / width) > 1 and abs(w - width * h / height) > 1:
    raise BadInput(
      "depth_size",
      f"depth of another size: {w}x{h} against an image of {width}x{height};"
      " another resolution is fine, another aspect ratio is not",
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


def read_image(data: bytes, max_side: int | None = None) -> np.ndarray:
  """The bytes of a picture file -> u8[H,W,3] RGB, upright where EXIF says how.

  Of an animation the first frame; transparent pixels on white, 16 bits scaled
  to 8, CMYK and YCCK converted as OpenCV does (no colour profiles).

  Args:
    data: JPEG, PNG, WebP, GIF, BMP or TIFF.
    max_side: reduce the longer side to this many pixels, by area averaging. A
      sequential JPEG far above it is decoded at 1/2, 1/4 or 1/8, so that the
      memory does not grow with the file's own size.

  Raises:
    BadInput: "image", "truncated" (OpenCV would fill up with grey) or
      "too_large", more than MAX_PIXELS to decode.
  """
  header = read_header(data)
  height, width = header.height, header.width
  shrink = 1
  if max_side and header.scales:
    # Twice max_side is left, so that area averaging does the last half.
    fits = [d for d in (2, 4, 8) if max(height, width) >= 2 * d * max_side]
    shrink = max(fits, default=1)
  check_budget(header, shrink)
  # Only PNG, WebP and GIF say alpha, and unchanged is how OpenCV gives it.
  flags = cv2.IMREAD_UNCHANGED if header.alpha else _REDUCED[shrink]
  found = _imdecode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION)
  if found is None:
    raise BadInput(
      "image",
      f"{header.kind} picture of {len(data)} bytes does not decode: truncated,"
      " damaged or of a rare form",
    )
  small = image_ops.reduce(to_rgb(found), max_side, (height, width))
  rgb = cv2.cvtColor(small, cv2.COLOR_BGR2RGB)
  return image_ops.turn(rgb, header.orientation)


def read_header(data: bytes) -> headers.Header:
  """The header of a file; BadInput "image" or "truncated" without a whole."""
  header = headers.read(data)
  if header is None:
    raise BadInput(
      "image",
      f"no picture in {len(data)} bytes: expected {headers.KINDS}, got"
      f" {data[:8]!r}",
    )
  if not header.whole:
    raise BadInput(
      "truncated", f"truncated picture of {len(data)} bytes ({header.kind})"
    )
  if not header.height or not header.width:
    raise BadInput("image", f"{header.kind} picture without pixels")
  return header


def check_budget(header: headers.Header, shrink: int = 1) -> None:
  """Raises BadInput "too_large" beyond MAX_PIXELS at 1/shrink of each side."""
  if header.height * header.width > MAX_PIXELS * shrink**2:
    hint = "; a max_side would do" if header.scales and shrink == 1 else ""
    raise BadInput(
      "too_large",
      f"{header.kind} picture of {header.width}x{header.height} pixels: at"
      f" most {MAX_PIXELS / 1e6:.0f} million are decoded{hint}",
    )


def _imdecode(data: bytes, flags: int) -> np.ndarray | None:
  """What OpenCV decodes, or None; its own complaints are not printed."""
  log = cv2.utils.logging
  level = log.getLogLevel()
  log.setLogLevel(log.LOG_LEVEL_SILENT)
  try:
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
  except cv2.error:  # among others, for sizes beyond its own limits
    return None
  finally:
    log.setLogLevel(level)


def to_rgb(array: np.ndarray) -> np.ndarray:
  """u8 or u16 [H,W], [H,W,1], [H,W,3] or [H,W,4] -> u8[H,W,3].

  u16 is scaled down, grey repeated, alpha laid on white. The order of the
  colours stays what it is.

  Raises:
    BadInput: another dtype or shape.
  """
  shape, dtype = array.shape, array.dtype
  channels = 1 if array.ndim == 2 else shape[-1] if array.ndim == 3 else 0
  if channels not in (1, 3, 4) or dtype not in (np.uint8, np.uint16):
    raise BadInput(
      "image", f"image must be uint8[H,W,3] RGB, got {dtype}{list(shape)}"
    )
  if array.size == 0:
    raise BadInput("image", f"image is empty: {list(shape)}")
  if channels == 3 and dtype == np.uint8:
    return array
  array = array.reshape(*shape[:2], channels)
  out = np.empty((*shape[:2], 3), np.uint8)
  band = max(1, (1 << 20) // shape[1])  # rows, so that u32 takes little room
  for top in range(0, shape[0], band):
    rows = array[top : top + band]
    if dtype == np.uint16:
      rows = (rows.astype(np.uint32) + 128) // 257
    if channels == 4:
      alpha = rows[..., 3:].astype(np.uint32)
      rows = (rows[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
    out[top : top + band] = rows
  return out


def write_jpeg(given, image: np.ndarray, quality: int) -> bytes:
  """JPEG bytes: those given, cut at their end, or the image encoded anew."""
  if isinstance(given, bytes) and given[:2] == b"\xff\xd8":
    return given[: headers.jpeg_end(given)]
  bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
  _, data = cv2.imencode(".jpg", bgr, [_IMWRITE, quality])
  return data.tobytes()


def write_png(codes: np.ndarray) -> bytes:
  """Codes u16[H,W] -> PNG bytes, the smaller of two ways to compress.

  What is smooth is better searched for repetitions, what is noisy is not: then
  that would only be slower to read.
  """
  ways = ([], [int(cv2.IMWRITE_PNG_COMPRESSION), 1])
  found = (cv2.imencode(".png", codes, way)[1].tobytes() for way in ways)
  return min(found, key=len)


def read_png(data: bytes) -> np.ndarray:
  """PNG bytes -> u16[H,W].

  Raises:
    BadInput: "truncated", "too_large" or "depth".
  """
  header = headers.read(data)
  if header is None or header.kind != "png":
    raise BadInput("depth", f"no uint16 PNG in {len(data)} bytes of depth")
  if not header.whole:
    raise BadInput("truncated", f"truncated depth of {len(data)} bytes")
  check_budget(header)
  codes = _imdecode(data, cv2.IMREAD_UNCHANGED)
  if codes is None or codes.dtype != np.uint16 or codes.ndim != 2:
    raise BadInput("depth", f"no uint16 PNG in {len(data)} bytes of depth")
  return codes
