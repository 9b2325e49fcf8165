"""Pictures alone, as sources: folders and tar shards. And the door to them all.

    source = open_source("photos/")              # or TARS, a .jsonl, a dataset
    source.splits["train"][0]                    # "2024/march/a.jpg"

Records come without depth or intrinsics, pictures as the bytes of their files:
pp/given.read_image decodes them, checked and with bounded memory.
"""

import dataclasses
import functools
import glob
import os
import pathlib
from typing import Any

import numpy as np

from hispatial_jax.core import remote
from hispatial_jax.data import records, released, scannet, sources, tars, tum

_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


@dataclasses.dataclass(frozen=True)
class ImageFolder:
  """All pictures below a folder; ids are their paths from there.

  Attributes:
    path: the folder. Names that begin with a dot are left out.
    val: share of the pictures that are split "val", told by their names.
  """

  path: str
  val: float = 0.0

  def __post_init__(self):
    if not pathlib.Path(self.path).is_dir():
      raise FileNotFoundError(f"no folder {self.path}")

  def __getstate__(self):
    return sources.settings(self)

  @functools.cached_property
  def splits(self) -> dict[str, list[str]]:
    """Split -> sorted ids.

    Raises:
      FileNotFoundError: no picture there.
    """
    ids = sorted(_pictures_below(self.path))
    if not ids:
      raise FileNotFoundError(
        f"no picture ({', '.join(_ENDINGS)}) below {self.path}"
      )
    return sources.divide(ids, self.val)

  def describe(self) -> dict[str, Any]:
    """The files by name and size."""
    ids = sorted(name for part in self.splits.values() for name in part)
    sizes = [(n, os.path.getsize(os.path.join(self.path, n))) for n in ids]
    return {
      "source": "images",
      "val": self.val,
      **sources.digest("pictures", sizes),
    }

  def make(self, name: str) -> dict[str, Any]:
    """Reads a file.

    Raises:
      OSError: it is not there.
    """
    folder = pathlib.Path(self.path)
    data = (folder / name).read_bytes()
    return sources.bare(name, folder.resolve().name, data)


@dataclasses.dataclass(frozen=True)
class Dataset:
  """A TFDS set in ArrayRecord files.

  One of ours keeps ids, questions, objects and depth; its ids are read once in
  each process, which reads all records. Of any other the feature "image" is
  read, and ids are SPLIT-NUMBER.

  Attributes:
    path: its folder, or one or two above it.
  """

  path: str

  def __post_init__(self):
    _outline(self.path)

  @property
  def splits(self) -> dict[str, list[str]]:
    """Split -> ids, in the order that they are stored.

    Raises:
      ValueError: two splits share an id.
    """
    sizes, _ = _outline(self.path)
    splits = {split: list(_ids(self.path, split)) for split in sizes}
    if len(set().union(*splits.values())) < sum(map(len, splits.values())):
      raise ValueError(f"{self.path} has the same id in two splits")
    return splits

  def describe(self) -> dict[str, Any]:
    """What the set says of itself, and its size."""
    from hispatial_jax.data import builder

    sizes, _ = _outline(self.path)
    said = builder.description(self.path)
    name = pathlib.Path(self.path).resolve().name
    return {"source": "tfds", "name": name, "records": sizes, "of": said}

  def make(self, name: str) -> dict[str, Any]:
    """Reads a record; the picture stays encoded.

    Raises:
      KeyError: no record of that name.
      codec.BadInput: what is stored cannot be used.
    """
    sizes, ours = _outline(self.path)
    for split in sizes:
      if (number := _ids(self.path, split).get(name)) is not None:
        break
    else:
      raise KeyError(f"{self.path} has no record {name!r}")
    columns = None if ours else ("image",)
    stored = _open(self.path, split, columns)[number]
    if not ours:
      return sources.bare(name, split, stored["image"])
    record = records.decode(stored) | {"image": stored["image"]}
    if not (np.isfinite(record["depth_m"]) & (record["depth_m"] > 0)).any():
      record["depth_m"] = None
      if np.allclose(record["intrinsics"], records.assumed_intrinsics()):
        record["intrinsics"] = None
    return record


