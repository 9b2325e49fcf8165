"""Files written beside and renamed, and one clear error for a full disk."""

import contextlib
import errno
import json
import os
import uuid
from collections.abc import Iterator
from typing import Any

from etils import epath

PARTIAL = ".partial-"


class NoSpace(OSError):
  """The disk is full, or a quota is."""


def write_text(path: epath.Path, text: str) -> None:
  """Writes a file that is there whole, or not at all."""
  partial = beside(path)
  try:
    partial.write_text(text)
    partial.replace(path)
  except BaseException:
    partial.unlink(missing_ok=True)
    raise


@contextlib.contextmanager
def guarded(out: str) -> Iterator[None]:
  """A full disk is one clear error, however a library words it.

  Raises:
    NoSpace: in place of whatever says so.
  """
  try:
    yield
  except Exception as error:
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    texts = ("No space left", "Disk quota exceeded", "storageQuota")
    if full or any(text in str(error) for text in texts):
      raise NoSpace(
        f"no space left in {out}: what is finished stays; make room, and the"
        " same command continues from there"
      ) from error
    raise


def beside(path: epath.Path) -> epath.Path:
  """A name of its own, for one writer among many."""
  return path.parent / f"{path.name}{PARTIAL}{uuid.uuid4().hex[:12]}"


def sync(path: epath.Path) -> None:
  """To the disk, before the name says that the file is whole."""
  with open(path, "rb") as f:
    os.fsync(f.fileno())


def read_json(path: epath.Path) -> dict[str, Any]:
  """The JSON object of a file; {} where there is none, or half of one."""
  try:
    return json.loads(path.read_text())
  except (FileNotFoundError, json.JSONDecodeError):
    return {}
