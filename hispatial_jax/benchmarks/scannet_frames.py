"""Frames of ScanNet, unpacked by the user beside a benchmark's file.

  <anywhere>/<scene>/color/<frame>.jpg
  <anywhere>/<scene>/depth/<frame>.png          16 bit, millimetres, 0 unknown
  <anywhere>/<scene>/intrinsics_depth.npy       4x4, for the depth's resolution

Colour and depth differ in resolution.
"""

import dataclasses
import io
import pathlib

import numpy as np

from hispatial_jax.benchmarks import base, depths, files, pictures


@dataclasses.dataclass(frozen=True)
class _Depth:
  """A frame's depth and the depth camera's intrinsics."""

  files: files.Files
  depth: str
  intrinsics: str
  key: str

  def __call__(self) -> base.Depth:
    data = pictures.File(self.files, self.depth, self.key)()
    depth_m = depths.millimetres(data, self.key)
    raw = io.BytesIO(self.files.read(self.intrinsics))
    try:
      matrix = np.load(raw, allow_pickle=False)[:3, :3].astype(np.float64)
    except (ValueError, IndexError, EOFError) as error:
      raise base.ReadError(f"{self.key}: {self.intrinsics}: {error}") from error
    return base.Depth(depth_m, matrix)


def find(source: files.Files, image_path: str, key: str):
  """(loader, depth, error) of a ScanNet frame; the rest of its path varies."""
  parts = pathlib.PurePosixPath(image_path.replace("\\", "/")).parts[-3:]
  if len(parts) < 3:
    return pictures.File(source, "", key), None, f"no frame at {image_path!r}"
  scene, frame = parts[0], pathlib.PurePosixPath(parts[2]).stem
  wanted = {
    "picture": f"{scene}/color/{frame}.jpg",
    "depth": f"{scene}/depth/{frame}.png",
    "intrinsics": f"{scene}/intrinsics_depth.npy",
  }
  found = {what: source.ending(name) for what, name in wanted.items()}
  missing = [wanted[what] for what, name in found.items() if not name]
  picture = pictures.File(source, found["picture"], key)
  if missing:
    return picture, None, f"no {', '.join(missing)} below {source.root}"
  depth = _Depth(source, found["depth"], found["intrinsics"], key)
  return picture, depth, picture.problem()
