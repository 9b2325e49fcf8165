"""Checksums beside the files of a checkpoint: whether they still hold.

    seal.write(folder, part=0, parts=2)     # by each process, once it is whole
    seal.damaged(folder)                    # ["params/…: 12 of 345 bytes"]

A flipped byte in an array would pass unseen: formats of arrays check little or
nothing. Each of `parts` processes reads every parts-th file, and writes what it
found to FOLDER/seal-PART.json; whoever restores may be more or fewer.
"""

import json
import zlib

from etils import epath

_NAME, _CHUNK = "seal-", 1 << 22


def write(folder, part: int = 0, parts: int = 1) -> None:
  """Writes the checksums of this part of a folder's files.

  Args:
    folder: of a checkpoint, with all its files in place.
    part, parts: which of the sorted files, and of how many processes.
  """
  folder = epath.Path(folder)
  found = {name: _sum(folder / name) for name in _files(folder)[part::parts]}
  path = folder / f"{_NAME}{part}.json"
  partial = folder / f"{_NAME}{part}.partial"
  partial.write_text(json.dumps(found))
  partial.replace(path)


def damaged(
  folder, part: int = 0, parts: int = 1, below: str = ""
) -> list[str]:
  """A line for each file that is not what it was; [] without a seal, too.

  Args:
    folder: of a checkpoint.
    part, parts: look at this part of the files alone.
    below: only at files whose names begin so, "params/" for one.
  """
  folder = epath.Path(folder)
  wanted: dict[str, list[int]] = {}
  for path in sorted(folder.glob(f"{_NAME}*.json")):
    try:
      wanted |= json.loads(path.read_text())
    except ValueError:
      return [f"{path.name}: no JSON"]
  lines = []
  for name in sorted(wanted)[part::parts]:
    if name.startswith(below):
      size, _ = wanted[name]
      if not (folder / name).exists():
        lines.append(f"{name} is missing")
      elif (now := _sum(folder / name)) != wanted[name]:
        what = f"{now[0]} of {size} bytes" if now[0] != size else "other bytes"
        lines.append(f"{name}: {what} than were written")
  return lines


def _files(folder: epath.Path) -> list[str]:
  """Names of all files below, sorted."""
  found, left = [], [folder]
  while left:
    for path in left.pop().iterdir():
      if path.is_dir():
        left.append(path)
      elif not path.name.startswith(_NAME):
        found.append(path.relative_to(folder).as_posix())
  return sorted(found)


def _sum(path: epath.Path) -> list[int]:
  """[bytes, CRC-32]."""
  size = check = 0
  with path.open("rb") as file:
    while chunk := file.read(_CHUNK):
      size, check = size + len(chunk), zlib.crc32(chunk, check)
  return [size, check]
