"""Buckets (gs://, s3://, hf://): local copies for whoever needs a local file.

    remote.path("gs://bucket/run")                # an epath.Path, or one error
    file = remote.fetch("gs://bucket/model.npz")  # a copy that is kept
    with remote.writing("gs://bucket/out.npz") as place:   # sent at the end
      ...

Small files are read and written through epath where they lie. Readers that map
or seek a file get a copy under HISPATIAL_CACHE (~/.cache/hispatial_jax), which
is used again as long as size and time of the original are the same. Of a local
path all of these are the path itself.
"""

import concurrent.futures
import contextlib
import errno
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import tqdm
from etils import epath

_CHUNK, _THREADS = 16 << 20, 8
_SPARE = 1 << 30  # of a disk, left free
_EXTRA = {"gs": ("gcs", "pip install 'hispatial_jax[gcs]'")}
PARTIAL = ".partial"


def is_remote(path: str | os.PathLike) -> bool:
  """Whether a path is one of a bucket."""
  return "://" in os.fspath(path)


def path(path: str | os.PathLike) -> epath.Path:
  """The path, once its file system is known to be there.

  Listings of buckets are not kept: other processes write there, too.

  Raises:
    ImportError: says what to install.
    ValueError: an unknown kind of bucket.
  """
  if is_remote(path):
    import fsspec
    from fsspec import config

    scheme = os.fspath(path).partition("://")[0]
    name, install = _EXTRA.get(scheme, (scheme, f"its package for {scheme}://"))
    config.conf.setdefault(name, {}).setdefault("use_listings_cache", False)
    try:
      fsspec.get_filesystem_class(name)
    except ImportError as error:
      raise ImportError(f"{path}: {error}; {install}") from None
    except ValueError:
      raise ValueError(
        f"{path}: no bucket of a kind known here: expected gs://, s3:// or hf://"
      ) from None
  return epath.Path(path)


def absolute(path: epath.Path) -> epath.Path:
  """The absolute path; one of a bucket is, though epath would prefix it."""
  return path if is_remote(path) else path.absolute()


def refuse(path: str | os.PathLike, what: str) -> None:
  """Raises ValueError where only local files can be read.

  Args:
    path: what was given.
    what: is read there, as the error is to say it.
  """
  if is_remote(path):
    raise ValueError(
      f"{path}: {what} can only be read from a local folder; copy it (gcloud "
      f"storage rsync -r {path} DIR) or mount the bucket (gcsfuse), and name "
      "that folder"
    )


def cache() -> pathlib.Path:
  """The folder of local copies."""
  given = os.environ.get("HISPATIAL_CACHE") or "~/.cache/hispatial_jax"
  return pathlib.Path(given).expanduser()


def fetch(
  source: str | os.PathLike, suffixes: Sequence[str] = ()
) -> pathlib.Path:
  """A local copy of a file or folder; a local path as it is.

  Args:
    source: the path.
    suffixes: of a folder, only files that end so; () is all.

  Raises:
    FileNotFoundError: nothing is there.
    OSError: no room for it on the local disk; or less came than there is.
  """
  if not is_remote(source):
    return pathlib.Path(source)
  source = path(source)
  target = cache() / os.fspath(source).replace("://", "/")
  ends = tuple(suffixes) or ("",)
  there = {n: s for n, s in files(source).items() if not n or n.endswith(ends)}
  if not there:
    raise FileNotFoundError(f"{source}: no such file or folder")
  old = {n: s for n, s in there.items() if not _same(target / n, s)}
  if "" not in there:
    for left in set(names(target)) - set(there):
      (target / left).unlink()
  size = sum(stat.length for stat in old.values())
  _check_room(target, size, source)
  with _bar(size, f"copying {source}") as bar:
    _each(download, [(source / n, target / n, bar) for n in old])
  return target


def files(folder: epath.Path) -> dict[str, Any]:
  """Name below a folder -> size and time; {"": ...} if it is a file."""
  if not folder.is_dir():
    return {"": folder.stat()} if folder.exists() else {}
  found, left = {}, [folder]
  while left:
    for inside in (at := left.pop()).iterdir():
      if inside == at:  # some stores list a folder in itself
        continue
      stat = inside.stat()
      if stat.is_directory:
        left.append(inside)
      elif PARTIAL not in inside.name:
        found[inside.relative_to(folder).as_posix()] = stat
  return found


