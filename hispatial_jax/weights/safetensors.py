"""Safetensors files and sharded folders, written and read tensor by tensor.

A file is an 8-byte length, a JSON header with the place of every tensor, then
the numbers. A folder of several has `model.safetensors.index.json`.

Source: the format's own description, huggingface.co/docs/safetensors.
"""

import json
import os
import pathlib
import struct
from collections.abc import Mapping

import numpy as np

from hispatial_jax.weights import lazy, npz

_TO_NUMPY = {
  "F32": lazy.DTYPES["float32"],
  "F16": lazy.DTYPES["float16"],
  "BF16": lazy.DTYPES["bfloat16"],
}
_FROM_NUMPY = {dtype: name for name, dtype in _TO_NUMPY.items()}
_MAX_HEADER = 100 << 20
INDEX = "model.safetensors.index.json"


def read(path: str | os.PathLike) -> dict[str, lazy.Array]:
  """The tensors of a file, or of all that a folder's index names.

  Raises:
    FileNotFoundError: shards of the index are missing (all listed).
    ValueError: a file is truncated or no safetensors file.
  """
  path = pathlib.Path(path)
  files = _shards(path) if path.is_dir() else [path]
  found = {}
  for file in files:
    tensors = _read_file(file)
    twice = sorted(set(found) & set(tensors))
    if twice:
      raise ValueError(f"{file}: tensors of another shard again: {twice}")
    found |= tensors
  return found


def _shards(folder) -> list[pathlib.Path]:
  index = folder / INDEX
  if not index.exists():
    return sorted(folder.glob("*.safetensors"))
  try:
    names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
  except (ValueError, KeyError, AttributeError) as error:
    raise ValueError(f"{index}: not an index of shards ({error!r})") from None
  files = [folder / pathlib.PurePath(name).name for name in names]
  absent = [file.name for file in files if not file.exists()]
  if absent:
    raise FileNotFoundError(f"{folder}: shards are missing: {absent}")
  return files


def _read_file(path) -> dict[str, lazy.Array]:
  header, start = _header(path)
  header.pop("__metadata__", None)
  size = path.stat().st_size
  return {
    name: _tensor(path, name, entry, start, size)
    for name, entry in header.items()
  }


def metadata(path: str | os.PathLike) -> dict[str, str]:
  """The texts that a file carries beside its tensors."""
  header, _ = _header(pathlib.Path(path))
  return dict(header.get("__metadata__") or {})


def _header(path) -> tuple[dict, int]:
  """(what the file holds, the byte where the numbers begin)."""
  size = path.stat().st_size
  with path.open("rb") as f:
    length = int.from_bytes(f.read(8), "little")
    if size < 8 or length > min(size - 8, _MAX_HEADER):
      raise ValueError(f"{path}: not a whole safetensors file ({size} bytes)")
    try:
      return dict(json.loads(f.read(length))), 8 + length
    except ValueError as error:
      raise ValueError(f"{path}: no safetensors header ({error})") from None


def _tensor(path, name, entry, start, size) -> lazy.Array:
  try:
    kind, shape = entry["dtype"], tuple(map(int, entry["shape"]))
    begin, end = map(int, entry["data_offsets"])
  except (KeyError, TypeError, ValueError) as error:
    raise ValueError(f"{path}: entry {name} is damaged ({error!r})") from None
  if kind not in _TO_NUMPY:
    raise ValueError(f"{path}: {name} is {kind}, expected {list(_TO_NUMPY)}")
  dtype = _TO_NUMPY[kind]
  nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
  if begin < 0 or end - begin != nbytes:
    raise ValueError(f"{path}: {name} has {end - begin} bytes, needs {nbytes}")
  if start + end > size:
    raise ValueError(
      f"{path}: truncated, {name} ends at byte {start + end} of {size}"
    )
  return npz.in_file(path, start + begin, shape, dtype)


def write_file(
  path: str | os.PathLike,
  tensors: lazy.Arrays,
  texts: Mapping[str, str] | None = None,
) -> None:
  """Writes one file, one block in memory at a time.

  Args:
    path: file to write.
    tensors: {name: array}.
    texts: {name: text} for `metadata`.
  """
  header, offset = {"__metadata__": {"format": "pt", **(texts or {})}}, 0
  for name, x in tensors.items():
    header[name] = {
      "dtype": _FROM_NUMPY[x.dtype],
      "shape": list(x.shape),
      "data_offsets": [offset, offset + x.nbytes],
    }
    offset += x.nbytes
  raw = json.dumps(header).encode()
  raw += b" " * (-len(raw) % 8)
  with open(path, "wb") as f:
    f.write(struct.pack("<Q", len(raw)) + raw)
    for x in tensors.values():
      for block in x.blocks():
        f.write(np.ascontiguousarray(block).reshape(-1).view(np.uint8))


def write_folder(
  folder: str | os.PathLike, tensors: lazy.Arrays, max_bytes: int = 5 << 30
) -> None:
  """Writes shards of at most `max_bytes`, and their index if several."""
  folder = pathlib.Path(folder)
  shards, room = [{}], max_bytes
  for name, x in tensors.items():
    if x.nbytes > room and shards[-1]:
      shards.append({})
      room = max_bytes
    shards[-1][name] = x
    room -= x.nbytes
  if len(shards) == 1:
    return write_file(folder / "model.safetensors", tensors)
  weight_map = {}
  for i, shard in enumerate(shards):
    file = f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
    write_file(folder / file, shard)
    weight_map |= dict.fromkeys(shard, file)
  total = sum(x.nbytes for x in tensors.values())
  index = {"metadata": {"total_size": total}, "weight_map": weight_map}
  text = json.dumps(index, indent=2, sort_keys=True)
  (folder / INDEX).write_text(text + "\n")
