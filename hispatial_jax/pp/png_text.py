"""The texts that a PNG file carries, such as the range of a depth map."""

import zlib

from hispatial_jax.pp import headers

_KINDS = (b"tEXt", b"zTXt", b"iTXt")
_MOST = 1 << 16


def read(data: bytes) -> dict[str, str]:
  """Keyword -> text; the last of a keyword counts.

  Damaged texts are left out; of a packed one the first 64 kB are read.
  """
  found = {}
  for kind, start, end in headers.png_chunks(data):
    if kind not in _KINDS or end > len(data):
      continue
    keyword, _, content = data[start:end].partition(b"\0")
    try:
      text = _text(kind, content)
    except (ValueError, zlib.error):
      continue
    found[keyword.decode("latin-1")] = text
  return found


def _text(kind: bytes, content: bytes) -> str:
  """The text after the keyword; see the PNG specification, 11.3.3."""
  if kind == b"tEXt":
    return content.decode("latin-1")
  if kind == b"zTXt":
    return _inflated(content[1:]).decode("latin-1")
  packed = content[:1] == b"\1"
  # Language and translated keyword end in zeros.
  _, _, content = content[2:].split(b"\0", 2)
  return (_inflated(content) if packed else content).decode("utf-8")


def _inflated(data: bytes) -> bytes:
  return zlib.decompressobj().decompress(data, _MOST)
