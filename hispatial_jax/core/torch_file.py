"""Files of torch.save, read without ever running what they hold.

    content = load("K.pt")                 # or bytes, or an open file
    as_array(content["points"])            # np.ndarray

Tensors, plain containers (dict, list, tuple, set), texts, numbers and numpy's
arrays and scalars are read; a file with anything else is refused as a whole.
numpy's are built here from their numbers, so that a file cannot hand numpy a
dtype that reads other memory. torch is imported when a file is read.
"""

import io
import math
import os
import pickle
import re
import struct
import sys
import threading
import zipfile
from typing import Any

import numpy as np

# Numbers, truth, texts and bytes, and objects that are refused or plain.
_DTYPE = re.compile(r"[<>|=]?([biufc]\d{1,2}|[SU]\d{1,6}|O8?|\?)")
_WORDS = {"bool": "?", "object": "O"}
# torch keeps the names that it may load for the whole process.
_LOCK = threading.Lock()
_UNREADABLE = (
  RuntimeError,
  EOFError,
  ValueError,
  LookupError,
  TypeError,
  AttributeError,
  AssertionError,
  ArithmeticError,
  MemoryError,
  struct.error,
  zipfile.BadZipFile,
)


class Refused(ValueError):
  """The file holds what would have to be executed to be read."""


class Damaged(ValueError):
  """The file is no whole file of torch.save."""


def load(source: bytes | str | os.PathLike, *, mmap: bool = False) -> Any:
  """What a file of torch.save holds; no code of it runs.

  Args:
    source: the file's bytes or its path.
    mmap: of a path: tensors are mapped, not read.

  Raises:
    OSError: no such file.
    Refused, Damaged: a ValueError of one line.
    ImportError: torch is not installed.
  """
  torch = module()
  inside = isinstance(source, bytes)
  if inside:
    _check_size(source)
  try:
    with _LOCK, torch.serialization.safe_globals(_NUMPY):
      return torch.load(
        io.BytesIO(source) if inside else source,
        map_location="cpu",
        weights_only=True,
        mmap=mmap and not inside,
      )
  except pickle.UnpicklingError as error:
    raise Refused(
      f"refused, it holds more than tensors ({_reason(error)})"
    ) from None
  except _UNREADABLE as error:
    raise Damaged(
      f"not a whole file of torch.save ({_first_line(error)})"
    ) from None


def is_tensor(value: Any) -> bool:
  """Whether a value is torch's; torch is not imported to ask."""
  torch = sys.modules.get("torch")
  return torch is not None and isinstance(value, torch.Tensor)


def as_array(value: Any) -> np.ndarray:
  """A tensor, a numpy array or numbers -> np.ndarray; bfloat16 -> float32.

  Raises:
    ValueError: no array of numbers, or one that states more numbers than it
      has, as a tensor may whose strides are 0.
  """
  if is_tensor(value):
    return _of_tensor(value)
  try:
    array = np.asarray(value)
  except (TypeError, OverflowError) as error:
    raise ValueError(f"no array: {_first_line(error)}") from None
  if array.dtype.kind not in "biufc":
    raise ValueError(f"expected an array of numbers, got {array.dtype}")
  return array


def _of_tensor(tensor) -> np.ndarray:
  torch = module()
  if tensor.layout != torch.strided or tensor.is_quantized:
    raise ValueError(f"expected a dense tensor, got {tensor.layout}")
  has = tensor.untyped_storage().nbytes() // tensor.element_size()
  if tensor.numel() > has:
    shape = list(tensor.shape)
    raise ValueError(f"a tensor of shape {shape} holds {has} numbers")
  tensor = tensor.detach().resolve_conj().resolve_neg()
  if tensor.dtype == torch.bfloat16:
    tensor = tensor.float()
  try:
    return tensor.numpy()
  except (TypeError, RuntimeError) as error:
    raise ValueError(f"no array of {_first_line(error)}") from None


def module():
  """torch.

  Raises:
    ImportError: says what to install.
  """
  try:
    import torch
  except ImportError:
    raise ImportError(
      "a .pt file needs torch: pip install 'hispatial_jax[convert]'"
    ) from None
  return torch


def _check_size(data: bytes) -> None:
  """Refuses an archive that would grow: torch.save never compresses."""
  try:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
      whole = sum(info.file_size for info in archive.infolist())
  except (zipfile.BadZipFile, ValueError, LookupError, NotImplementedError):
    return  # of older versions of torch, or damaged: torch will tell
  if whole > len(data):
    raise Refused(f"refused, {len(data)} bytes that unpack to {whole}")


class _Dtype:
  """Stands for numpy.dtype: a name, and the order of the bytes."""

  def __init__(self, name="", align=False, copy=False):
    name = str(name)
    name = _WORDS.get(name, name)
    if not _DTYPE.fullmatch(name):
      raise pickle.UnpicklingError(f"an array of dtype {name!r:.40}")
    self.dtype = np.dtype(name)

  def __setstate__(self, state):
    if not isinstance(state, tuple) or any(state[2:5]) or len(state) < 5:
      raise pickle.UnpicklingError(f"an array of dtype {state!r:.40}")
    if state[1] in ("<", ">"):
      self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray):
  """Stands for numpy.ndarray: begins empty, gets its numbers from a state."""

  def __new__(cls):
    return super().__new__(cls, (0,), np.uint8)

  def __setstate__(self, state):
    try:
      _, shape, kind, fortran, content = state
      dtype, wanted = kind.dtype, list if kind.dtype.hasobject else bytes
    except (TypeError, ValueError, AttributeError):
      raise pickle.UnpicklingError("an array of unknown form") from None
    number = len(content) if isinstance(content, wanted) else -1
    if number != math.prod(shape) * (1 if wanted is list else dtype.itemsize):
      raise pickle.UnpicklingError(f"an array not of its shape {shape!r:.40}")
    super().__setstate__((1, shape, dtype, bool(fortran), content))


def _reconstruct(kind, shape, code) -> _Array:
  del kind, shape, code  # the state says all
  return _Array()


def _scalar(kind, content):
  dtype = getattr(kind, "dtype", None)
  if dtype is None or dtype.hasobject or not isinstance(content, bytes):
    raise pickle.UnpicklingError("a number of unknown form")
  return np.frombuffer(content, dtype, 1)[0]


def _no_bytes() -> bytes:
  """The content of an array without elements, as old pickles say it."""
  return b""


_NUMPY = [
  (_no_bytes, "builtins.bytes"),
  (_Dtype, "numpy.dtype"),
  (_Array, "numpy.ndarray"),
  *(
    (function, f"numpy.{core}.multiarray.{name}")
    for core in ("core", "_core")
    for function, name in ((_reconstruct, "_reconstruct"), (_scalar, "scalar"))
  ),
]


def _reason(error) -> str:
  """The global that is not allowed, or what was wrong, without torch's hints.

  Its message begins with three lines on how to execute the file after all.
  """
  found = re.search(r"GLOBAL (\S+)", str(error))
  said = found or re.search(r"WeightsUnpickler error:\s*(.+)", str(error))
  return _first_line(said.group(1) if said else error)


def _first_line(error) -> str:
  text = str(error).strip().split("\n")[0].split(". ")[0]
  return f"{text:.120}" or type(error).__name__
