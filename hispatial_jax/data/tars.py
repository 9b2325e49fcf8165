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
import json
import pathlib
from typing import Any

from hispatial_jax.data import records, sources, tar_index

_PICTURES = (".jpg", ".jpeg", ".png", ".webp")


class Tars:
  """What sources of tars share; their fields are path, val and more.

  `problems` is theirs: (reason, one line) of what cannot be used.
  """

  path: str
  val: float

  def __post_init__(self):
    if not self.shards:
      raise FileNotFoundError(f"no .tar file at {self.path}")

  def __getstate__(self):
    return sources.settings(self)

  @property
  def shards(self) -> dict[str, pathlib.Path]:
    """Name -> file, sorted; named from the folder that holds them all."""
    return tar_index.shards(self.path)

  @property
  def skipped(self) -> collections.Counter:
    """Reason -> number of `problems`."""
    return collections.Counter(reason for reason, _ in self.problems)

  def described(self, **settings) -> dict[str, Any]:
    """`settings`, and the shards by name and size."""
    sizes = [(n, p.stat().st_size) for n, p in self.shards.items()]
    return {**settings, "val": self.val, **sources.digest("shards", sizes)}

  def place(self, name: str) -> tuple[pathlib.Path, str]:
    """The shard and the key of an id.

    Raises:
      KeyError: no such shard.
    """
    shard, _, key = name.partition(".tar/")
    return self.shards[f"{shard}.tar"], key


@dataclasses.dataclass(frozen=True)
class TarShards(Tars):
  """The pictures of uncompressed tars, as a source (see data/sources.py).

  Attributes:
    path: a .tar, a pattern of them, or a folder with some anywhere below it.
    val: share of the pictures that are split "val", told by their names.
  """

  path: str
  val: float = 0.0

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

  def describe(self) -> dict[str, Any]:
    """The shards by name and size."""
    return self.described(source="tar")

  def make(self, name: str) -> dict[str, Any]:
    """Reads the members of a sample.

    Raises:
      OSError, KeyError: the shard or the sample is not there.
    """
    path, key = self.place(name)
    members = tar_index.index_of(path).samples[key]
    picture = _picture(members)
    wanted = {k: members[k] for k in (picture, ".json") if k in members}
    files = tar_index.contents(path, wanted)
    record = sources.bare(name, path.stem, files[picture])
    if ".json" in files:
      record |= _questions(files[".json"])
    return record


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
