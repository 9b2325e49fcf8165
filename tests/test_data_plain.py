"""Anything a file of torch.save may hold becomes JSON of a bounded size."""

import collections
import json

import numpy as np
import pytest
import torch

from hispatial_jax.data import plain
from hispatial_jax.pp import codec


def test_each_kind_of_value():
  content = {
    "tensor": torch.tensor([[1.5, 2], [3, float("nan")]]),
    "number": torch.tensor(7),
    "half": torch.tensor([0.5], dtype=torch.bfloat16),
    "array": np.array([1, 2], np.int16),
    "texts": np.array(["a", "b"]),
    "objects": np.array([{"x": np.float32(0.25)}, None], dtype=object),
    "scalars": [np.bool_(True), np.int64(3), np.str_("t"), np.float64("inf")],
    "bad": [float("nan"), float("inf"), -float("inf"), 1.25],
    "tuple": (1, (2, 3)),
    "set": {4},
    "ordered": collections.OrderedDict(a=1),
    "bytes": b"caf\xc3\xa9",
    "other": torch.float32,
    3: None,
    ("k", 1): True,
  }
  found = plain.plain(content)
  assert found == {
    "tensor": [[1.5, 2.0], [3.0, None]],
    "number": 7,
    "half": [0.5],
    "array": [1, 2],
    "texts": ["a", "b"],
    "objects": [{"x": 0.25}, None],
    "scalars": [True, 3, "t", None],
    "bad": [None, None, None, 1.25],
    "tuple": [1, [2, 3]],
    "set": [4],
    "ordered": {"a": 1},
    "bytes": "café",
    "other": "torch.float32",
    "3": None,
    "('k', 1)": True,
  }
  assert type(found["scalars"][0]) is bool
  assert type(found["scalars"][1]) is int
  assert json.loads(json.dumps(found, allow_nan=False)) == found


class _Array(np.ndarray):
  def tolist(self):
    raise AssertionError("an array that is too large was unrolled")


def test_what_says_itself_over_and_over_is_stopped():
  itself = []
  itself.append(itself)
  with pytest.raises(codec.BadInput, match="nested in more than 64") as error:
    plain.plain(itself)
  assert error.value.reason == "too_large"
  laughs = ["ha"]
  for _ in range(40):
    laughs = [laughs] * 10
  with pytest.raises(codec.BadInput, match="holds over 1000 values"):
    plain.plain(laughs, most=1000)
  with pytest.raises(codec.BadInput, match="holds over 1000 values"):
    plain.plain({"x": np.zeros(1001).view(_Array)}, most=1000)
