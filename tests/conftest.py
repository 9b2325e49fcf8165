"""Tests run on the CPU, with JAX at its strictest about dtypes."""

import collections
import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Two fifths of the tests' time would be LLVM's, for programs that run for a
# blink. The tests of tools/parity.py compare all golden numbers without this.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import hypothesis
import jax
import pytest

# The same examples on every run: a failure can be looked at again. To search
# for new ones: pytest --hypothesis-profile=default.
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile("repeatable")
jax.config.update("jax_numpy_dtype_promotion", "strict")


def pytest_collection_modifyitems(config, items):
  """Of several workers none is left at the end with the slowest files."""
  if not hasattr(config, "workerinput"):
    return
  slow = collections.Counter(
    item.path for item in items if item.get_closest_marker("slow")
  )
  items.sort(key=lambda item: -slow[item.path])


@pytest.fixture
def golden() -> pathlib.Path:
  """Folder of reference numbers shipped with the tests."""
  return pathlib.Path(__file__).parent / "golden"
