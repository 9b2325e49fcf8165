"""Microsoft's own MoGe package behind the methods of `infer.MoGe`.

    eyes = upstream.load("moge-2-vitl-normal/model.pt")
    maps = eyes.infer_many(pictures)  # list of PointMap, as moge.load gives

For comparisons, and for whoever trusts the original more. The package `moge` is
installed (tools/requirements-upstream.txt), or MOGE_DIR names a checkout of it;
UTILS3D_DIR names one of utils3d, if that is not installed. torch is needed.
"""

import collections
import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hispatial_jax.core import geometry
from hispatial_jax.moge import frame, metric

FOLDERS = ("MOGE_DIR", "UTILS3D_DIR")
_FINEST = 9


def import_moge() -> Any:
  """The module `moge.model.v2`.

  Raises:
    ModuleNotFoundError: it, or what it needs, is not installed.
    FileNotFoundError: MOGE_DIR or UTILS3D_DIR names no folder with it.
  """
  with contextlib.ExitStack() as stack:
    for name, package in zip(FOLDERS, ("moge", "utils3d"), strict=True):
      folder = os.environ.get(name)
      if not folder:
        continue
      if not os.path.isdir(os.path.join(folder, package)):
        raise FileNotFoundError(
          f"{name}={folder} is no checkout: it has no folder {package}"
        )
      sys.path.insert(0, folder)
      stack.callback(sys.path.remove, folder)
    try:
      with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("moge.model.v2")
    except ModuleNotFoundError as error:
      raise ModuleNotFoundError(
        f"Microsoft's MoGe cannot be imported ({error}): pip install -r "
        "tools/requirements-upstream.txt, or set MOGE_DIR (and UTILS3D_DIR) to "
        "checkouts"
      ) from None


def load(
  path: str | os.PathLike, *, dtype: str = "float32", device: str | None = None
) -> "Upstream":
  """The reference with the weights of a released model.pt.

  Args:
    path: of the file.
    dtype: "float32", or "float16" for its mixed precision (on a GPU).
    device: for torch; None: "cuda" if there is one.

  Raises:
    FileNotFoundError: no such file.
    ModuleNotFoundError: see `import_moge`.
    ValueError: another dtype.
  """
  if dtype not in ("float32", "float16"):
    raise ValueError(f"dtype is {dtype!r}, expected 'float32' or 'float16'")
  package = import_moge()
  if not os.path.isfile(path):
    raise FileNotFoundError(f"{path}: no such file; expected a model.pt")
  import torch

  device = device or ("cuda" if torch.cuda.is_available() else "cpu")
  model = package.MoGeModel.from_pretrained(str(path)).to(device).eval()
  return Upstream(model, dtype)


class Upstream:
  """The reference as a `infer.MoGe`.

  Attributes:
    model: the `MoGeModel`.
    dtype: "float32" or "float16".
  """

  def __init__(self, model: Any, dtype: str = "float32"):
    self.model, self.dtype = model, dtype

  def tokens(self, resolution_level: int = _FINEST) -> int:
    """See `infer.MoGe.tokens`."""
    low, high = self.model.num_tokens_range
    return int(low + resolution_level / _FINEST * (high - low))

  def bucket(
    self, size: tuple[int, int], num_tokens: int | None = None
  ) -> tuple[int, int]:
    """The size itself: the reference batches pictures of one size only."""
    del num_tokens
    return tuple(size)

  def tensor(self, images: np.ndarray) -> Any:
    """[B,H,W,3] -> f32[B,3,H,W] in [0, 1], a tensor on the device."""
    import torch

    x = np.asarray(images)
    if np.issubdtype(x.dtype, np.integer):
      x = x.astype(np.float32) / 255
    x = np.ascontiguousarray(x.transpose(0, 3, 1, 2), np.float32)
    return torch.from_numpy(x).to(self.model.device)

  def infer(
    self,
    images: np.ndarray,
    *,
    fov_x_deg: Any = None,
    intrinsics: Any = None,
    num_tokens: int | None = None,
    force_projection: bool = True,
    apply_mask: bool = True,
  ) -> metric.PointMap:
    """Point maps of pictures of one size; arrays are numpy's.

    Args:
      images: u8[B,H,W,3] RGB, or floats in [0, 1]; [H,W,3] for one.
      fov_x_deg, intrinsics, num_tokens, force_projection, apply_mask: see
        `infer.MoGe.infer_batch`; a camera must have square pixels and its axis
        in the middle, the reference knows no other.

    Raises:
      ValueError: pictures or a camera of another form.
    """
    images = np.asarray(images)
    single = images.ndim == 3
    images = images[None] if single else images
    for image in images:
      frame.check(image)
    size = images.shape[1:3]
    with warnings.catch_warnings():
      # It asks for float32 by way of autocast, which torch has not on CPUs.
      warnings.filterwarnings("ignore", "In CPU autocast")
      found = self.model.infer(
        self.tensor(images),
        num_tokens=num_tokens or self.tokens(),
        fov_x=self._fov(fov_x_deg, intrinsics, len(images), size),
        force_projection=force_projection,
        apply_mask=apply_mask,
        use_fp16=self.dtype == "float16",
      )
    found = {k: v[0] if single else v for k, v in found.items()}
    found = {name: x.cpu().numpy() for name, x in found.items()}
    depth = found["depth"]
    return metric.PointMap(
      points=found["points"],
      depth=depth,
      mask=found.get("mask", np.isfinite(depth)),
      intrinsics=found["intrinsics"],
      normals=found.get("normal"),
    )

  def infer_batch(
    self,
    images: Sequence[np.ndarray],
    *,
    pad_to: int | None = None,
    **options,
  ) -> list[metric.PointMap]:
    """See `infer.MoGe.infer_batch`; pad_to is not needed here."""
    del pad_to
    found = self.infer(np.stack(images), **options)
    parts = vars(found)
    return [
      metric.PointMap(
        **{k: None if x is None else x[i] for k, x in parts.items()}
      )
      for i in range(len(images))
    ]

  def infer_many(
    self, images: Iterable[np.ndarray], *, batch_size: int = 8, **options
  ) -> list[metric.PointMap]:
    """See `infer.MoGe.infer_many`."""
    images = [np.asarray(image) for image in images]
    groups = collections.defaultdict(list)
    for number, image in enumerate(images):
      frame.check(image)
      groups[self.bucket(image.shape[:2])].append(number)
    found = {}
    for numbers in groups.values():
      for start in range(0, len(numbers), batch_size):
        some = numbers[start : start + batch_size]
        maps = self.infer_batch([images[i] for i in some], **options)
        found |= dict(zip(some, maps, strict=True))
    return [found[number] for number in range(len(images))]

  def _fov(self, fov_x_deg, intrinsics, count, size):
    """What the reference takes: None, or degrees, one a picture."""
    known = frame.cameras(fov_x_deg, intrinsics, [size] * count)
    if known is None:
      return None
    fov = np.degrees(geometry.fov_from_intrinsics(known)[0])
    again = frame.cameras(fov, None, [size] * count)
    if np.abs(again - known).max() > 1e-4:
      raise ValueError(
        "the reference takes cameras with square pixels and the axis in the "
        f"middle, got {known.tolist()}"
      )
    import torch

    return torch.from_numpy(np.float32(fov)).to(self.model.device)
