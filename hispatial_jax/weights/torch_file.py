"""Files of torch.save that hold parameters; see core/torch_file.py.

torch is imported when a file is read or written, not before.
"""

import os
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from hispatial_jax.core import torch_file
from hispatial_jax.weights import lazy


def load(path: str | os.PathLike) -> dict:
  """The dict that a file holds, tensors mapped and not read; no code runs.

  Raises:
    ValueError: not a dict, not readable, or it holds objects to unpickle.
  """
  try:
    content = torch_file.load(path, mmap=True)
  except (torch_file.Refused, torch_file.Damaged) as error:
    raise ValueError(f"{path}: {error}") from None
  if not isinstance(content, dict):
    raise ValueError(
      f"{path}: holds a {type(content).__name__}, expected a dict of tensors"
    )
  return content


def arrays(content: Mapping[str, Any], what: str) -> dict[str, lazy.Array]:
  """The lazy form of a dict of tensors.

  Args:
    content: {name: tensor}.
    what: where it is from; first words of errors.

  Raises:
    ValueError: some entries are no tensors (all listed), or not of floats.
  """
  torch = torch_file.module()
  other = [k for k, x in content.items() if not isinstance(x, torch.Tensor)]
  if other:
    raise ValueError(f"{what}: these entries are no tensors: {other}")
  return {str(name): _lazy(torch, name, x) for name, x in content.items()}


def _lazy(torch, name, tensor) -> lazy.Array:
  dtypes = {
    torch.float32: np.float32,
    torch.float16: np.float16,
    torch.bfloat16: ml_dtypes.bfloat16,
  }
  if tensor.dtype not in dtypes:
    raise ValueError(f"{name} is {tensor.dtype}, expected a float tensor")

  def read(index):
    part = tensor.detach()[index].contiguous()
    if tensor.dtype != torch.bfloat16:
      return part.numpy()
    return part.view(torch.int16).numpy().view(ml_dtypes.bfloat16)

  return lazy.Array(
    tuple(tensor.shape),
    np.dtype(dtypes[tensor.dtype]),
    read,
    lead=max(tensor.ndim - 1, 0),
    rows=tensor.ndim > 0,
  )


def tensors(arrays: lazy.Arrays) -> dict[str, Any]:
  """The torch tensors of arrays, all in memory at once.

  torch.save needs them all, so the peak of memory is the size of the file.
  """
  torch = torch_file.module()
  return {name: _tensor(torch, x) for name, x in arrays.items()}


def _tensor(torch, array):
  x = np.array(array.read(()))
  if x.dtype != ml_dtypes.bfloat16:
    return torch.from_numpy(x)
  return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)


def save(path: str | os.PathLike, content: Mapping[str, Any]) -> None:
  """Writes a dict of tensors, numbers, texts, lists and dicts of these."""
  torch_file.module().save(dict(content), path)
