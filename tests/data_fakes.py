"""A tiny source and tokenizer that stand in for the toy world's."""

import dataclasses

import numpy as np

from hispatial_jax.data import records, shards

INTRINSICS = [[1.0, 0, 0.5], [0, 1.0, 0.5], [0, 0, 1]]


@dataclasses.dataclass(frozen=True)
class Source:
  """Records "r0000"...; ids in `broken` have a truncated picture."""

  train: int = 12
  val: int = 5
  size: int = 28
  broken: tuple[str, ...] = ()
  first: int = 0
  long_answers: int = 0

  @property
  def splits(self):
    train = range(self.first, self.first + self.train)
    names = {"train": train, "val": range(1000, 1000 + self.val)}
    return {k: [f"r{i:04d}" for i in v] for k, v in names.items() if len(v)}

  def describe(self):
    return {"source": "fake", **dataclasses.asdict(self)}

  def make(self, name):
    if name in self.broken:
      return record(name, self.size) | {"image": b"\xff\xd8\xff\xe0\x00\x10"}
    made = record(name, self.size)
    if int(name[1:]) < self.long_answers:
      made["qa"] = [qa | {"answer": "long " * 20} for qa in made["qa"]]
    return made


def write_broken(folder, names, **options):
  """Records of which those of `names` were cut after they had been checked."""

  def cut(columns):
    if columns["id"] in names:
      columns["image"] = columns["image"][:50]
    return columns

  write(Source(**{"train": 13, "val": 0, **options}), folder, cut)
  return str(folder)


def write(source, folder, change=lambda columns: columns):
  """Writes a dataset of the records of a source, each split in one file.

  `change` may alter the stored columns, to break them.
  """
  shards.folder(folder).mkdir(parents=True, exist_ok=True)
  splits = {}
  for split, ids in source.splits.items():
    rows = [change(records.encode(source.make(name))) for name in ids]
    size = shards.write(shards.path_of(folder, split, 0, 1), rows)
    splits[split] = [len(rows)], size
  shards.write_metadata(folder, splits, source.describe())


def record(name="r0000", size=28, num_qa=3):
  """A raw record that depends on its name alone."""
  rng = np.random.default_rng(int(name[1:]))
  image = np.zeros((size, size, 3), np.uint8)
  image[:, :] = rng.integers(0, 255, 3)
  depth = (2 + np.sin(np.arange(size * size) / 9)).reshape(size, size)
  depth[0, 0], depth[0, 1] = np.nan, np.inf
  return {
    "id": name,
    "source": "fake",
    "image": image,
    "depth_m": depth.astype(np.float32),
    "intrinsics": np.array(INTRINSICS, np.float32),
    "qa": [
      {
        "question": f"what is {i} of {name}?",
        "answer": f"{i}",
        "level": i % 4,
        "task": "fake",
        "format": "text",
        "meta": {"i": i},
      }
      for i in range(num_qa)
    ],
    "objects": {"gravity": [0, 1, 0], "objects": [], "kind": "gt"},
  }


class Tokenizer:
  """A token for each letter."""

  pad_id, eos_id, bos_id, newline_id, vocab_size = 0, 1, 2, 4, 300

  def encode(self, text):
    return [ord(letter) + 5 for letter in text]

  def decode(self, ids):
    return "".join(chr(i - 5) for i in ids if i > 4)
