"""Benchmarks by the name they have on the command line."""

import difflib
import importlib

from hispatial_jax.benchmarks import base

_MODULES = {
  "cvbench": "cvbench",
  "embspatial": "embspatial",
  "robospatial": "robospatial",
  "spatialrgpt": "spatialrgpt",
  "qspatial": "qspatial",
  "3dsrbench": "threedsr",
  "mmbench": "mmbench",
  "pope": "pope",
  "seedbench": "seedbench",
  "realworldqa": "realworldqa",
  "hispatial_custom": "hispatial_custom",
}


def names() -> list[str]:
  """All names, in the order of the table in the README."""
  return list(_MODULES)


def get(name: str) -> base.Benchmark:
  """The benchmark module of a name.

  Raises:
    ValueError: unknown; the nearest name is offered.
  """
  if name not in _MODULES:
    near = difflib.get_close_matches(name.lower(), _MODULES, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(
      f"unknown benchmark {name!r}{hint} Known: {', '.join(_MODULES)}"
    )
  return importlib.import_module(f"hispatial_jax.benchmarks.{_MODULES[name]}")
