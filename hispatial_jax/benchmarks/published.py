"""Where published figures were read; they stand beside ours, not for them."""

from hispatial_jax.benchmarks import base

PAPER = "HiSpatial paper (CVPR 2026), main tables"
OWN = "as HiSpatial's scripts; see the benchmark's reference rule"


def rows(figure: str, protocol: str, source: str, **percent: float):
  """One Published for each `model=percent`; _ and __ stand for blank, dot."""
  return tuple(
    base.Published(figure, _name(model), value, protocol, source)
    for model, value in percent.items()
  )


def _name(key: str) -> str:
  return key.replace("__", ".").replace("_", "-")
