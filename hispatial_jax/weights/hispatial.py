"""HiSpatial's `weights.pt`, read without ever running what it holds.

The released model projects concat[SigLIP, depth] with one Linear. Ours adds two
heads, so its weight splits into `img/head` and `pointmap/head` on the way in
and is joined again on the way out.

Source: HiSpatial@9b0a571 hispatial/model (state dict names), golden numbers in
tests/golden/hispatial_model.
"""

import os
import pickle

import ml_dtypes
import numpy as np

from hispatial_jax.weights import lazy, paligemma, rename

_CONV = "depth_encoder.conv"

ROWS = [
  *paligemma.IMG,
  rename.Row(
    "img/head/kernel", "D M", f"{paligemma.PROJECTOR}.weight", "M (0/2 D)"
  ),
  rename.Row(
    "pointmap/head/kernel", "D M", f"{paligemma.PROJECTOR}.weight", "M (1/2 D)"
  ),
  rename.Row("img/head/bias", "M", f"{paligemma.PROJECTOR}.bias", "M"),
  *paligemma.LLM,
  rename.Row(
    "pointmap/embedding/kernel", "h w C D", f"{_CONV}.weight", "D C h w"
  ),
  rename.Row("pointmap/embedding/bias", "D", f"{_CONV}.bias", "D"),
]


def read(path: str | os.PathLike) -> dict[str, lazy.Array]:
  """The tensors of a `.pt` file; nothing in it is executed.

  Raises:
    ValueError: not a dict of tensors, or not readable.
  """
  torch = _torch()
  try:
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
  except pickle.UnpicklingError as error:
    raise ValueError(
      f"{path}: refused, it holds more than tensors ({_first_line(error)})"
    ) from None
  except (RuntimeError, EOFError, ValueError, KeyError) as error:
    raise ValueError(
      f"{path}: not a whole file of torch.save ({_first_line(error)})"
    ) from None
  if not isinstance(content, dict):
    raise ValueError(
      f"{path}: holds a {type(content).__name__}, expected a dict of tensors"
    )
  other = [k for k, x in content.items() if not isinstance(x, torch.Tensor)]
  if other:
    raise ValueError(f"{path}: these entries are no tensors: {other}")
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


def write(path: str | os.PathLike, theirs: lazy.Arrays) -> None:
  """Writes a state dict as the reference's trainer does, `lm_head` included.

  torch.save needs the whole state dict at once, so the peak of memory is the
  size of the file.
  """
  torch = _torch()
  state = {name: _tensor(torch, x) for name, x in theirs.items()}
  state[paligemma.LM_HEAD] = state[paligemma.EMBEDDING]
  torch.save(state, path)


def _tensor(torch, array):
  x = np.array(array.read(()))
  if x.dtype != ml_dtypes.bfloat16:
    return torch.from_numpy(x)
  return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)


def _torch():
  try:
    import torch
  except ImportError:
    raise ImportError(
      "a .pt file needs torch: pip install 'hispatial_jax[convert]'"
    ) from None
  return torch


def _first_line(error) -> str:
  return str(error).strip().split("\n")[0]
