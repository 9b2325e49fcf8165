"""What sources of measured depth share; see data/scannet.py and data/tum.py.

Depth is never blended: where it is reduced, a pixel keeps the nearest value.
"""

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from hispatial_jax.data import sources
from hispatial_jax.pp import codec


def check(source, what: str) -> None:
  """Complains of settings that cannot be, and of a path without scenes."""
  if source.stride < 1 or source.size < 0:
    raise ValueError(
      f"{source.name}: stride {source.stride} must be at least 1 and size"
      f" {source.size} at least 0"
    )
  if not source.scenes(source.path):
    raise FileNotFoundError(
      f"no {what} in {source.path}, nor in the folders there"
    )


def scenes(
  path: str, is_one: Callable[[pathlib.Path], bool]
) -> dict[str, pathlib.Path]:
  """Name -> folder: the path itself if it is one, else those in it."""
  root = pathlib.Path(path)
  if not root.is_dir():
    return {}
  if is_one(root):
    return {root.resolve().name: root}
  return {p.name: p for p in sorted(root.iterdir()) if p.is_dir() and is_one(p)}


def folder(path: str, scene: str) -> pathlib.Path:
  """The folder of a scene, by the name that `scenes` gave it."""
  found = pathlib.Path(path) / scene
  return found if found.is_dir() else pathlib.Path(path)


def describe(source) -> dict[str, Any]:
  """Settings and frames; from another place the same."""
  settings = sources.settings(source)
  del settings["path"]
  frames = [(name, 0) for name in source.splits["train"]]
  return {
    "source": source.name,
    **settings,
    **sources.digest("frames", frames),
  }


def record(
  source, name: str, image: np.ndarray, depth: np.ndarray, camera: np.ndarray
) -> dict[str, Any]:
  """The record of a frame.

  Args:
    source: it is of.
    name: id.
    image: u8[H,W,3].
    depth: f32[h,w] metres, 0 unknown.
    camera: f32[3,3] normalised, of both.

  Raises:
    codec.BadInput: "no_depth" where all of it is unknown.
  """
  if not (depth > 0).any():
    raise codec.BadInput("no_depth", f"{name}: no known depth in the frame")
  measured = {"depth_m": depth, "intrinsics": camera}
  return sources.bare(name, source.name, image) | measured


def read_depth(path: pathlib.Path, per_metre: int, name: str) -> np.ndarray:
  """A 16-bit PNG -> f32[H,W] metres, 0 unknown.

  Raises:
    codec.BadInput: "no_depth" without the file, or what is wrong with it.
  """
  if not path.is_file():
    raise codec.BadInput("no_depth", f"{name}: no file {path}")
  codes = codec.read_png(path.read_bytes())
  return codes.astype(np.float32) / np.float32(per_metre)


def reduced(size: tuple[int, int], longest: int) -> tuple[int, int]:
  """(height, width) with the longer side at most `longest`; 0: as it is."""
  scale = min(1.0, longest / max(size)) if longest else 1.0
  return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
