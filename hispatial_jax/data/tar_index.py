"""Where the files lie in an uncompressed tar, read from its headers alone.

A shard that is damaged or was cut off gives what can still be found in it, and
says for all else why it cannot be read.
"""

import contextlib
import functools
import glob
import os
import pathlib
import tarfile
from collections.abc import Callable
from typing import NamedTuple

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 20
_MAGIC, _MAGIC_AT = b"ustar", 257
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
# Zeros at the end that any writer may pad with; more are a hole in the file.
_PADDING = 1 << 20


class Member(NamedTuple):
  """Where a file lies in its tar, in bytes."""

  offset: int
  size: int


class Index(NamedTuple):
  """What a shard holds, in WebDataset's words.

  Attributes:
    samples: key (the name up to the first dot of its last part) -> extension
      (the rest, in lower case, with its dot) -> Member.
    skipped: (reason, one line) of all that cannot be read.
  """

  samples: dict[str, dict[str, Member]]
  skipped: list[tuple[str, str]]


def read_index(path: pathlib.Path) -> Index:
  """Reads the headers of a tar, over what is damaged, to its end."""
  index = Index({}, [])
  size = path.stat().st_size

  def skip(reason: str, what: str) -> None:
    index.skipped.append((reason, f"{path}: {what}"))

  with path.open("rb") as file:
    if file.read(6).startswith(_COMPRESSED):
      skip("compressed_tar", "is compressed; make it a plain .tar")
      return index
    start = 0 if size else -1
    while 0 <= start < size:
      at = _read_run(file, start, size, index.samples, skip)
      start = _resume(file, max(at, start), size, skip)
  if start < 0 and "truncated_tar" not in dict(index.skipped):
    skip("truncated_tar", f"has no end mark after {size} bytes: cut off")
  return index


@functools.cache
def _kept_index(path: str, size: int, changed: int) -> Index:
  del size, changed  # in the key: another file of that name is read anew
  return read_index(pathlib.Path(path))


def index_of(path: pathlib.Path) -> Index:
  """`read_index`, once in each process for each state of the file."""
  now = path.stat()
  return _kept_index(str(path), now.st_size, now.st_mtime_ns)


def shards(path: str | os.PathLike) -> dict[str, pathlib.Path]:
  """Name -> file, sorted; named from the folder that holds them all.

  Args:
    path: a .tar, a pattern of them, or a folder with some anywhere below it.
  """
  return _shards(str(path))


@functools.lru_cache(maxsize=8)
def _shards(path: str) -> dict[str, pathlib.Path]:
  given = pathlib.Path(path)
  found = given.rglob("*.tar") if given.is_dir() else glob.glob(path)
  files = sorted(p for p in map(pathlib.Path, found) if p.suffix == ".tar")
  files = [p for p in files if p.is_file()]
  top = os.path.commonpath([p.parent for p in files]) if files else given
  top = given if given.is_dir() else top
  return {p.relative_to(top).as_posix(): p for p in files}


def contents(
  path: pathlib.Path, members: dict[str, Member]
) -> dict[str, bytes]:
  """The bytes of members of a tar, under the keys that they are given by.

  Raises:
    OSError: the tar is not there.
  """
  found = {}
  with path.open("rb") as file:
    for key, member in members.items():
      file.seek(member.offset)
      found[key] = file.read(member.size)
  return found


def _read_run(file, start: int, size: int, samples, skip: Callable) -> int:
  """Adds the members from `start` on; returns where no header follows."""
  file.seek(start)
  at = start
  # Both the opening and the next() of a damaged tar raise.
  with (
    contextlib.suppress(tarfile.TarError),
    tarfile.open(fileobj=file, mode="r:") as tar,
  ):
    try:
      while member := tar.next():
        if member.offset_data + member.size > size:
          skip("truncated_tar", f"{member.name} is cut off")
        elif member.isreg() and not member.issparse():
          _add(samples, member, skip)
    finally:
      at = tar.offset
  return at


def _add(samples, member: tarfile.TarInfo, skip: Callable) -> None:
  folder, _, base = member.name.removeprefix("./").rpartition("/")
  stem, dot, kind = base.partition(".")
  if not stem:  # hidden, such as the ._ files of macOS
    return
  kinds = samples.setdefault(f"{folder}/{stem}" if folder else stem, {})
  kind = (dot + kind).lower()
  if kind in kinds:
    skip("duplicate", f"{member.name} is there twice; the first is used")
  else:
    kinds[kind] = Member(member.offset_data, member.size)


def _resume(file, at: int, size: int, skip: Callable) -> int:
  """Where the next header after byte `at` is; `size`: none; -1: cut off."""
  if at >= size:
    return -1
  file.seek(at)
  block = file.read(_BLOCK)
  following = _next_header(file, at + _BLOCK, size)
  if block.strip(b"\0") and size - at < _BLOCK:
    return -1
  gap, allowed = following - at, tarfile.RECORDSIZE
  if block.strip(b"\0"):
    skip("damaged_tar", f"bytes {at} to {following} hold no header")
  elif gap > (_PADDING if following == size else allowed):
    skip("damaged_tar", f"bytes {at} to {following} are empty")
  return following


def _next_header(file, at: int, size: int) -> int:
  """The first offset from `at` on where a header is; `size` if none."""
  for begin in range(at, size, _CHUNK):
    file.seek(begin)
    chunk = file.read(_CHUNK)
    found = chunk.find(_MAGIC)
    while found >= 0:
      start = found - _MAGIC_AT
      if start >= 0 and start % _BLOCK == 0:
        try:
          tarfile.TarInfo.frombuf(
            chunk[start : start + _BLOCK], "utf-8", "surrogateescape"
          )
        except tarfile.HeaderError:
          pass
        else:
          return begin + start
      found = chunk.find(_MAGIC, found + 1)
  return size
