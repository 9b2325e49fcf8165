"""One RGB picture -> metric point map, batched and compiled.

    eyes = moge.load("moge-2-vitl-normal/model.pt", dtype="bfloat16")
    found = eyes.infer(images)         # u8[B,H,W,3] -> PointMap on the device
    maps = eyes.infer_many(pictures)   # any sizes -> list of PointMap, in order

Three programs run one after the other without a look at their numbers: `frame`
resizes the picture to the token grid, the network runs, and `metric` resizes
its maps back, solves for focal length and shift, and projects. The network,
which is what takes long to compile, is compiled once per token grid (rows,
columns) and batch size: the grid follows from the number of tokens and the
picture's aspect ratio, so pictures of about one aspect share it. The two others
compile quickly, once per canvas: a picture's size rounded up to 64 pixels.

Memory grows with the picture, not only with the tokens: reduce what is much
larger than 2,048 pixels first (pp/given.read_image has max_side).

Source: golden/moge2/FORMAT.md, sections 3, 5 and 6 (MoGe@0744441).
"""

import collections
import functools
import os
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np

from hispatial_jax.core import tree
from hispatial_jax.moge import checkpoint, metric, variants
from hispatial_jax.moge import frame as frame_lib

PointMap = metric.PointMap
_FINEST = 9