def names(folder: pathlib.Path) -> list[str]:
  """Those of all files below a local folder; [] if it is a file or nothing."""
  found = [p for p in folder.rglob("*") if p.is_file()]
  return [
    p.relative_to(folder).as_posix() for p in found if PARTIAL not in p.name
  ]


@contextlib.contextmanager
def writing(target: str | os.PathLike) -> Iterator[pathlib.Path]:
  """A local place for a file or folder that is sent to a bucket at the end.

  What an error left there is removed.

  Raises:
    OSError: something else arrived than was sent.
  """
  with staging() as folder:
    place = folder / path(target).name
    yield place
    send(place, target)


@contextlib.contextmanager
def staging() -> Iterator[pathlib.Path]:
  """A folder beside the copies that is gone at the end."""
  cache().mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(dir=cache(), prefix="staging-") as folder:
    yield pathlib.Path(folder)


def send(place: pathlib.Path, target: str | os.PathLike) -> None:
  """Copies a local file or folder to a bucket.

  The largest files go first: those that tell what the folder holds, its config
  or index, are there only when it is whole.
  """
  target = path(target)
  sizes = {n: (place / n).stat().st_size for n in names(place) or [""]}
  order = sorted(sizes, key=lambda n: (-sizes[n], n))
  try:
    with _bar(sum(sizes.values()), f"copying to {target}") as bar:
      for name in order:
        upload(place / name, target / name, bar)
  except BaseException:
    for name in order:
      (target / name).unlink(missing_ok=True)
    raise


def upload(place: pathlib.Path, target: epath.Path, bar=None) -> None:
  """One file; objects of a bucket are there whole or not at all."""
  target.parent.mkdir(parents=True, exist_ok=True)
  with place.open("rb") as reader, target.open("wb") as writer:
    sent = _pour(reader, writer, bar)
  if (there := target.stat().length) != sent:
    raise OSError(f"{target}: {there} bytes arrived of {sent}; try again")


def download(source: epath.Path, target: pathlib.Path, bar=None) -> None:
  """One file, whole or not at all, with the time of the original."""
  stat = source.stat()
  target.parent.mkdir(parents=True, exist_ok=True)
  partial = target.with_name(f".{target.name}{PARTIAL}-{os.getpid()}")
  try:
    with source.open("rb") as reader, partial.open("wb") as writer:
      came = _pour(reader, writer, bar)
    if came != stat.length:
      raise OSError(f"{source}: {came} bytes came of {stat.length}; try again")
    os.utime(partial, (stat.mtime, stat.mtime))
    partial.replace(target)
  finally:
    partial.unlink(missing_ok=True)


def append(path: epath.Path, text: str) -> None:
  """Adds to a file; one of a bucket cannot grow and is written anew.

  Asked to append, gcsfs would write the new text alone.
  """
  if is_remote(path):
    old = path.read_text() if path.exists() else ""
    path.write_text(old + text)
    return
  with path.open("a") as file:
    file.write(text)


def _pour(reader, writer, bar) -> int:
  size = 0
  while chunk := reader.read(_CHUNK):
    writer.write(chunk)
    size += len(chunk)
    if bar is not None:
      bar.update(len(chunk))
  return size


def _same(place: pathlib.Path, stat) -> bool:
  """Whether a copy is the original; one of unknown time is not trusted."""
  if not place.is_file():
    return False
  here = place.stat()
  size, time = here.st_size, int(here.st_mtime)
  return bool(stat.mtime) and (size, time) == (stat.length, stat.mtime)


def _check_room(target: pathlib.Path, size: int, source) -> None:
  cache().mkdir(parents=True, exist_ok=True)
  free = shutil.disk_usage(cache()).free - _SPARE
  if size > free:
    raise OSError(
      errno.ENOSPC,
      f"{source} is {size / 1e9:.1f} GB, and {cache()} has room for "
      f"{max(free, 0) / 1e9:.1f}: set HISPATIAL_CACHE to a larger disk",
    )


def _each(fn, arguments: list[tuple]) -> None:
  """Calls fn with each; the first error ends it."""
  with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
    for done in [pool.submit(fn, *some) for some in arguments]:
      done.result()


def _bar(size: int, what: str):
  return tqdm.tqdm(
    total=size, unit="B", unit_scale=True, desc=what, disable=size < _CHUNK
  )
