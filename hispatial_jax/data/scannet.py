"""Measured depth in the layout of ScanNet, as a source."""

import dataclasses
import functools
import os
import pathlib
from typing import Any, ClassVar

import numpy as np

from hispatial_jax.data import rgbd, sources
from hispatial_jax.pp import cameras, codec

_PICTURES = (".jpg", ".jpeg", ".png")
# One of these beside color/ makes a scene, be its depth lost or not.
_BESIDE = ("depth", "intrinsic", "intrinsics_depth.npy")
# Without a file of the colour camera: how far aspect ratios may differ.
_ASPECT = 0.01


@dataclasses.dataclass(frozen=True)
class ScanNet:
  """Scenes of ScanNet as its reader exports them.

    scene0000_00/color/0.jpg        depth/0.png      u16 millimetres, 0 unknown
    scene0000_00/pose/0.txt         (may be missing; not finite: no such frame)
    scene0000_00/intrinsic/intrinsic_color.txt, intrinsic_depth.txt
    or scene0000_00/intrinsics_depth.npy alone; both are 4x4 in pixels

  With the depth camera alone, both are taken to see the same unit image.

  Colour and depth cameras differ in size and aspect ratio (1296x968 and
  640x480). The picture is brought into the depth camera: each of its pixels
  becomes the mean of the picture over that pixel's cone of rays. Both cameras
  are taken to sit in one place, as the exported extrinsics say, so that this is
  a change of intrinsics alone and no depth is needed for it. Depth that lies
  outside of the picture becomes unknown.

  Attributes:
    path: a scene, or the folder of scenes.
    size: pixels of the longer side, at most; 0: as the depth camera.
    stride: every how many frames.
  """

  path: str
  size: int = 0
  stride: int = 1
  name: ClassVar[str] = "scannet"

  def __post_init__(self):
    rgbd.check(self, "color/ and depth/")

  def __getstate__(self):
    return sources.settings(self)

  @staticmethod
  def scenes(path: str | os.PathLike) -> dict[str, pathlib.Path]:
    """Name -> folder of each scene at `path`."""
    return rgbd.scenes(path, _is_scene)

  @functools.cached_property
  def splits(self) -> dict[str, list[str]]:
    """{"train": "SCENE/NUMBER" of each frame with a picture}."""
    ids = []
    for scene, folder in self.scenes(self.path).items():
      files = (folder / "color").iterdir()
      stems = {p.stem for p in files if p.suffix.lower() in _PICTURES}
      frames = sorted(stems, key=lambda stem: (len(stem), stem))
      ids += [f"{scene}/{frame}" for frame in frames[:: self.stride]]
    return {"train": ids}

  def describe(self) -> dict[str, Any]:
    """The settings, and the frames by name."""
    return rgbd.describe(self)

  def make(self, name: str) -> dict[str, Any]:
    """Reads a frame.

    Raises:
      codec.BadInput: "no_depth", "pose", "intrinsics", or what is wrong with
        one of its two pictures.
    """
    scene, _, frame = name.rpartition("/")
    folder = rgbd.folder(self.path, scene)
    _check_pose(folder / "pose" / f"{frame}.txt", name)
    depth = rgbd.read_depth(folder / "depth" / f"{frame}.png", 1000, name)
    image = codec.read_image(_picture(folder / "color", frame, name))
    target = rgbd.reduced(depth.shape, self.size)
    try:
      eyes = _cameras(folder, image.shape[:2], depth.shape)
    except (ValueError, OSError) as error:
      raise codec.BadInput("intrinsics", f"{name}: {error}") from error
    image, inside = cameras.see(image, *eyes, target)
    depth = np.where(inside, cameras.nearest(depth, target), np.float32(0))
    return rgbd.record(self, name, image, depth, eyes[1])


def _is_scene(folder: pathlib.Path) -> bool:
  beside = any((folder / name).exists() for name in _BESIDE)
  return beside and (folder / "color").is_dir()


def _picture(folder: pathlib.Path, frame: str, name: str) -> bytes:
  for ending in _PICTURES:
    path = folder / (frame + ending)
    if path.is_file():
      return path.read_bytes()
  raise codec.BadInput("image", f"{name}: no picture {folder / frame}.*")


def _check_pose(path: pathlib.Path, name: str) -> None:
  """ScanNet writes -inf where tracking was lost."""
  if path.is_file():
    try:
      lost = not np.isfinite(np.loadtxt(path)).all()
    except ValueError:
      lost = True
    if lost:
      raise codec.BadInput("pose", f"{name}: its pose is not finite")


def _cameras(folder, image_size, depth_size):
  """(colour, depth) cameras, f32[3,3] normalised."""
  depth = _camera(folder, "depth", depth_size)
  if depth is None:
    raise ValueError(
      f"no intrinsic_depth.txt or intrinsics_depth.npy: {folder}"
    )
  colour = _camera(folder, "color", image_size)
  if colour is None:
    (height, width), (h, w) = image_size, depth_size
    if abs(width / height * h / w - 1) > _ASPECT:
      raise ValueError(
        f"a picture of {width}x{height} and depth of {w}x{h} cannot share"
        f" intrinsics; no intrinsic_color.txt in {folder}"
      )
    colour = depth
  return colour, depth


def _camera(folder: pathlib.Path, which: str, size) -> np.ndarray | None:
  for place in (folder / "intrinsic", folder):
    for stem in ("intrinsic", "intrinsics"):
      text, array = (place / f"{stem}_{which}{e}" for e in (".txt", ".npy"))
      if text.is_file():
        return cameras.from_pixels(np.loadtxt(text), size, str(text))
      if array.is_file():
        matrix = np.load(array, allow_pickle=False)
        return cameras.from_pixels(matrix, size, str(array))
  return None
