"""Tests run on the CPU, with JAX at its strictest about dtypes."""

import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture
def golden() -> pathlib.Path:
  """Folder of reference numbers shipped with the tests."""
  return pathlib.Path(__file__).parent / "golden"
