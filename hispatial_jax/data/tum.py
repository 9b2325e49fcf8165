"""Measured depth in the layout of the TUM RGB-D benchmark, as a source."""

import bisect
import dataclasses
import functools
import os
import pathlib
import re
from typing import Any, ClassVar

import numpy as np

from hispatial_jax.core import geometry
from hispatial_jax.data import rgbd, sources
from hispatial_jax.pp import cameras, codec

_LISTS = ("rgb.txt", "depth.txt")
# Seconds between a picture and its depth map, at most.
_APART_S = 0.02
# fx, fy, cx, cy of 640x480 pixels. Source: the benchmark's page of file
# formats, "Intrinsic Camera Calibration of the Kinect", the RGB cameras.
_FREIBURG = {
  "1": (517.3, 516.5, 318.6, 255.3),
  "2": (520.9, 521.0, 325.1, 249.7),
  "3": (535.4, 539.2, 320.1, 247.6),
}


@dataclasses.dataclass(frozen=True)
class Tum:
  """Sequences of the TUM RGB-D benchmark.

    rgbd_dataset_freiburg1_xyz/rgb.txt, depth.txt       "timestamp file" a line
    rgbd_dataset_freiburg1_xyz/rgb/*.png, depth/*.png   u16, 5000 a metre

  A picture goes with the depth map nearest in time, if that map has no nearer
  picture and lies within 0.02 s. Depth is registered to the picture already.
  Lens distortion, slight in fr1 and fr2, is not undone.

  Attributes:
    path: a sequence, or the folder of sequences.
    size: pixels of the longer side, at most; 0: as it is.
    stride: every how many pictures.
    intrinsics: nine numbers, f32[3,3] normalised row by row; None: the
      published camera, told from freiburg1, 2 or 3 in the folder's name.
  """

  path: str
  size: int = 0
  stride: int = 1
  intrinsics: tuple[float, ...] | None = None
  name: ClassVar[str] = "tum"

  def __post_init__(self):
    rgbd.check(self, "rgb.txt and depth.txt")
    if self.intrinsics is not None:
      numbers = np.asarray(self.intrinsics, np.float32).ravel().tolist()
      geometry.check_intrinsics(np.reshape(numbers, (-1, 3)))
      object.__setattr__(self, "intrinsics", tuple(numbers))
      return
    for folder in self.scenes(self.path).values():
      _published(folder)

  def __getstate__(self):
    return sources.settings(self)

  @staticmethod
  def scenes(path: str | os.PathLike) -> dict[str, pathlib.Path]:
    """Name -> folder of each sequence at `path`."""
    return rgbd.scenes(path, lambda p: all((p / k).is_file() for k in _LISTS))

  @functools.cached_property
  def splits(self) -> dict[str, list[str]]:
    """{"train": "SEQUENCE/TIMESTAMP" of each picture}."""
    ids = []
    for scene, folder in self.scenes(self.path).items():
      times = list(_pairs(str(folder)))[:: self.stride]
      ids += [f"{scene}/{time}" for time in times]
    return {"train": ids}

  def describe(self) -> dict[str, Any]:
    """The settings, and the frames by name."""
    return rgbd.describe(self)

  def make(self, name: str) -> dict[str, Any]:
    """Reads a picture and its depth.

    Raises:
      codec.BadInput: "no_depth", or what is wrong with one of its two pictures.
    """
    scene, _, time = name.rpartition("/")
    folder = rgbd.folder(self.path, scene)
    picture, other = _pairs(str(folder))[time]
    if other is None:
      raise codec.BadInput(
        "no_depth", f"{name}: no depth map within {_APART_S} s of its own"
      )
    depth = rgbd.read_depth(folder / other, 5000, name)
    image = codec.read_image((folder / picture).read_bytes(), self.size or None)
    codec.check_sizes(depth.shape, image.shape[:2])
    depth = cameras.nearest(depth, rgbd.reduced(depth.shape, self.size))
    if self.intrinsics is None:
      camera = _published(folder)
    else:
      camera = np.reshape(np.array(self.intrinsics, np.float32), (3, 3))
    return rgbd.record(self, name, image, depth, camera)


def _published(folder: pathlib.Path) -> np.ndarray:
  """f32[3,3] normalised, by the number in the folder's name."""
  found = re.search(r"fr(?:eiburg)?([123])", folder.resolve().name)
  if found is None:
    raise ValueError(
      f"the camera of {folder.name} is not known (no freiburg1, 2 or 3 in its"
      " name): give its intrinsics (--intrinsics)"
    )
  fx, fy, cx, cy = _FREIBURG[found.group(1)]
  matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
  return cameras.from_pixels(matrix, (480, 640), folder.name)


@functools.lru_cache(maxsize=16)
def _pairs(folder: str) -> dict[str, tuple[str, str | None]]:
  """Timestamp of each picture -> its file, and that of its depth or None."""
  pictures, depths = (_read_list(os.path.join(folder, k)) for k in _LISTS)
  times = [time for time, _, _ in pictures]
  nearest = {
    number: _nearest(times, time) for number, (time, _, _) in enumerate(depths)
  }
  found: dict[str, tuple[str, str | None]] = {}
  moments = [time for time, _, _ in depths]
  for number, (time, text, file) in enumerate(pictures):
    other = _nearest(moments, time)
    mutual = other is not None and nearest[other] == number
    close = mutual and abs(moments[other] - time) <= _APART_S
    found[text] = (file, depths[other][2] if close else None)
  return found


def _read_list(path: str) -> list[tuple[float, str, str]]:
  """(seconds, as written, file) of each line, in order of time."""
  rows = []
  with open(path) as lines:
    for number, line in enumerate(lines, 1):
      if line.strip() and not line.startswith("#"):
        try:
          text, file = line.split()
          rows.append((float(text), text, file))
        except ValueError:
          raise ValueError(
            f"{path} line {number}: expected a timestamp and a file, got"
            f" {line.strip()!r:.60}"
          ) from None
  return sorted(rows)


def _nearest(times: list[float], time: float) -> int | None:
  at = bisect.bisect_left(times, time)
  near = [i for i in (at - 1, at) if 0 <= i < len(times)]
  return min(near, key=lambda i: abs(times[i] - time), default=None)
