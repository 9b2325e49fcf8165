"""Where records come from. A source has

  splits: dict of split name -> sequence of ids, and
  make(id) -> record (see data/records.py); pure: the same id, the same record.
  describe() -> JSON-able dict of all that the records depend on.

It must pickle small: Beam sends it to the workers, which make the records. It
may have `problems`, (reason, one line) of each thing that gave no id at all; a
record may have "notes", the same of what was left out of it or is odd, which
are counted and not stored; describe() may state a "licence".
`pictures.open_source` tells from a path which source it means.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hispatial_jax.pp import codec

_PER_SEED = 1_000_000
_VAL = 100_000


@dataclasses.dataclass(frozen=True)
class ToyWorld:
  """Rooms and tabletops of toyworld/, rendered where they are asked for.

  Attributes:
    train, val: number of scenes; the two never share one.
    size: pixels of a side.
    seed: 0..98; other seeds give other scenes.
    kind: "room", "tabletop" or None for both.
  """

  train: int
  val: int = 0
  size: int = 112
  seed: int = 0
  kind: str | None = None

  def __post_init__(self):
    wrong = []
    if not 0 <= self.train <= _PER_SEED - _VAL:
      wrong.append(f"train {self.train} is not in 0..{_PER_SEED - _VAL}")
    if not 0 <= self.val <= _VAL:
      wrong.append(f"val {self.val} is not in 0..{_VAL}")
    if not 0 <= self.seed <= 98:
      wrong.append(f"seed {self.seed} is not in 0..98")
    if self.size < 16:
      wrong.append(f"size {self.size} is less than 16")
    if wrong:
      raise ValueError("toy world: " + "; ".join(wrong))

  @property
  def splits(self) -> dict[str, Sequence[str]]:
    """Split -> ids; the number in an id is the scene's seed."""
    first = self.seed * _PER_SEED
    starts = {"train": (first + _VAL, self.train), "val": (first, self.val)}
    return {
      split: [f"toy-{start + i:08d}" for i in range(count)]
      for split, (start, count) in starts.items()
      if count
    }

  def describe(self) -> dict[str, Any]:
    """The settings."""
    return {"source": "toyworld", **dataclasses.asdict(self)}

  def make(self, name: str) -> dict[str, Any]:
    """Renders a scene."""
    from hispatial_jax.toyworld import scenes

    return scenes.make(int(name.split("-")[1]), self.size, self.kind)


class Folders:
  """Your own pictures: one JSON object a line.

    {"id": "a1", "image": "a1.jpg", "depth": "a1.npy",
     "intrinsics": [[1.2, 0, 0.5], [0, 1.6, 0.5], [0, 0, 1]],
     "split": "train", "qa": [{"question": ..., "answer": ..., "level": 1,
     "task": "size", "format": "text"}], "objects": {...}}

  Paths are relative to the file. Depth: .npy of float metres, or 16-bit .png
  with "depth_scale" (metres of one unit, 0.001 for millimetres) or with "near"
  and "far" (log-coded as in pp/codec.py). Only id and image are needed.
  """

  def __init__(self, path: str):
    """Reads where each id stands.

    Raises:
      FileNotFoundError: no such file.
      ValueError: lines that are no JSON object with an id, or ids twice.
    """
    self._path = pathlib.Path(path)
    self._offsets: dict[str, int] = {}
    self.splits: dict[str, list[str]] = {}
    wrong, at = [], 0
    with self._path.open("rb") as lines:
      for number, line in enumerate(lines, 1):
        problem = self._add(line, at) if line.strip() else ""
        if problem:
          wrong.append(f"line {number}: {problem}")
        at += len(line)
    if wrong:
      raise ValueError(f"{path}: " + "; ".join(wrong[:20]))

  def __reduce__(self):  # small: a worker reads the file once
    return _kept, (str(self._path), self._path.stat().st_mtime_ns)

  def _add(self, line: bytes, offset: int) -> str:
    try:
      item = json.loads(line)
      name = item["id"]
    except (ValueError, KeyError, TypeError) as error:
      return f"no JSON object with an id ({error})"
    if not isinstance(name, str) or name in self._offsets:
      return f"id {name!r} is not a new text"
    self._offsets[name] = offset
    self.splits.setdefault(item.get("split", "train"), []).append(name)
    return ""

  def describe(self) -> dict[str, Any]:
    """The file, by its content."""
    digest = hashlib.sha256(self._path.read_bytes()).hexdigest()
    return {"source": "jsonl", "file": self._path.name, "sha256": digest}

  def make(self, name: str) -> dict[str, Any]:
    """Reads the files of a record.

    Raises:
      OSError: a file is missing.
      ValueError: a file or a key cannot be used.
    """
    with self._path.open("rb") as lines:
      lines.seek(self._offsets[name])
      item = json.loads(lines.readline())
    if "image" not in item:
      raise codec.BadInput("image", f"record {name!r} names no image")
    return {
      "id": name,
      "source": item.get("source", self._path.stem),
      "image": self._file(item["image"]).read_bytes(),
      "depth_m": self._depth(item) if item.get("depth") else None,
      "intrinsics": item.get("intrinsics"),
      "qa": item.get("qa", []),
      "objects": item.get("objects", {}),
    }

  def _file(self, name: str) -> pathlib.Path:
    path = self._path.parent / name
    if not path.is_file():
      raise FileNotFoundError(f"no file {path}")
    return path

  def _depth(self, item) -> np.ndarray:
    path = self._file(item["depth"])
    if path.suffix == ".npy":
      return np.load(path, allow_pickle=False)
    codes = codec.read_png(path.read_bytes())
    if "near" in item and "far" in item:
      return codec.decode_depth(codes, item["near"], item["far"])
    if "depth_scale" not in item:
      raise ValueError(f"{path.name} needs depth_scale, or near and far")
    return codes.astype(np.float32) * np.float32(item["depth_scale"])


@functools.lru_cache(maxsize=4)
def _kept(path: str, changed: int) -> Folders:
  del changed  # in the key
  return Folders(path)


def settings(source) -> dict[str, Any]:
  """The state to pickle of a source that is a dataclass: nothing cached."""
  return {f.name: getattr(source, f.name) for f in dataclasses.fields(source)}


def bare(name: str, source: str, image: bytes) -> dict[str, Any]:
  """The record of a picture of which nothing else is known."""
  return {
    "id": name,
    "source": source,
    "image": image,
    "depth_m": None,
    "intrinsics": None,
    "qa": [],
    "objects": {},
  }


def divide(ids: Iterable[str], val: float) -> dict[str, list[str]]:
  """Split -> ids; those of "val", about a share `val`, are told by their name.

  So that a picture stays in its split when others come or go.

  Raises:
    ValueError: val is no share.
  """
  if not 0 <= val < 1:
    raise ValueError(f"val {val} is not a share: 0 <= val < 1")
  found: dict[str, list[str]] = {"train": [], "val": []}
  for name in ids:
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    found["val" if share < val else "train"].append(name)
  return {split: part for split, part in found.items() if part}


def digest(what: str, sizes: list[tuple[str, int]]) -> dict[str, Any]:
  """For describe(): how many files there are, and a hash of names and sizes."""
  text = json.dumps(sizes).encode()
  return {what: len(sizes), "sha256": hashlib.sha256(text).hexdigest()}
