"""The shards that HiSpatial's authors released, as sources; nothing unpacked.

    shards = Shards("o365/", "wild")             # or a .tar, or a pattern
    record = shards.make("part-0/000.tar/o365_1")
    record["notes"]                              # what was left out of it

  wild     Objects365 and COYO: K.jpg, K.png (log depth), K.intrinsics.pt, K.pt
  ca1m     CA-1M: K_image.jpg, K_depth.npy, K_intrinsics.pt, K_qa.pt
  general  conversations: K.jpg, K.pt (a point map), K.json

Records come without any resizing; depth as it was measured or estimated, their
questions as they were released (see qa/released.py). `.pt` files are read
without executing them; that needs torch.

Source: golden/hispatial_data/FORMAT.md, "Shard layouts".
"""

import dataclasses
import functools
import pathlib
import re
from typing import Any

from hispatial_jax.data import (
  records,
  released_files,
  released_rows,
  sources,
  tar_index,
  tars,
)
from hispatial_jax.pp import codec

# Kind -> what a sample is made of: the ends of its members' names.
MEMBERS = {
  "wild": {
    "image": ".jpg",
    "depth": ".png",
    "camera": ".intrinsics.pt",
    "qa": ".pt",
  },
  "ca1m": {
    "image": "_image.jpg",
    "depth": "_depth.npy",
    "camera": "_intrinsics.pt",
    "qa": "_qa.pt",
  },
  "general": {"image": ".jpg", "points": ".pt", "turns": ".json"},
}
# The members that tell the kind; the first that fits.
_MARKS = {
  "wild": (".intrinsics.pt",),
  "ca1m": ("_intrinsics.pt", "_depth.npy"),
  "general": (".pt", ".json"),
}
_PART = re.compile(r"(.+?)(_(?:image|depth|intrinsics|qa|meta))", re.DOTALL)
_SETS = ("o365", "coyo")


@dataclasses.dataclass(frozen=True)
class Shards(tars.Tars):
  """Released shards of one kind, as a source (see data/sources.py).

  Attributes:
    path: a .tar, a pattern of them, or a folder with some anywhere below it.
    kind: "wild", "ca1m" or "general".
    val: share of the pictures that are split "val", told by their names.
    name: source of the records; "" takes "o365" or "coyo" from the key or a
      folder, else the kind.
  """

  path: str
  kind: str = "wild"
  val: float = 0.0
  name: str = ""

  def __post_init__(self):
    if self.kind not in MEMBERS:
      raise ValueError(
        f"kind {self.kind!r} is none of {', '.join(map(repr, MEMBERS))}"
      )
    super().__post_init__()

  @functools.cached_property
  def splits(self) -> dict[str, list[str]]:
    """Split -> "SHARD/KEY" of every sample that has all its members."""
    ids = [
      f"{name}/{key}"
      for name, path in self.shards.items()
      for key in _samples(path, self.kind).samples
    ]
    return sources.divide(ids, self.val)

  @functools.cached_property
  def problems(self) -> list[tuple[str, str]]:
    """(reason, one line) of all that the shards hold and cannot be used."""
    found = []
    for path in self.shards.values():
      found += tar_index.index_of(path).skipped
      found += _samples(path, self.kind).skipped
    return found

  def describe(self) -> dict[str, Any]:
    """The settings, and the shards by name and size."""
    return self.described(source="released", kind=self.kind, name=self.name)

  def make(self, name: str) -> dict[str, Any]:
    """Reads the members of a sample.

    Returns:
      The record, and "notes": (reason, one line) of what was left out.

    Raises:
      OSError, KeyError: the shard or the sample is not there.
      codec.BadInput: a member cannot be used; the message says which.
      ImportError: torch is not installed.
    """
    path, key = self.place(name)
    files = tar_index.contents(path, _samples(path, self.kind).samples[key])
    image, size = self._read("image", released_files.picture, files["image"])
    record = sources.bare(name, self._source(path, key), image)
    read = {"wild": self._wild, "ca1m": self._ca1m, "general": self._general}
    record |= read[self.kind](files, name)
    codec.check_sizes(record["depth_m"].shape, size)
    return record

  def _wild(self, files, name) -> dict[str, Any]:
    rows, notes = self._questions(files, name, released_rows.wild)
    content = self._read("camera", released_files.torch, files["camera"])
    return {
      "depth_m": self._read("depth", released_files.log_depth, files["depth"]),
      "intrinsics": self._read("camera", released_files.camera, content),
      "qa": rows,
      "notes": notes,
    }

  def _ca1m(self, files, name) -> dict[str, Any]:
    rows, notes = self._questions(files, name, released_rows.ca1m)
    content = self._read("camera", released_files.torch, files["camera"])
    depth_m = self._read("depth", released_files.metres, files["depth"])
    return {
      "depth_m": depth_m,
      "intrinsics": self._read(
        "camera", released_files.pixel_camera, content, depth_m.shape
      ),
      "qa": rows,
      "notes": notes,
    }

  def _general(self, files, name) -> dict[str, Any]:
    turns = self._read("turns", released_files.turns, files["turns"])
    rows, notes = self._read("turns", released_rows.general, turns, name)
    content = self._read("points", released_files.torch, files["points"])
    depth_m, camera, found = self._read(
      "points", released_files.point_map, content
    )
    if camera is None:
      found = [*found, ("assumed_camera", "no camera, and no point is known")]
    return {
      "depth_m": depth_m,
      "intrinsics": records.assumed_intrinsics() if camera is None else camera,
      "qa": rows,
      "notes": notes + [(reason, f"{name}: {text}") for reason, text in found],
    }

  def _questions(self, files, name, rows):
    content = self._read("qa", released_files.torch, files["qa"])
    return self._read("qa", rows, content, name)

  def _read(self, member: str, read, *args):
    """read(*args); what is wrong with a member names it."""
    try:
      return read(*args)
    except codec.BadInput as error:
      raise codec.BadInput(
        error.reason, f"{MEMBERS[self.kind][member]}: {error}"
      ) from None

  def _source(self, path: pathlib.Path, key: str) -> str:
    if self.name or self.kind != "wild":
      return self.name or self.kind
    folder, _, base = key.rpartition("/")
    for known in _SETS:
      if base.lower().startswith(known):
        return known
    for part in reversed((path.parent / folder).parts):
      for known in _SETS:
        if known in part.lower():
          return known
    return "wild"


