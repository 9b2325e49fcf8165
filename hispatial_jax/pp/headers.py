"""What a picture file says of itself, without decoding its pixels.

JPEG, PNG, WebP, GIF, BMP and TIFF. Nothing here trusts a length or an offset
that a file states: damaged files give no header, or one that is not `whole`.
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

KINDS = "JPEG, PNG, WebP, GIF, BMP or TIFF"
_PNG = b"\x89PNG\r\n\x1a\n"
# The next marker inside a scan: not a stuffed zero, a restart or a fill byte.
_NEXT_MARKER = re.compile(rb"\xff(?![\x00\xd0-\xd7\xff])", re.DOTALL)
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = (0xC0, 0xC1)
_EXIF, _SCAN, _END = 0xE1, 0xDA, 0xD9
# Tags of TIFF, which EXIF is written in.
_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, 274


class Header(NamedTuple):
  """A picture as its file describes it.

  Attributes:
    kind: "jpeg", "png", "webp", "gif", "bmp" or "tiff".
    height: pixels as stored, before any turning.
    width: likewise.
    orientation: 1..8 of EXIF; 1 is upright.
    alpha: its pixels may be transparent.
    scales: it decodes at 1/2, 1/4 and 1/8 without its full size in memory.
    whole: its end is there.
  """

  kind: str
  height: int
  width: int
  orientation: int = 1
  alpha: bool = False
  scales: bool = False
  whole: bool = True


def read(data: bytes) -> Header | None:
  """The header of a picture file; None: it is none.

  One cut before its size is said is 0 pixels wide and high, and not whole.
  """
  for magic, kind, parse in _KINDS:
    if data.startswith(magic):
      try:
        return parse(data)
      except (struct.error, IndexError):
        return Header(kind, 0, 0, whole=False)
  return None


def jpeg_end(data: bytes) -> int:
  """Length of the JPEG at the start of `data`; 0 if its end is missing.

  Walks the segments, so that a thumbnail's end does not count for the whole.
  """
  for marker, _, end in _segments(data):
    if marker == _END:
      return end
  return 0


def without_exif(data: bytes) -> bytes:
  """A JPEG without its EXIF, so that nobody turns it; pixels as they are."""
  kept, at = [], 0
  for marker, start, end in _segments(data):
    if marker == _EXIF and data[start : start + 6] == b"Exif\0\0":
      kept.append(data[at : start - 4])
      at = end
  return b"".join([*kept, data[at:]])


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
  """Yields (marker, start and end of its content) of a JPEG, to its end."""
  at = 2
  while at + 2 <= len(data) and data[at] == 0xFF:
    marker = data[at + 1]
    if marker == 0xFF:
      at += 1
      continue
    if marker == _END:
      yield marker, at + 2, at + 2
      return
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    yield marker, at + 4, end
    at = end
    if marker == _SCAN:
      found = _NEXT_MARKER.search(data, at)
      if not found:
        return
      at = found.start()


def _jpeg(data: bytes) -> Header:
  orientation = 1
  for marker, start, end in _segments(data):
    if marker == _EXIF and data[start : start + 6] == b"Exif\0\0":
      orientation = _orientation(data[start + 6 : end])
    if marker in _FRAMES:
      height, width = struct.unpack_from(">HH", data, start + 1)
      whole = data[-2:] == b"\xff\xd9" or jpeg_end(data) > 0
      # A progressive one keeps all its coefficients until the end.
      scales = marker in _SEQUENTIAL
      return Header("jpeg", height, width, orientation, False, scales, whole)
    if marker == _SCAN:
      break
  return Header("jpeg", 0, 0, whole=False)


def _png(data: bytes) -> Header:
  width, height = struct.unpack_from(">II", data, 16)
  alpha = data[25] in (4, 6)
  orientation, whole = 1, False
  for kind, start, end in png_chunks(data):
    alpha = alpha or kind == b"tRNS"
    if kind == b"eXIf":
      orientation = _orientation(data[start:end])
    whole = kind == b"IEND" and end + 4 <= len(data)
  return Header("png", height, width, orientation, alpha, whole=whole)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
  """Yields (kind, start and end of its content) of a PNG, to its end.

  The last one may say an end that is beyond the file.
  """
  at, kind = len(_PNG), b""
  while at + 12 <= len(data) and kind != b"IEND":
    size, kind = struct.unpack_from(">I4s", data, at)
    yield kind, at + 8, at + 8 + size
    at += 12 + size


def _webp(data: bytes) -> Header | None:
  if data[8:12] != b"WEBP":
    return None
  whole = len(data) >= 8 + int.from_bytes(data[4:8], "little")
  orientation, kind = 1, data[12:16]
  if kind == b"VP8 ":
    width, height = (n & 0x3FFF for n in struct.unpack_from("<HH", data, 26))
    return Header("webp", height, width, whole=whole)
  if kind == b"VP8L":
    (bits,) = struct.unpack_from("<I", data, 21)
    width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return Header("webp", height, width, 1, bool(bits >> 28 & 1), whole=whole)
  if kind != b"VP8X":
    return None
  width = int.from_bytes(data[24:27], "little") + 1
  height = int.from_bytes(data[27:30], "little") + 1
  at = 12
  while at + 8 <= len(data):
    kind, size = struct.unpack_from("<4sI", data, at)
    if kind == b"EXIF":
      block = data[at + 8 : at + 8 + size]
      orientation = _orientation(block.removeprefix(b"Exif\0\0"))
    at += 8 + size + size % 2
  alpha = bool(data[20] & 0x10)
  return Header("webp", height, width, orientation, alpha, whole=whole)


def _gif(data: bytes) -> Header:
  width, height = struct.unpack_from("<HH", data, 6)
  whole = data[-64:].rstrip(b"\0").endswith(b";")
  return Header("gif", height, width, alpha=True, whole=whole)


def _bmp(data: bytes) -> Header:
  width, height = struct.unpack_from("<ii", data, 18)
  whole = len(data) >= int.from_bytes(data[2:6], "little")
  return Header("bmp", abs(height), abs(width), whole=whole)


def _tiff(data: bytes) -> Header:
  """Its orientation is left at 1: the decoder turns it, always."""
  found = _tags(data)
  size = found.get(_HEIGHT, 0), found.get(_WIDTH, 0)
  return Header("tiff", *size, whole=all(size))


def _orientation(tiff: bytes) -> int:
  value = _tags(tiff).get(_ORIENTATION, 1)
  return value if 1 <= value <= 8 else 1


def _tags(tiff: bytes) -> dict[int, int]:
  """Tag -> number, of the whole numbers in a TIFF's first directory."""
  order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
  found: dict[int, int] = {}
  if order is None or len(tiff) < 8:
    return found
  (at,) = struct.unpack_from(order + "I", tiff, 4)
  if at + 2 > len(tiff):
    return found
  (count,) = struct.unpack_from(order + "H", tiff, at)
  for entry in range(at + 2, at + 2 + 12 * count, 12):
    if entry + 12 > len(tiff):
      break
    tag, form = struct.unpack_from(order + "HH", tiff, entry)
    if form in (3, 4):
      code = order + ("H" if form == 3 else "I")
      (found[tag],) = struct.unpack_from(code, tiff, entry + 8)
  return found


_KINDS = (
  (b"\xff\xd8", "jpeg", _jpeg),
  (_PNG, "png", _png),
  (b"RIFF", "webp", _webp),
  (b"GIF8", "gif", _gif),
  (b"BM", "bmp", _bmp),
  (b"II*\0", "tiff", _tiff),
  (b"MM\0*", "tiff", _tiff),
)
