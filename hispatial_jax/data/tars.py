"""Pictures in tar shards, WebDataset's layout, read where they lie.

    shards = TarShards("data/photos-*.tar")      # or a folder of them
    shards.splits["train"][0]                    # "photos-000000.tar/000017"

Members of a sample share their name up to the first dot of its last part. Its
picture ends in .jpg, .jpeg, .png or .webp; a .json with "qa" in the form of
records.QA_TABLE gives the questions (and "objects"); all else is left alone.

Nothing is unpacked: a shard is read once for its headers, then at an offset for
each picture.
"""

import collections
import dataclasses
import functools
import glob
import json
import os
import pathlib
from typing import Any

from hispatial_jax.data import records, sources, tar_index

_PICTURES = (".jpg", ".jpeg", ".png", ".webp")


@dataclasses.dataclass(frozen=True)
class TarShards:
  """The pictures of uncompressed tars, as a source (see data/sources.py).

  Attributes:
    path: a .tar, a pattern of them, or a folder with some anywhere below it.
    val: share of the pictures that are split "val", told by their names.
  """

  path: str
  val: float = 0.0

  def __post_init__(self):
    if not self.shards:
      raise FileNotFoundError(f"no .tar file at {self.path}")

  def __getstate__(self):
    return sources.settings(self)

  @property
  def shards(self) -> dict[str, pathlib.Path]:
    """Name -> file, sorted; named from the folder that holds them all."""
    return _shards(str(self.path))

  @functools.cached_property
  def splits(self) -> dict[str, list[str]]:
    """Split -> "SHARD/KEY" of every sample with a picture."""
    ids = [
      f"{name}/{key}"
      for name, path in self.shards.items()
      for key, kinds in tar_index.index_of(path).samples.items()
      if _picture(kinds)
    ]
    return sources.divide(ids, self.val)

  @functools.cached_property
  def problems(self) -> list[tuple[str, str]]:
    """(reason, one line) of all that the shards hold and cannot be used."""
    found = []
    for path in self.shards.values():
      index = tar_index.index_of(path)
      found += index.skipped
      found += [
        ("no_picture", f"{path}: {key} has none of {', '.join(_PICTURES)}")
        for key, kinds in index.samples.items()
        if not _picture(kinds)
      ]
    return found

  @property
  def skipped(self) -> collections.Counter:
    """Reason -> number of `problems`."""
    return collections.Counter(reason for reason, _ in self.problems)

  def describe(self) -> dict[str, Any]:
    """The shards by name and size."""
    sizes = [(n, p.stat().st_size) for n, p in self.shards.items()]
    return {"source": "tar", "val": self.val, **sources.digest("shards", sizes)}

  def make(self, name: str) -> dict[str, Any]:
    """Reads the members of a sample.

    Raises:
      OSError, KeyError: the shard or the sample is not there.
    """
    shard, _, key = name.partition(".tar/")
    path = self.shards[f"{shard}.tar"]
    members = tar_index.index_of(path).samples[key]
    image = _content(path, members[_picture(members)])
    record = sources.bare(name, path.stem, image)
    if ".json" in members:
      record |= _questions(_content(path, members[".json"]))
    return record


@functools.lru_cache(maxsize=8)
def _shards(path: str) -> dict[str, pathlib.Path]:
  given = pathlib.Path(path)
  found = given.rglob("*.tar") if given.is_dir() else glob.glob(path)
  files = sorted(p for p in map(pathlib.Path, found) if p.suffix == ".tar")
  files = [p for p in files if p.is_file()]
  top = os.path.commonpath([p.parent for p in files]) if files else given
  top = given if given.is_dir() else top
  return {p.relative_to(top).as_posix(): p for p in files}


def _content(path: pathlib.Path, member: tar_index.Member) -> bytes:
  with path.open("rb") as file:
    file.seek(member.offset)
    return file.read(member.size)


def _picture(kinds) -> str:
  return next((kind for kind in _PICTURES if kind in kinds), "")


def _questions(data: bytes) -> dict[str, Any]:
  """qa and objects of a member in our form; nothing of any other."""
  try:
    found = json.loads(data)
    rows = found["qa"]
    whole = all(c.key in row for row in rows for c in records.QA_TABLE[:5])
  except (ValueError, TypeError, KeyError):
    return {}
  if not isinstance(rows, list) or not whole:
    return {}
  return {"qa": rows, "objects": found.get("objects") or {}}
