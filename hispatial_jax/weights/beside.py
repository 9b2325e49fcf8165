"""Files and folders that appear under their name only when they are whole."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator

from hispatial_jax.core import remote


@contextlib.contextmanager
def writing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """Gives a place beside `path` to write to, and renames it at the end.

  Of a bucket's path the place is local, and is sent there at the end. What an
  error left behind is removed.

  Raises:
    FileExistsError: `path` is there already.
  """
  if remote.path(path).exists():
    raise FileExistsError(f"{path}: is there already; remove it first")
  if remote.is_remote(path):
    with remote.writing(path) as place:
      yield place
    return
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  partial = path.parent / f".partial-{path.name}"
  _remove(partial)
  try:
    yield partial
    partial.rename(path)
  finally:
    _remove(partial)


def _remove(path):
  if path.is_dir():
    shutil.rmtree(path)
  else:
    path.unlink(missing_ok=True)
