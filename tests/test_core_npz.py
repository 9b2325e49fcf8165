"""Parameters in npz files: bfloat16 survives, and names of either kind."""

import os

import jax
import ml_dtypes
import numpy as np
import pytest

from hispatial_jax.core import npz, rundir


def _params():
  rng = np.random.default_rng(0)
  return {
    "img": {"kernel": rng.normal(size=(3, 4)).astype(np.float32)},
    "llm": {"w": rng.normal(size=(2, 5)).astype(ml_dtypes.bfloat16)},
  }


def _same(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)
  dtypes = [[x.dtype for x in jax.tree.leaves(part)] for part in (a, b)]
  assert dtypes[0] == dtypes[1]


def test_npz_keeps_bfloat16(tmp_path):
  params = _params()
  path = tmp_path / "p.npz"
  npz.save(path, params)
  raw = np.load(path)
  assert raw["params/llm/w"].dtype == "V2"
  for load in (npz.load, rundir.load_params):
    _same(load(path), params)
  assert npz.load(path)["llm"]["w"].dtype == ml_dtypes.bfloat16
  assert os.listdir(tmp_path) == ["p.npz"]


def test_npz_names_with_and_without_root(tmp_path):
  bare, full = tmp_path / "a.npz", tmp_path / "b.npz"
  np.savez(bare, **{"img/k": np.ones(2)})
  np.savez(full, **{"params/img/k": np.ones(2), "opt/img/k": np.zeros(2)})
  for path in (bare, full):
    _same(npz.load(path), {"img": {"k": np.ones(2)}})


def test_npz_that_is_none(tmp_path):
  path = tmp_path / "a.npz"
  path.write_bytes(b"not an archive")
  with pytest.raises(ValueError, match=r"a\.npz is not a readable npz"):
    npz.load(path)
