"""Reads the pictures of a shard ahead of the model, in threads.

with concurrent.futures.ThreadPoolExecutor(4) as pool:
  for picture in pictures.Reader(pool, source, ids, size=0, ahead=16):
    ...                      # Picture or Bad, in the order of the ids
"""

import collections
import concurrent.futures
import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from hispatial_jax.core import geometry
from hispatial_jax.data import records
from hispatial_jax.pp import codec, given, headers

_MAX_MESSAGE = 300


class Bad(NamedTuple):
  """Stands where a picture could not be used."""

  id: str
  reason: str
  message: str


@dataclasses.dataclass
class Picture:
  """A record as its source gave it, and its pixels.

  Attributes:
    record: its image is the bytes of a JPEG where those are to be kept.
    pixels: u8[H,W,3], what the model sees.
  """

  record: records.Record
  pixels: np.ndarray


class Reader:
  """Iterates over the pictures of ids; reading begins when it is made."""

  def __init__(
    self,
    pool: concurrent.futures.Executor,
    source,
    ids: list[str],
    *,
    size: int,
    ahead: int,
  ):
    """Starts to read.

    Args:
      pool: threads.
      source: see data/sources.py.
      ids: in the order wanted.
      size: see `read`.
      ahead: pictures read before they are asked for.
    """
    self._pool, self._source, self._size = pool, source, size
    self._left = collections.deque(ids)
    self._begun: collections.deque = collections.deque()
    for _ in range(ahead):
      self._begin()

  def __iter__(self) -> Iterator[Picture | Bad]:
    while self._begun:
      found = self._begun.popleft().result()
      self._begin()
      yield found

  def close(self) -> None:
    """Forgets what has not been read yet."""
    self._left.clear()
    for future in self._begun:
      future.cancel()

  def _begin(self) -> None:
    if self._left:
      name = self._left.popleft()
      self._begun.append(
        self._pool.submit(read, self._source, name, self._size)
      )


def read(source, name: str, size: int) -> Picture | Bad:
  """Reads one picture.

  Args:
    source: see data/sources.py.
    name: the id.
    size: pixels that the longer side may have; 0 for any.
  """
  try:
    record = {**source.make(name), "id": name}
    pixels = given.read_image(record.get("image"), max_side=size or None)
  except (MemoryError, ImportError):
    raise  # of the machine, not of the picture
  except Exception as error:
    # Whatever a source raises is one picture that cannot be used.
    return bad(name, error)
  _set_native(record, pixels, size)
  if size:
    record["depth_m"] = _at_most(record.get("depth_m"), size)
  if not _to_keep(record["image"], size):
    record["image"] = pixels
  return Picture(record, pixels)


def bad(name: str, error: Exception, reason: str = "") -> Bad:
  """The entry of a picture in the quarantine."""
  text = str(error) or type(error).__name__
  return Bad(name, reason or _reason(error), text[:_MAX_MESSAGE])


def _reason(error: Exception) -> str:
  known = getattr(error, "reason", None)
  # OSError of urllib and UnicodeError have a `reason` of other meaning.
  if isinstance(error, codec.BadInput) and known:
    return known
  if isinstance(error, FileNotFoundError):
    return "missing"
  if isinstance(error, OSError):
    return "unreadable"
  return type(error).__name__


def _set_native(record, pixels, size: int) -> None:
  """Says of what sizes image and depth were, before they are made smaller.

  A record that says so already keeps it. Depth that is still to be seen will
  have the size of `pixels`.
  """
  depth_m, said = record.get("depth_m"), record.get("native")
  if depth_m is not None and np.ndim(depth_m) != 2:
    return  # whoever encodes it says what is wrong
  image = _size_of(record["image"]) if size else pixels.shape[:2]
  depth = pixels.shape[:2] if depth_m is None else np.shape(depth_m)
  if said is not None:
    image, depth = said[0], depth if depth_m is None else said[1]
  record["native"] = np.array([image, depth], np.int32)


def _size_of(image) -> tuple[int, int]:
  """(height, width) of a picture as it was given, upright."""
  if not isinstance(image, bytes):
    return np.shape(image)[:2]
  header = headers.read(image)
  turned = header.orientation >= 5
  return (header.height, header.width)[:: -1 if turned else 1]


def _at_most(depth_m, size: int):
  """Measured depth made smaller; it is never blended."""
  if depth_m is None or np.ndim(depth_m) != 2 or max(np.shape(depth_m)) <= size:
    return depth_m
  scale = size / max(np.shape(depth_m))
  small = tuple(max(1, round(side * scale)) for side in np.shape(depth_m))
  return geometry.resize_nearest(np.asarray(depth_m), small)


def _to_keep(image, size: int) -> bool:
  """Whether an image is the bytes of a JPEG that was not made smaller."""
  if not isinstance(image, bytes):
    return False
  header = headers.read(image)
  fits = not size or max(header.height, header.width) <= size
  return header.kind == "jpeg" and fits