def kind_of(path: str) -> str | None:
  """The kind of released shards, by the members of the first with any."""
  for shard in tar_index.shards(path).values():
    if tar_index.index_of(shard).samples:
      for kind, marks in _MARKS.items():
        found = _grouped(shard, kind)[0].values()
        if any(all(mark in kinds for mark in marks) for kinds in found):
          return kind
      return None
  return None


def _samples(path: pathlib.Path, kind: str) -> tar_index.Index:
  """Key -> name in MEMBERS -> where; what is no whole sample is skipped."""
  now = path.stat()
  return _kept_samples(str(path), kind, now.st_size, now.st_mtime_ns)


@functools.cache
def _kept_samples(path: str, kind: str, size: int, changed: int):
  del size, changed  # in the key: another file of that name is read anew
  groups, skipped = _grouped(pathlib.Path(path), kind)
  samples = {}
  for key, kinds in groups.items():
    missing = [end for end in MEMBERS[kind].values() if end not in kinds]
    if missing:
      text = f"{path}: {key} has no {', '.join(missing)}"
      skipped.append(("missing_member", text))
    else:
      samples[key] = {k: kinds[end] for k, end in MEMBERS[kind].items()}
  return tar_index.Index(samples, skipped)


def _grouped(path: pathlib.Path, kind: str):
  """Key -> end of the name -> Member; and (reason, one line) of doubles."""
  samples = tar_index.index_of(path).samples
  if kind != "ca1m":
    return samples, []
  groups, first, skipped = {}, {}, []
  for whole, kinds in samples.items():
    found = _PART.fullmatch(whole)
    key, part = found.groups() if found else (whole, "")
    # Keys that differ in case alone are one.
    group = groups.setdefault(first.setdefault(key.lower(), key), {})
    for kind_, member in kinds.items():
      if part + kind_ in group:
        text = f"{path}: {whole}{kind_} is there twice; the first is used"
        skipped.append(("duplicate", text))
      else:
        group[part + kind_] = member
  return groups, skipped