@functools.lru_cache(maxsize=8)
def _outline(path: str) -> tuple[dict[str, int], bool]:
  """Split -> number of records; whether the set is one of ours."""
  from hispatial_jax.data import builder

  sizes, columns = builder.outline(path)
  needed = {c.key for c in records.TABLE} - set(records.OPTIONAL)
  if "image" not in columns:
    raise ValueError(
      f"{path} has no column image, but {', '.join(sorted(columns))}"
    )
  return sizes, columns >= needed


@functools.lru_cache(maxsize=8)
def _open(path: str, split: str, columns: tuple[str, ...] | None):
  from hispatial_jax.data import builder

  return builder.open_split(path, split, columns)


@functools.lru_cache(maxsize=8)
def _ids(path: str, split: str) -> dict[str, int]:
  """Id -> number of the record."""
  sizes, ours = _outline(path)
  if ours:
    rows = _open(path, split, ("id",))
    return {rows[i]["id"].decode(): i for i in range(sizes[split])}
  return {f"{split}-{i:08d}": i for i in range(sizes[split])}


def _pictures_below(folder: str):
  for place, folders, files in os.walk(folder):
    folders[:] = [name for name in folders if not name.startswith(".")]
    for name in files:
      if name.lower().endswith(_ENDINGS) and not name.startswith("."):
        yield pathlib.Path(place, name).relative_to(folder).as_posix()


_LOOKED_FOR = """\
looked for
  FILE.jsonl                      one JSON object a line (data/sources.py)
  FILE.tar, a pattern, a folder   tar shards with pictures (WebDataset), among
                                  them HiSpatial's released ones, by their files
  a folder with dataset_info.json in it or two below: TFDS, ArrayRecord
  a folder with rgb.txt and depth.txt, in it or one below: TUM RGB-D
  a folder with color/ and depth/, in it or one below: ScanNet
  a folder with pictures below it"""


def open_source(path: str, *, val: float = 0.0, **options):
  """The source that a path means, told from what is there.

  Args:
    path: file, folder, or pattern of tars; the error lists what is looked for,
      in the order of the search.
    val: share for split "val", of pictures without splits of their own.
    options: of scannet.ScanNet or tum.Tum: size, stride, intrinsics.

  Raises:
    FileNotFoundError: nothing of what is looked for is there.
    ValueError: options for a source that has none.
  """
  path = str(path)
  remote.refuse(path, "pictures of a source")
  folder = pathlib.Path(path)
  kind = _kind(folder)
  if options and kind not in (scannet.ScanNet, tum.Tum):
    raise ValueError(f"{', '.join(options)}: only for measured depth")
  if kind is None:
    raise FileNotFoundError(f"no pictures at {path}: {_LOOKED_FOR}")
  if kind in (sources.Folders, Dataset):
    return kind(path)
  if kind is tars.TarShards and (found := released.kind_of(path)):
    return released.Shards(path, found, val)
  if kind in (ImageFolder, tars.TarShards):
    return kind(path, val)
  return kind(path, **options)


def _kind(path: pathlib.Path):
  if path.suffix == ".jsonl" and path.is_file():
    return sources.Folders
  if path.suffix == ".tar" and not path.is_dir():
    return tars.TarShards if glob.glob(str(path)) else None
  if not path.is_dir():
    return None
  if any(any(path.glob(p + "dataset_info.json")) for p in ("", "*/", "*/*/")):
    return Dataset
  for kind in (tum.Tum, scannet.ScanNet):
    if kind.scenes(path):
      return kind
  if next(path.rglob("*.tar"), None):
    return tars.TarShards
  return ImageFolder if next(_pictures_below(str(path)), None) else None
