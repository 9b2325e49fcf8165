"""Tests run on the CPU, with JAX at its strictest about dtypes."""

import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# For processes that tests start: most of their time is LLVM's, and what they
# run, they run for a blink. Numbers of golden files are compared in this one.
os.environ["QUICK_XLA_FLAGS"] = "--xla_backend_optimization_level=0"

import hypothesis
import jax
import pytest

# The same examples on every run: a failure can be looked at again. To search
# for new ones: pytest --hypothesis-profile=default.
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile("repeatable")
jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture
def golden() -> pathlib.Path:
  """Folder of reference numbers shipped with the tests."""
  return pathlib.Path(__file__).parent / "golden"
