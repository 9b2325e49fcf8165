"""Files and folders that appear under their name only when they are whole."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator


@contextlib.contextmanager
def writing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """Gives a place beside `path` to write to, and renames it at the end.

  What an error left behind is removed.

  Raises:
    FileExistsError: `path` is there already.
  """
  path = pathlib.Path(path)
  if path.exists():
    raise FileExistsError(f"{path}: is there already; remove it first")
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
