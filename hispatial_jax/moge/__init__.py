"""MoGe-2 in JAX: metric point maps from single images, useful alone.

    from hispatial_jax import moge
    model = moge.load("moge-2-vitl-normal/model.pt")
    found = model.infer(images)  # u8[B,H,W,3] -> moge.PointMap, metres

Names are looked up when used: importing the package starts no device.
"""

import importlib

_HOME = {
  "MoGe": "infer",
  "PointMap": "infer",
  "Model": "model",
  "Checkpoint": "checkpoint",
}
_MODULES = (
  "attention",
  "backbones",
  "checkpoint",
  "config",
  "conv",
  "convstack",
  "dinov2",
  "frame",
  "infer",
  "layers",
  "linear",
  "metric",
  "model",
  "resample",
  "resize",
  "solve",
  "strips",
  "variants",
)


def __getattr__(name: str):
  if name == "load":
    return importlib.import_module(f"{__name__}.infer").MoGe.load
  if name in _HOME:
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
  if name in _MODULES:
    return importlib.import_module(f"{__name__}.{name}")
  raise AttributeError(
    f"hispatial_jax.moge has no {name!r}; it has {', '.join(__dir__())}"
  )


def __dir__() -> list[str]:
  return sorted([*_HOME, *_MODULES, "load"])
