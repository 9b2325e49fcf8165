"""A benchmark's files: a folder, the hub's cache, a tar, or one file.

All are read in the same way, by name and from any offset, so that pictures
can stay where they are until they are asked for.
"""

import dataclasses
import fnmatch
import functools
import hashlib
import io
import os
import pathlib
import tarfile

from hispatial_jax.benchmarks import base


class _Part(io.RawIOBase):
  """A stretch of a file, seekable as a file of its own."""

  def __init__(self, path: str, start: int, size: int):
    self._file = open(path, "rb")  # noqa: SIM115, closed with this object
    self._start, self._size, self._at = start, size, 0

  def readable(self) -> bool:
    return True

  def seekable(self) -> bool:
    return True

  def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
    origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}
    self._at = max(0, origin[whence] + offset)
    return self._at

  def readinto(self, buffer) -> int:
    self._file.seek(self._start + self._at)
    left = max(0, min(len(buffer), self._size - self._at))
    data = self._file.read(left)
    buffer[: len(data)] = data
    self._at += len(data)
    return len(data)

  def close(self) -> None:
    self._file.close()
    super().close()


@dataclasses.dataclass(frozen=True, eq=False)
class Files:
  """What can be read, by its name relative to the root.

  Attributes:
    root: the path that was given.
    entries: name -> (path on disk, first byte, length or None for all).
  """

  root: str
  entries: dict[str, tuple[str, int, int | None]]

  def open(self, name: str) -> io.BufferedIOBase:
    """The file, readable and seekable."""
    path, start, size = self.entries[name]
    if size is None:
      return open(path, "rb")
    return io.BufferedReader(_Part(path, start, size), 1 << 16)

  def read(self, name: str) -> bytes:
    with self.open(name) as file:
      return file.read()

  def find(self, *patterns: str) -> list[str]:
    """Names, or their ends, that fit a pattern; those of the first that fits.

    `*` stays within a folder's name only by luck, as in fnmatch.
    """
    for pattern in patterns:
      found = [
        name
        for name in sorted(self.entries)
        if fnmatch.fnmatch(name, pattern)
        or fnmatch.fnmatch(name, "*/" + pattern)
      ]
      if found:
        return found
    return []

  def ending(self, tail: str) -> str:
    """The name that ends in the last three parts of this one, or ""."""
    if tail in self.entries:
      return tail
    parts = tail.replace("\\", "/").strip("/").split("/")
    return _tails(self).get("/".join(parts[-3:]), "")

  def need(self, *patterns: str, hint: str) -> list[str]:
    """As `find`, but nothing found is an error that says where to get it."""
    found = self.find(*patterns)
    if found:
      return found
    there = sorted(self.entries)
    shown = ", ".join(there[:8]) + (", ..." if len(there) > 8 else "")
    raise base.DataError(
      f"{self.root}: expected {' or '.join(patterns)}; found "
      f"{shown or 'nothing'}. Get it from {hint}"
    )

  def digest(self, *patterns: str) -> str:
    """sha256 over names and bytes of all files that fit any pattern."""
    total = hashlib.sha256()
    for name in sorted({n for p in patterns for n in self.find(p)}):
      total.update(name.encode() + b"\0")
      with self.open(name) as file:
        while block := file.read(1 << 20):
          total.update(block)
    return total.hexdigest()


@functools.lru_cache(maxsize=8)
def _tails(files: Files) -> dict[str, str]:
  tails = {}
  for name in files.entries:
    parts = name.split("/")
    for count in range(1, min(3, len(parts)) + 1):
      tails.setdefault("/".join(parts[-count:]), name)
  return tails


def _snapshot(path: pathlib.Path) -> pathlib.Path:
  """The snapshot inside a hub cache folder; other folders as they are."""
  snapshots = path / "snapshots"
  if not snapshots.is_dir():
    return path
  main = path / "refs" / "main"
  if main.is_file() and (snapshots / main.read_text().strip()).is_dir():
    return snapshots / main.read_text().strip()
  there = sorted(p for p in snapshots.iterdir() if p.is_dir())
  if len(there) == 1:
    return there[0]
  raise base.DataError(
    f"{path}: {len(there)} snapshots and no refs/main; give one of "
    f"{', '.join(str(p) for p in there) or 'them'}"
  )


def _of_tar(path: pathlib.Path) -> Files:
  try:
    with tarfile.open(path, "r:") as tar:
      members = [m for m in tar.getmembers() if m.isfile()]
  except tarfile.TarError as error:
    raise base.DataError(
      f"{path}: not a plain tar ({error}); unpack compressed ones first"
    ) from error
  entries = {
    m.name.removeprefix("./"): (str(path), m.offset_data, m.size)
    for m in members
  }
  return Files(str(path), entries)


def at(path) -> Files:
  """The files at a path.

  Raises:
    DataError: nothing there, or a tar that can't be read.
  """
  path = pathlib.Path(path).expanduser()
  if not path.exists():
    raise base.DataError(f"{path}: no such file or folder")
  if path.is_file():
    if path.suffix == ".tar" or path.name.endswith((".tar.gz", ".tgz")):
      return _of_tar(path)
    return Files(str(path), {path.name: (str(path), 0, None)})
  folder = _snapshot(path)
  entries = {}
  for where, _, names in os.walk(folder, followlinks=True):
    for name in names:
      full = os.path.join(where, name)
      entries[pathlib.Path(full).relative_to(folder).as_posix()] = (
        full,
        0,
        None,
      )
  return Files(str(folder), entries)
