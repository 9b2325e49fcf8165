"""gs:// as a folder of the test, with the habits of a bucket.

    root = fake_bucket.at(tmp_path, monkeypatch)   # gs://b/x is root/b/x

What etils, fsspec and this project do with paths is what they do with gcsfs:
files appear when they are closed, folders are where files are, nothing can be
appended to. What TensorStore does with buckets itself is done with files.
"""

import os
import pathlib
import shutil
import sys
import tempfile

from etils.epath import backend
from fsspec import config, spec
from orbax.checkpoint._src.path import gcs_utils


class Bucket(spec.AbstractFileSystem):
  """Objects are files below `root`."""

  protocol = ("gs", "gcs")
  cachable = False
  root: pathlib.Path

  def _place(self, path) -> pathlib.Path:
    return self.root / self._strip_protocol(path)

  def info(self, path, **_):
    """As gcsfs: a folder is there if a file is in it."""
    place, name = self._place(path), self._strip_protocol(path)
    if place.is_file():
      stat = place.stat()
      found = {"type": "file", "size": stat.st_size, "mtime": stat.st_mtime}
      return {"name": name, **found}
    if any(p.is_file() for p in place.rglob("*")):
      return {"name": name, "type": "directory", "size": 0}
    raise FileNotFoundError(path)

  def ls(self, path, detail=True, **_):
    """What is right in a folder."""
    found = []
    if self.info(path)["type"] == "file":
      found = [self.info(path)]
    else:
      for place in sorted(self._place(path).iterdir()):
        name = place.relative_to(self.root).as_posix()
        if self.exists(name):
          found.append(self.info(name))
    return found if detail else [x["name"] for x in found]

  def _open(self, path, mode="rb", **_):
    place = self._place(path)
    if "r" in mode:
      return place.open("rb")
    return _Upload(place)  # "a" as well: gcsfs overwrites

  def mkdir(self, path, create_parents=True, **_):
    """There are no folders."""

  def makedirs(self, path, exist_ok=False):
    """There are no folders."""

  def rmdir(self, path):
    """There are no folders."""

  def _rm(self, path):
    if self._place(path).is_file():
      self._place(path).unlink()

  def cp_file(self, path1, path2, **_):
    """Copies one object."""
    if self._place(path1).is_file():
      self._place(path2).parent.mkdir(parents=True, exist_ok=True)
      shutil.copyfile(self._place(path1), self._place(path2))


class _Upload:
  """An object on its way: there once it is closed."""

  def __init__(self, place):
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, self._name = tempfile.mkstemp(dir=Bucket.root)
    self._file, self._place = os.fdopen(handle, "wb"), place

  def __getattr__(self, name):
    return getattr(self._file, name)

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.close()

  def close(self):
    """Gives it its name."""
    if not self._file.closed:
      self._file.close()
      os.replace(self._name, self._place)


def at(folder, monkeypatch) -> pathlib.Path:
  """Puts the buckets there, and the local copies beside."""
  root = pathlib.Path(folder) / "buckets"
  root.mkdir()
  Bucket.root = root
  known = sys.modules["fsspec.registry"]._registry
  monkeypatch.setitem(known, "gcs", Bucket)
  backend._FileSystemSpecBackend._get_filesystem.cache_clear()
  monkeypatch.setattr(config, "conf", {})
  monkeypatch.setenv("HISPATIAL_CACHE", str(folder / "cache"))
  monkeypatch.setattr(gcs_utils, "get_kvstore_for_gcs", _kvstore)
  monkeypatch.setattr(
    gcs_utils, "is_hierarchical_namespace_enabled", lambda _: False
  )
  return root


def _kvstore(path: str):
  place = path.removeprefix("gs://")
  return {"driver": "file", "path": f"{Bucket.root}/{place}"}
