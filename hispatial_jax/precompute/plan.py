"""What is to be done: a source's pictures, cut into shards.

    todo = plan.make(source, plan.Options(size=448), model)
    for job in todo.jobs:
      ids = plan.ids_of(source, job)

A shard is `shard_size` consecutive ids of a split. The same source, model and
options give the same plan, and the same plan gives the same files.
OUT/plan.json says which one a folder was begun with.
"""

import collections
import dataclasses
import hashlib
import itertools
import json
from typing import Any, NamedTuple

from etils import epath

# Of the records and the plan; other formats never share a folder.
_FORMAT = 2
_CHUNK = 1 << 22
_OF_MODEL = ("batch_size", "resolution_level")
# Bounds of a shard's records, and shards that a small source is cut into.
_MOST, _LEAST, _SHARDS = 256, 16, 24


@dataclasses.dataclass(frozen=True)
class Options:
  """What the records depend on, beside the source and the model.

  Attributes:
    shard_size: pictures of a shard.
    batch_size: pictures that the model sees at once, on each device; batches
      are filled up to it.
    size: pixels that the longer side may have; larger pictures are made
      smaller first, by area averaging. 0: as they are.
    square: S to keep picture and depth at S x S as the pipeline's operations
      would make them, whatever the model sees; see records.encode. 0: not.
    resolution_level: 0..9, how finely the model looks.
    quality: of the JPEG, where the picture's own bytes are not kept.
    depth_optional: without a model, records that have no depth are kept as
      they are, and not bad.
  """

  shard_size: int = 256
  batch_size: int = 8
  size: int = 0
  square: int = 0
  resolution_level: int = 9
  quality: int = 95
  depth_optional: bool = False

  def __post_init__(self):
    wrong = []
    if self.shard_size < 1:
      wrong.append(f"shard size {self.shard_size} is less than 1")
    if self.batch_size < 1:
      wrong.append(f"batch size {self.batch_size} is less than 1")
    if self.size and self.size < 32:
      wrong.append(f"size {self.size} is less than 32 pixels")
    if self.square and self.square < 16:
      wrong.append(f"{self.square} x {self.square} is less than 16 pixels")
    if self.size and self.square:
      wrong.append(f"size {self.size} and square {self.square}: give one")
    if not 0 <= self.resolution_level <= 9:
      wrong.append(f"resolution level {self.resolution_level} is not in 0..9")
    if not 1 <= self.quality <= 100:
      wrong.append(f"JPEG quality {self.quality} is not in 1..100")
    if wrong:
      raise ValueError("options: " + "; ".join(wrong))

  def facts(self, with_model: bool) -> dict[str, Any]:
    """Those that the records depend on, with a model or without one."""
    dropped = ("depth_optional",) if with_model else _OF_MODEL
    every = dataclasses.asdict(self)
    return {key: every[key] for key in every if key not in dropped}


class Job(NamedTuple):
  """One shard of a split: ids number start..stop-1.

  `count` is the number of shards of the split, `digest` that of the ids.
  """

  split: str
  number: int
  count: int
  start: int
  stop: int
  digest: str

  @property
  def name(self) -> str:
    """ "train-00003", unique in a plan."""
    return f"{self.split}-{self.number:05d}"


@dataclasses.dataclass(frozen=True)
class Plan:
  """All that is to be done.

  Attributes:
    jobs: the shards of all splits.
    facts: what the records depend on, JSON-able: source, model, options, and
      the number and digest of the ids.
  """

  jobs: tuple[Job, ...]
  facts: dict[str, Any]

  @property
  def fingerprint(self) -> str:
    """Of the facts; the same plan has the same one."""
    text = json.dumps(self.facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

  @property
  def images(self) -> int:
    """Number of pictures of all splits."""
    return sum(job.stop - job.start for job in self.jobs)

  def dumps(self) -> str:
    """What OUT/plan.json holds."""
    content = {"fingerprint": self.fingerprint, **self.facts}
    return json.dumps(content, indent=2) + "\n"


def make(source, options: Options, model: dict[str, Any] | None) -> Plan:
  """Cuts a source into shards.

  Args:
    source: see data/sources.py.
    options: of the records.
    model: JSON-able description of the model, with its checksum; None where
      every record has its own depth, or needs none.

  Raises:
    ValueError: the source has no pictures, or an id twice.
  """
  jobs, splits = [], {}
  for split, ids in source.splits.items():
    if len(set(ids)) < len(ids):
      twice = collections.Counter(ids).most_common(1)[0]
      raise ValueError(
        f"ids of split {split!r} must be unique: {twice[0]!r} comes {twice[1]}"
        " times"
      )
    mine = _jobs(split, ids, options.shard_size)
    whole = hashlib.sha256("".join(job.digest for job in mine).encode())
    splits[split] = {"ids": len(ids), "digest": whole.hexdigest()[:16]}
    jobs += mine
  if not jobs:
    raise ValueError(f"the source has no pictures: {source.describe()}")
  facts = {
    "format": _FORMAT,
    "source": source.describe(),
    "model": model,
    "options": options.facts(model is not None),
    "splits": splits,
  }
  return Plan(tuple(jobs), json.loads(json.dumps(facts)))


def even_size(source) -> int:
  """A size of shards that workers can share evenly, also of a small source.

  It depends on the source alone: so many workers, the same files.
  """
  total = sum(map(len, source.splits.values()))
  return min(_MOST, max(_LEAST, -(-total // _SHARDS)))


def ids_of(source, job: Job) -> list[str]:
  """The ids of a shard.

  Raises:
    ValueError: the source is not what it was when the plan was made.
  """
  ids = list(source.splits.get(job.split, ())[job.start : job.stop])
  if _digest(ids) != job.digest:
    raise ValueError(
      f"the source changed while it was read: the ids of shard {job.name} are"
      " others than when the run began; let it rest, and start again"
    )
  return ids


def differences(mine: dict[str, Any], there: dict[str, Any]) -> list[str]:
  """One line for each fact in which two plans differ."""
  mine, there = _flat(mine), _flat(there)
  return [
    f"{key} was {there.get(key)!r}, is {mine.get(key)!r}"
    for key in sorted(mine.keys() | there.keys())
    if mine.get(key) != there.get(key)
  ]


def checksum(path) -> str:
  """SHA-256 of a file, or of all files of a folder with their names.

  Raises:
    FileNotFoundError: nothing there.
  """
  path = epath.Path(path)
  if path.is_dir():
    whole = hashlib.sha256()
    for inside in sorted(path.iterdir(), key=lambda p: p.name):
      whole.update(f"{inside.name} {checksum(inside)}\n".encode())
    return whole.hexdigest()
  if not path.exists():
    raise FileNotFoundError(f"no model at {path}")
  with path.open("rb") as f:
    whole = hashlib.sha256()
    while chunk := f.read(_CHUNK):
      whole.update(chunk)
  return whole.hexdigest()


def _jobs(split, ids, size) -> list[Job]:
  starts = range(0, len(ids), size)
  bounds = list(itertools.pairwise([*starts, len(ids)]))
  return [
    Job(split, k, len(bounds), start, stop, _digest(ids[start:stop]))
    for k, (start, stop) in enumerate(bounds)
  ]


def _digest(ids) -> str:
  return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]


def _flat(facts, prefix="") -> dict[str, Any]:
  out = {}
  for key, value in facts.items():
    if isinstance(value, dict):
      out |= _flat(value, f"{prefix}{key}.")
    else:
      out[f"{prefix}{key}"] = value
  return out
