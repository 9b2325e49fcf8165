"""A checkpoint's `model_config`, checked before anything is built from it.

The dict is kept word for word, so that what is written is what was read.
"""

import difflib
import inspect
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from hispatial_jax.moge import convstack, dinov2, model

_REMAPS = ("linear", "sinh", "exp", "sinh_exp")
# Every level of the pyramid has twice the grid of the one before.
_UPWARDS = ("conv_transpose", "bilinear", "nearest", "pixel_shuffle")
# The reference ignores other keys in these sections, as remains of old code.
_TOLERANT = ("", "encoder.")
_MOST_BLOCKS = 64


def check(config: Mapping[str, Any]) -> None:
  """Refuses a config that does not describe a MoGe-2 that can be built.

  Raises:
    ValueError: an unknown, lacking or absurd entry, named with its path.
  """
  if not isinstance(config, Mapping):
    raise ValueError(f"the config is {config!r}, expected a dict of sections")
  _keys("", config, model.Model)
  sections = {"encoder": model.Encoder, "scale_head": model.ScaleHead}
  sections |= dict.fromkeys(("neck", *model.HEADS), convstack.ConvStack)
  for name, module in sections.items():
    section = config.get(name)
    if section is None and name not in ("encoder", "neck"):
      continue
    if not isinstance(section, Mapping):
      raise ValueError(f"{name} is {section!r}, expected a dict")
    _keys(f"{name}.", section, module)
    if module is convstack.ConvStack:
      _check_stack(name, section)
  _check_encoder(config["encoder"])
  _check_ends(config)
  _check_widths(config)


def known(config: Mapping[str, Any]) -> dict:
  """The checked config without the entries that the reference ignores, too."""
  out = {k: v for k, v in config.items() if k in _fields(model.Model)}
  fields = _fields(model.Encoder)
  encoder = {k: v for k, v in config["encoder"].items() if k in fields}
  return {**out, "encoder": encoder}


def _fields(module) -> list[str]:
  names = list(module.__dataclass_fields__)
  return [n for n in names if n not in ("parent", "name", "dtype")]


def _keys(prefix, section, module) -> None:
  fields = [f"{prefix}{name}" for name in _fields(module)]
  for key in section:
    if f"{prefix}{key}" in fields:
      continue
    message = unknown("config key", f"{prefix}{key}", fields)
    if prefix not in _TOLERANT or "did you mean" in message:
      raise ValueError(message)
    warnings.warn(f"{message}; it is ignored", stacklevel=4)
  signature = inspect.signature(module).parameters
  needed = [
    n for n in _fields(module) if signature[n].default is inspect._empty
  ]
  lacking = [f"{prefix}{name}" for name in needed if name not in section]
  if lacking:
    raise ValueError(f"the config lacks {', '.join(lacking)}")


def unknown(what: str, name: Any, names: Iterable[str]) -> str:
  """Text of an error: what is unknown, what is nearest, what is known."""
  near = difflib.get_close_matches(str(name), list(names), 1)
  hint = f" (did you mean {near[0]!r}?)" if near else ""
  return f"unknown {what} {name!r}{hint}; known: {', '.join(names)}"


def _check_encoder(encoder) -> None:
  options = dinov2.hyperparameters(encoder["backbone"])
  for key in ("embed_dim", "depth", "num_heads"):
    _count(f"encoder.backbone.{key}", options[key])
  if options["embed_dim"] % options["num_heads"]:
    raise ValueError(
      f"encoder.backbone.embed_dim is {options['embed_dim']}, expected a "
      f"multiple of num_heads, {options['num_heads']}"
    )
  model.tap_indices(encoder["intermediate_layers"], options["depth"])
  _count("encoder.dim_out", encoder["dim_out"])


def _check_ends(config) -> None:
  remap = config.get("remap_output", "linear")
  if remap not in _REMAPS:
    raise ValueError(unknown("remap_output", remap, _REMAPS))
  dims = (config.get("scale_head") or {"dims": [1, 1]})["dims"]
  if len(dims) < 2 or dims[-1] != 1:
    raise ValueError(f"scale_head.dims is {dims}, expected widths, 1 the last")
  tokens = config.get("num_tokens_range", (1200, 3600))
  if len(tokens) != 2 or not 0 < tokens[0] <= tokens[1]:
    raise ValueError(
      f"num_tokens_range is {tokens}, expected two positive numbers, the "
      "least first"
    )


def _check_stack(name, section) -> None:
  dims = section["dim_res_blocks"]
  if not isinstance(dims, list | tuple) or len(dims) != model.LEVELS:
    raise ValueError(
      f"{name}.dim_res_blocks is {dims}, expected {model.LEVELS} widths"
    )
  for dim in dims:
    _count(f"{name}.dim_res_blocks", dim)
  fewer = {"dim_in": 0, "dim_out": 0, "num_res_blocks": 0, "resamplers": 1}
  for key, step in fewer.items():
    value = section.get(key, 1)
    if isinstance(value, list | tuple) and len(value) != len(dims) - step:
      raise ValueError(
        f"{name}.{key} is {value}, expected {len(dims) - step} entries"
      )
  for value in _each(section.get("num_res_blocks", 1)):
    _count(f"{name}.num_res_blocks", value, 0, _MOST_BLOCKS)
  _count(
    f"{name}.dim_times_res_block_hidden",
    section.get("dim_times_res_block_hidden", 1),
  )
  choices = [
    ("resamplers", None, _UPWARDS),
    ("res_block_in_norm", "none", convstack.NORMS),
    ("res_block_hidden_norm", "none", convstack.NORMS),
    ("activation", "relu", tuple(convstack.ACTIVATIONS)),
  ]
  for key, default, names in choices:
    for value in _each(section.get(key, default)):
      if value not in names:
        raise ValueError(unknown(f"{name}.{key}", value, names))


def _check_widths(config) -> None:
  """What a stack takes in must be what comes out before it."""
  given = [2] * model.LEVELS
  given[0] += config["encoder"]["dim_out"]
  for name in ("neck", *model.HEADS):
    stack = config.get(name)
    if stack is None:
      continue
    dims = stack["dim_res_blocks"]
    taken = _levels(stack["dim_in"])
    taken = [
      own if d is None else d for d, own in zip(taken, dims, strict=True)
    ]
    if taken != given:
      raise ValueError(
        f"{name}.dim_in takes {taken}, and {given} channels come in"
      )
    if name == "neck":
      outs = _levels(stack["dim_out"])
      given = [
        own if d is None else d for d, own in zip(outs, dims, strict=True)
      ]
    elif _levels(stack["dim_out"])[-1] != {"mask_head": 1}.get(name, 3):
      raise ValueError(
        f"{name}.dim_out is {stack['dim_out']}, expected "
        f"{ {'mask_head': 1}.get(name, 3) } at the last level"
      )


def _levels(value) -> list:
  return (
    list(value) if isinstance(value, list | tuple) else [value] * model.LEVELS
  )


def _each(value) -> list:
  return list(value) if isinstance(value, list | tuple) else [value]


def _count(name, value, least=1, most=1 << 20) -> None:
  whole = isinstance(value, int) and not isinstance(value, bool)
  if not whole or not least <= value <= most:
    raise ValueError(
      f"{name} holds {value!r}, expected a whole number from {least} to {most}"
    )
