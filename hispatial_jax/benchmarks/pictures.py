"""Encoded pictures: where they lie, and what is wrong with them.

`problem` looks at first and last bytes only, so that a loader can check a
whole benchmark while it reads: a picture that is there, complete, and of a
known kind. Whoever decodes may still find more.
"""

import base64 as codec
import binascii
import dataclasses
import re
import urllib.request

from hispatial_jax.benchmarks import base, files

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_TAIL = 1 << 16


def problem(data: bytes | None) -> str:
  """Why these bytes are no complete picture, or ""."""
  if not data:
    return "no picture"
  if data.startswith(_JPEG):
    cut = b"\xff\xd9" not in data[-_TAIL:]
  elif data.startswith(_PNG):
    cut = b"IEND" not in data[-_TAIL:]
  elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
    cut = int.from_bytes(data[4:8], "little") + 8 > len(data)
  elif data[:2] == b"BM" or data[:4] in (b"GIF8", b"II*\0", b"MM\0*"):
    cut = False
  else:
    return f"not a picture: begins with {data[:8]!r}"
  return f"picture cut short after {len(data)} bytes" if cut else ""


def decode(text: str) -> bytes:
  """Bytes of base64 text, with or without a data-URI's head."""
  text = re.sub(r"^data:[^,]*,", "", text.strip())
  try:
    return codec.b64decode(text)
  except (binascii.Error, ValueError):
    return b""


def checked(data: bytes, key: str) -> bytes:
  """The bytes, if they are a picture.

  Raises:
    ReadError: with the key.
  """
  wrong = problem(data)
  if wrong:
    raise base.ReadError(f"{key}: {wrong}")
  return data


@dataclasses.dataclass(frozen=True)
class Base64:
  """A picture held as base64 text."""

  text: str
  key: str

  def __call__(self) -> bytes:
    return checked(decode(self.text), self.key)


@dataclasses.dataclass(frozen=True)
class File:
  """A picture that is a file; `name` "" is one that isn't there."""

  files: files.Files
  name: str
  key: str

  def __call__(self) -> bytes:
    if self.name not in self.files.entries:
      raise base.ReadError(
        f"{self.key}: no file {self.name!r} in {self.files.root}"
      )
    return checked(self.files.read(self.name), self.key)

  def problem(self) -> str:
    """Why it can't be read, or ""."""
    try:
      self()
    except (base.ReadError, OSError) as error:
      return str(error)
    return ""


@dataclasses.dataclass(frozen=True)
class Url:
  """A picture to fetch; `mirror` where the rows are of its mirror image."""

  url: str
  key: str
  mirror: bool = False

  def __call__(self) -> bytes:
    try:
      with urllib.request.urlopen(self.url, timeout=30) as answer:
        data = checked(answer.read(), self.key)
    except OSError as error:
      raise base.ReadError(f"{self.key}: {self.url}: {error}") from error
    return mirrored(data) if self.mirror else data


def mirrored(data: bytes) -> bytes:
  """PNG of the picture, left and right exchanged."""
  import cv2
  import numpy as np

  picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
  return cv2.imencode(".png", np.ascontiguousarray(picture[:, ::-1]))[
    1
  ].tobytes()
