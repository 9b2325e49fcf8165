"""What came out of a file of torch.save, made what JSON can say."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from hispatial_jax.core import torch_file
from hispatial_jax.pp import codec

# A file of a few bytes may say the same list a billion times over, or itself.
_MOST, _DEEPEST = 1 << 21, 64


def plain(content: Any, most: int = _MOST) -> Any:
  """Content -> dicts with text keys, lists, texts, numbers, truth and None.

  Tensors and numpy's arrays become lists or numbers, tuples and sets lists, NaN
  and inf None, bytes texts; of any other object its str() is kept.

  Args:
    content: as core/torch_file.load gives it.
    most: values that it may hold.

  Raises:
    codec.BadInput: "too_large", or deeper than 64 levels.
    ValueError: a tensor without numbers.
  """
  return _Maker(most).make(content, 0)


class _Maker:
  def __init__(self, most: int):
    self._left = self._most = most

  def make(self, value, depth: int):
    self._take(1)
    if depth > _DEEPEST:
      raise codec.BadInput(
        "too_large", f"nested in more than {_DEEPEST} levels, or in itself"
      )
    if isinstance(value, np.generic):
      value = value.item()
    if value is None or isinstance(value, bool | int | str):
      return value
    if isinstance(value, float):
      return value if math.isfinite(value) else None
    return self._compound(value, depth)

  def _compound(self, value, depth: int):
    if isinstance(value, Mapping):
      return {_text(k): self.make(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
      return [self.make(v, depth + 1) for v in value]
    if isinstance(value, bytes | bytearray):
      return _text(value)
    if torch_file.is_tensor(value):
      value = torch_file.as_array(value)
    if isinstance(value, np.ndarray):
      if value.size > self._left:
        self._take(value.size)
      return self.make(value.tolist(), depth + 1)
    return str(value)

  def _take(self, number: int) -> None:
    self._left -= number
    if self._left < 0:
      raise codec.BadInput("too_large", f"holds over {self._most} values")


def _text(key) -> str:
  if isinstance(key, bytes | bytearray):
    return bytes(key).decode("utf-8", "replace")
  return str(key)
