"""A model, photographs and a source for the tests of precompute/."""

import dataclasses
import functools
import pathlib
from typing import NamedTuple

import cv2
import numpy as np


class Points(NamedTuple):
  """The part of moge.PointMap that precompute reads."""

  depth: np.ndarray
  intrinsics: np.ndarray


class Eyes:
  """Stands for moge.MoGe: depth is a function of the picture alone.

  Pictures whose mean is above 250 are all sky. Rows that fill up a batch are
  counted in `padded`, calls in `calls`.
  """

  def __init__(self, devices=None):
    self.calls, self.padded, self.devices = 0, 0, devices or [None]

  def tokens(self, resolution_level):
    """As many as the level, and some."""
    return 100 + resolution_level

  def bucket(self, size, num_tokens):
    """Pictures of one rough aspect ratio share batches."""
    height, width = size
    if max(size) > 12 * min(size):
      raise ValueError(f"a picture of {width}x{height} is too narrow")
    return num_tokens, round(4 * np.log(width / height))

  def infer_batch(self, images, *, pad_to, num_tokens, intrinsics=None):
    """One Points for each picture."""
    sizes = [image.shape[:2] for image in images]
    assert len({self.bucket(size, num_tokens) for size in sizes}) == 1
    assert len(images) <= pad_to
    assert pad_to % len(self.devices) == 0
    self.calls += 1
    self.padded += pad_to - len(images)
    found = [points(image) for image in images]
    if intrinsics is None:
      return found
    pairs = zip(found, intrinsics, strict=True)
    return [Points(one.depth, matrix) for one, matrix in pairs]


def points(image: np.ndarray) -> Points:
  """What the fake sees in a picture u8[H,W,3]."""
  grey = image.astype(np.float32).mean(axis=2)
  depth = np.float32(0.5) + grey / np.float32(16)
  depth[grey > np.float32(200)] = np.inf
  if grey.mean() > 250:
    depth[:] = np.inf
  focal = np.float32(0.6 + grey.mean() / 255)
  matrix = np.array([[focal, 0, 0.5], [0, focal, 0.5], [0, 0, 1]], np.float32)
  return Points(depth, matrix)


def load(devices=None) -> Eyes:
  """Loads the fake."""
  return Eyes(devices)


@functools.cache
def _photo(number: int) -> np.ndarray:
  rng = np.random.default_rng(number)
  coarse = rng.integers(0, 230, (6, 8, 3), np.uint8)
  size = [(64, 48), (48, 64), (56, 56)][number % 3]
  return cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)


def write_photos(folder: pathlib.Path, count: int, broken=()) -> None:
  """p0000.jpg ... of three shapes; the numbers in `broken` are cut short."""
  folder.mkdir(parents=True, exist_ok=True)
  for number in range(count):
    data = cv2.imencode(".jpg", _photo(number))[1].tobytes()
    if number in broken:
      data = data[: len(data) // 2]
    (folder / f"p{number:04d}.jpg").write_bytes(data)


@dataclasses.dataclass(frozen=True)
class Photos:
  """The files of a folder, and every so many of them for validation.

  `measured`: ids that come with depth of their own. `slow`: seconds to make
  one, so that a run can be killed on its way.
  """

  folder: str
  measured: tuple[str, ...] = ()
  val_every: int = 0
  slow: float = 0.0

  @property
  def splits(self):
    names = sorted(path.name for path in pathlib.Path(self.folder).iterdir())
    val = names[:: self.val_every] if self.val_every else []
    train = [name for name in names if name not in set(val)]
    return {"train": train} | ({"val": val} if val else {})

  def describe(self):
    return {"source": "photos", "measured": list(self.measured)}

  def make(self, name):
    if self.slow:
      import time

      time.sleep(self.slow)
    record = {
      "id": name,
      "source": "photos",
      "image": (pathlib.Path(self.folder) / name).read_bytes(),
      "depth_m": None,
      "intrinsics": None,
      "qa": [qa(name)],
      "objects": {"name": name},
    }
    if name in self.measured:
      record["depth_m"] = np.full((24, 32), 3, np.float32)
      record["intrinsics"] = np.diag([0.9, 1.2, 1]).astype(np.float32)
      record["intrinsics"][:2, 2] = 0.5
    return record


def qa(name):
  """The question stored of a picture."""
  return {
    "question": f"what is {name}?",
    "answer": "a crop",
    "level": 1,
    "task": "fake",
    "format": "text",
    "meta": {},
  }