class MoGe:
  """A MoGe-2 model with its parameters, ready to look at pictures.

  Attributes:
    config: the checkpoint's `model_config`.
    dtype: of matrix products and convolutions.
  """

  def __init__(
    self,
    config: dict,
    params: dict,
    *,
    dtype: str = "float32",
    devices: Sequence[jax.Device] | None = None,
  ):
    """Moves the parameters to the device, or to each of `devices`.

    Args:
      config: as in a released model.pt, see `variants.config`.
      params: nested dict of arrays.
      dtype: "float32" or "bfloat16"; what follows the network is float32.
      devices: batches are split over these; None: the first device.

    Raises:
      ValueError: parameters of another config, all names listed.
    """
    params = tree.merge(variants.param_shapes(config), params)
    self.config, self.dtype = config, dtype
    self._model = variants.build(config, dtype)
    devices = list(devices or jax.devices()[:1])
    mesh = jax.sharding.Mesh(np.array(devices), ("data",))
    spec = jax.sharding.PartitionSpec
    self._split = jax.sharding.NamedSharding(mesh, spec("data"))
    self._num_devices = len(devices)
    whole = jax.sharding.NamedSharding(mesh, spec())
    self._params = jax.device_put(
      jax.tree.map(lambda x: np.asarray(x).astype(dtype), params), whole
    )

  @classmethod
  def load(
    cls, path: str | os.PathLike, *, dtype: str = "float32", devices=None
  ) -> "MoGe":
    """From a released model.pt, or what tools/convert_weights.py wrote.

    Args:
      path: see `checkpoint.open`.
      dtype, devices: as above.

    Raises:
      FileNotFoundError, ValueError: as `checkpoint.open`.
    """
    config, params = checkpoint.load(path)
    return cls(config, params, dtype=dtype, devices=devices)

  def tokens(self, resolution_level: int = _FINEST) -> int:
    """Number of tokens of a level, 0 (coarse, fast) to 9 (fine).

    Raises:
      ValueError: no such level.
    """
    if not 0 <= resolution_level <= _FINEST:
      raise ValueError(f"resolution_level {resolution_level} is not in 0..9")
    low, high = self._model.num_tokens_range
    return int(low + resolution_level / _FINEST * (high - low))

  def bucket(
    self, size: tuple[int, int], num_tokens: int | None = None
  ) -> frame_lib.Bucket:
    """The bucket of a picture of size (height, width): equal ones can share a
    batch.

    Raises:
      ValueError: the picture is empty, or too thin for its tokens.
    """
    return frame_lib.bucket(size, num_tokens or self.tokens())

  def infer(self, images, **options) -> PointMap:
    """Point maps of pictures of one size, on the device.

    Args:
      images: u8[B,H,W,3] RGB, or floats in [0, 1]; [H,W,3] for one.
      **options: see `infer_batch`.

    Returns:
      PointMap of jax arrays; without B if images had none.

    Raises:
      ValueError: images of another form; see `infer_batch`.
    """
    images = np.asarray(images)
    single = images.ndim == 3
    images = images[None] if single else images
    if images.ndim != 4:
      raise ValueError(f"images are {images.shape}, expected [B,H,W,3]")
    found = self._infer(list(images), **options)
    return _crop(found, 0 if single else slice(None), images.shape[1:3])

  def infer_batch(
    self,
    images: Sequence[np.ndarray],
    *,
    pad_to: int | None = None,
    **options,
  ) -> list[PointMap]:
    """Point maps of pictures that share a bucket.

    Args:
      images: u8[h,w,3] RGB each, or floats in [0, 1].
      pad_to: batch size to fill up to, so that one program serves all batches.
      fov_x_deg: horizontal field of view where it is known: one, or a list.
      intrinsics: f32[3,3] or a list where they are known, normalised.
      num_tokens: more is finer and slower; None: `tokens(9)`.
      force_projection: points are depth along the camera's rays (default).
        False: x and y as the network gave them.
      apply_mask: invalid points and depth become inf, normals 0 (default).
      flip: also look at the mirrored picture and average what the network says
        (logarithms of depth and of scale): twice the time.
      ftol: where the solver stops, see `solve.recover`.

    Returns:
      One PointMap of numpy arrays a picture, each of its own size.

    Raises:
      ValueError: pictures of different buckets or of another form; both
        fov_x_deg and intrinsics given, or no camera's.
    """
    images = [np.asarray(image) for image in images]
    found = jax.device_get(self._infer(images, pad_to=pad_to, **options))
    return [
      _crop(found, number, image.shape[:2])
      for number, image in enumerate(images)
    ]

  def infer_many(
    self, images: Iterable[np.ndarray], *, batch_size: int = 8, **options
  ) -> list[PointMap]:
    """Point maps of pictures of any sizes, in their order.

    Args:
      images: u8[h,w,3] each; batched by bucket.
      batch_size: pictures a batch; what is left over is filled up.
      **options: of `infer_batch`; one camera or field of view holds for all.
    """
    images = [np.asarray(image) for image in images]
    groups = collections.defaultdict(list)
    for number, image in enumerate(images):
      frame_lib.check(image)
      bucket = self.bucket(image.shape[:2], options.get("num_tokens"))
      groups[bucket].append(number)
    found: list[Any] = [None] * len(images)
    for numbers in groups.values():
      for start in range(0, len(numbers), batch_size):
        some = numbers[start : start + batch_size]
        batch = [images[number] for number in some]
        maps = self.infer_batch(batch, pad_to=batch_size, **options)
        for number, one in zip(some, maps, strict=True):
          found[number] = one
    return found

  def _infer(
    self,
    images,
    *,
    pad_to=None,
    fov_x_deg=None,
    intrinsics=None,
    num_tokens=None,
    flip=False,
    force_projection=True,
    apply_mask=True,
    ftol=metric.FTOL,
  ) -> PointMap:
    """All three programs, on the canvas; the batch filled up."""
    for image in images:
      frame_lib.check(image)
    if len({image.dtype for image in images}) > 1:
      raise ValueError("a batch has pictures of one dtype")
    sizes = [image.shape[:2] for image in images]
    buckets = {self.bucket(size, num_tokens) for size in sizes}
    if len(buckets) != 1:
      raise ValueError(f"a batch shares one bucket, got {sorted(buckets)}")
    (bucket,) = buckets
    known = frame_lib.cameras(fov_x_deg, intrinsics, sizes)
    count = max(pad_to or 0, len(images))
    count = -(-count // self._num_devices) * self._num_devices
    rows = [min(i, len(images) - 1) for i in range(count)]
    canvas = np.zeros((count, *bucket[2:], 3), images[0].dtype)
    for row, i in zip(canvas, rows, strict=True):
      row[: sizes[i][0], : sizes[i][1]] = images[i]
    put = functools.partial(jax.device_put, device=self._split)
    frame = put(frame_lib.frame([sizes[i] for i in rows], bucket))
    x = frame_lib.resize_in(put(canvas), frame)
    raw = network(self._model, self._params, x, frame.aspect)
    if flip:
      back = network(self._model, self._params, x[:, :, ::-1], frame.aspect)
      raw = metric.average(raw, back)
    return metric.point_map(
      raw,
      frame,
      None if known is None else put(known[rows]),
      remap=self._model.remap_output,
      force_projection=force_projection,
      apply_mask=apply_mask,
      ftol=ftol,
    )


@functools.partial(jax.jit, static_argnames=("model",))
def network(model, params, x, aspect):
  """What is run of the model; one program per token grid and batch size.

  Args:
    model: of `variants.build`.
    params: its parameters.
    x: f32[B,14r,14c,3] pictures, resized to r x c patches.
    aspect: f32[B] width / height of the pictures.
  """
  precision = "highest" if model.dtype == "float32" else "default"
  with jax.default_matmul_precision(precision):
    return model.apply({"params": params}, x, aspect)


def _crop(found: PointMap, index, size) -> PointMap:
  """Part of a batch, without the rest of the canvas."""
  h, w = size
  cut = {
    name: None if x is None else x[index, ..., :h, :w, :]
    for name, x in (("points", found.points), ("normals", found.normals))
  }
  return PointMap(
    points=cut["points"],
    depth=found.depth[index, ..., :h, :w],
    mask=found.mask[index, ..., :h, :w],
    intrinsics=found.intrinsics[index],
    normals=cut["normals"],
  )
