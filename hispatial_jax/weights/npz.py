"""npz files of parameters, written and read entry by entry.

Names are `params/a/b/c`, as big_vision writes them; without `params/` is read,
too. bfloat16 is stored as 2-byte void (`V2`), as in the released PaliGemma-2.
"""

import io
import os
import struct
import zipfile
from collections.abc import Mapping

import ml_dtypes
import numpy as np

from hispatial_jax.weights import lazy

_BF16 = lazy.DTYPES["bfloat16"]
_LOCAL_HEADER = 30


def read(path: str | os.PathLike) -> dict[str, lazy.Array]:
  """The arrays of an npz under their names without `params/`.

  Of a big_vision checkpoint with optimizer state only `params/` is taken.

  Raises:
    ValueError: not an npz, truncated, or it holds objects to unpickle.
  """
  try:
    with zipfile.ZipFile(path) as archive:
      entries = [i for i in archive.infolist() if i.filename.endswith(".npy")]
      found = {i.filename[:-4]: _entry(path, archive, i) for i in entries}
  except (zipfile.BadZipFile, OSError, struct.error) as error:
    if isinstance(error, FileNotFoundError):
      raise
    raise ValueError(f"{path}: not a whole npz file ({error})") from None
  if not found:
    raise ValueError(f"{path}: an npz without arrays")
  rooted = {name for name in found if name.startswith("params/")}
  return {
    name.removeprefix("params/"): array
    for name, array in found.items()
    if name in (rooted or found)
  }


def _entry(path, archive, info) -> lazy.Array:
  name = f"{path}: {info.filename}"
  with archive.open(info) as f:
    try:
      shape, fortran, dtype = _header(f)
    except ValueError as error:
      raise ValueError(f"{name}: no npy array ({error})") from None
    header = f.tell()
  if dtype.hasobject:
    raise ValueError(f"{name}: refused, it holds objects to unpickle")
  if dtype.kind == "V" and dtype.itemsize == 2:
    dtype = _BF16
  size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
  if header + size != info.file_size:
    raise ValueError(
      f"{name}: {info.file_size - header} bytes, expected {size}"
    )
  if info.compress_type != zipfile.ZIP_STORED or fortran:

    def read_all(index):
      with zipfile.ZipFile(path) as again:
        raw = again.read(info)[header:]
      order = "F" if fortran else "C"
      x = np.frombuffer(raw, np.uint8).view(dtype).reshape(shape, order=order)
      return x[index]

    return lazy.Array(shape, dtype, read_all)
  with open(path, "rb") as f:
    f.seek(info.header_offset)
    lengths = struct.unpack("<HH", f.read(_LOCAL_HEADER)[26:])
  start = info.header_offset + _LOCAL_HEADER + sum(lengths) + header
  return in_file(path, start, shape, dtype)


def _header(f):
  version = np.lib.format.read_magic(f)
  if version == (1, 0):
    return np.lib.format.read_array_header_1_0(f)
  return np.lib.format.read_array_header_2_0(f)


def in_file(path, start: int, shape, dtype) -> lazy.Array:
  """An array that lies in a file in C order from byte `start` on."""
  dtype = np.dtype(dtype)

  def read(index):
    ints = [i for i in index if not isinstance(i, slice)]
    rest = list(shape[len(ints) :])
    skip = int(np.ravel_multi_index(ints, shape[: len(ints)])) if ints else 0
    skip *= int(np.prod(rest, dtype=np.int64))
    if len(ints) < len(index):
      begin, end, _ = index[-1].indices(rest[0])
      skip += begin * int(np.prod(rest[1:], dtype=np.int64))
      rest[0] = max(end - begin, 0)
    count = int(np.prod(rest, dtype=np.int64))
    with open(path, "rb") as f:
      f.seek(start + skip * dtype.itemsize)
      raw = np.fromfile(f, np.uint8, count * dtype.itemsize)
    if raw.size != count * dtype.itemsize:
      raise ValueError(f"{path}: ends before byte {start + skip + count}")
    return raw.view(dtype).reshape(rest)

  lead = max(len(shape) - 1, 0)
  return lazy.Array(tuple(shape), dtype, read, lead=lead, rows=len(shape) > 0)


def text(path: str | os.PathLike, name: str) -> str | None:
  """A text that `write` put beside the parameters; None if there is none."""
  with zipfile.ZipFile(path) as archive:
    if f"{name}.npy" not in archive.namelist():
      return None
    found = _entry(path, archive, archive.getinfo(f"{name}.npy"))
  if found.dtype.kind != "U" or found.shape:
    raise ValueError(f"{path}: {name} is {found.dtype}, expected one text")
  return str(found.read(()))


def write(
  path: str | os.PathLike,
  arrays: lazy.Arrays,
  texts: Mapping[str, str] | None = None,
) -> None:
  """Writes `params/NAME` entries, one block in memory at a time.

  Args:
    path: file to write.
    arrays: {NAME: array}.
    texts: {name: text} to keep beside them, each as an array of one text.
  """
  with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
    for name in sorted(arrays):
      x = arrays[name]
      info = zipfile.ZipInfo(f"params/{name}.npy")
      with archive.open(info, "w", force_zip64=True) as f:
        f.write(_npy_header(x))
        for block in x.blocks():
          f.write(np.ascontiguousarray(block).reshape(-1).view(np.uint8))
    for name, content in (texts or {}).items():
      with archive.open(f"{name}.npy", "w") as f:
        np.lib.format.write_array(f, np.array(content), allow_pickle=False)


def _npy_header(x) -> bytes:
  descr = "|V2" if x.dtype == ml_dtypes.bfloat16 else x.dtype.str
  header = {"descr": descr, "fortran_order": False, "shape": x.shape}
  out = io.BytesIO()
  np.lib.format.write_array_header_1_0(out, header)
  return out.getvalue()
