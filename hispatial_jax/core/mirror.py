"""A folder of a bucket that is worked on locally, and kept up to date there.

    with mirror.of("gs://bucket/eval") as out:    # a local folder
      ...                                         # append, rename, delete
      mirror.sync(out)                            # where others must see it

Files of a bucket cannot grow: here they do so locally, and are sent once a
minute, at `sync` and at the end. Several processes may work on one folder as
long as each file is written by one of them. A local path is itself.
"""

import contextlib
import os
import pathlib
import threading
from collections.abc import Iterator

from hispatial_jax.core import remote

_EVERY_S = 60.0
_open: list["_Mirror"] = []


@contextlib.contextmanager
def of(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """The folder to work in; what is there already is in it.

  Raises:
    OSError, ImportError: the bucket cannot be reached.
  """
  if not remote.is_remote(path):
    yield pathlib.Path(path)
    return
  with remote.staging() as folder:
    mirror = _Mirror(folder / "out", remote.path(path))
    mirror.pull()
    _open.append(mirror)
    try:
      with mirror.in_background():
        yield mirror.folder
    finally:
      _open.remove(mirror)
      mirror.push()


def sync(path: str | os.PathLike) -> None:
  """Sends what is new in the mirror that `path` lies in, and gets the rest."""
  path = pathlib.Path(path)
  for mirror in _open:
    if path.is_relative_to(mirror.folder):
      mirror.push()
      mirror.pull()


class _Mirror:
  """Both sides, and how they were when they were last the same."""

  def __init__(self, folder: pathlib.Path, target):
    self.folder, self._target = folder, target
    self._here: dict[str, tuple[int, int]] = {}
    self._there: dict[str, tuple[int, int]] = {}
    self._lock = threading.Lock()
    folder.mkdir()

  def pull(self) -> None:
    """Gets what others changed; what was changed here stays."""
    with self._lock:
      there = {
        name: (stat.length, stat.mtime)
        for name, stat in remote.files(self._target).items()
      }
      here, old = self._look(), self._there
      same = {n for n in {*there, *old} if here.get(n) == self._here.get(n)}
      for name in same & (old.keys() - there.keys()):
        (self.folder / name).unlink(missing_ok=True)
        self._here.pop(name, None)
      for name in same & there.keys():
        if there[name] != old.get(name):
          place = self.folder / name
          remote.download(self._target / name, place)
          self._here[name] = _facts(place)
      self._there = there

  def push(self) -> None:
    """Sends what was changed here, and takes away what was removed."""
    with self._lock:
      here = self._look()
      for name, facts in here.items():
        if facts != self._here.get(name):
          remote.upload(self.folder / name, self._target / name)
          stat = (self._target / name).stat()
          self._there[name] = (stat.length, stat.mtime)
      for name in self._here.keys() - here.keys():
        (self._target / name).unlink(missing_ok=True)
        self._there.pop(name, None)
      self._here = here

  @contextlib.contextmanager
  def in_background(self):
    """Pushes once a minute; an error is left to the next push."""
    done = threading.Event()

    def work():
      while not done.wait(_EVERY_S):
        with contextlib.suppress(OSError):
          self.push()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
      yield
    finally:
      done.set()
      thread.join()

  def _look(self) -> dict[str, tuple[int, int]]:
    found = {}
    for name in remote.names(self.folder):
      with contextlib.suppress(FileNotFoundError):  # renamed meanwhile
        found[name] = _facts(self.folder / name)
    return found


def _facts(path: pathlib.Path) -> tuple[int, int]:
  """What changes with a local file."""
  stat = path.stat()
  return stat.st_size, stat.st_mtime_ns
