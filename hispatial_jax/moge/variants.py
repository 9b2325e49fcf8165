"""Released MoGe-2 models by name; a config checked, hashed and measured.

`python -m hispatial_jax.moge.variants moge-2-vitl` prints every parameter.

Source: shared/golden/moge2/FORMAT.md, section 7.
"""

import argparse
import copy
import difflib
import inspect
import math
from collections.abc import Mapping
from typing import Any

import flax
import jax
import jax.numpy as jnp

from hispatial_jax.core import tree
from hispatial_jax.moge import convstack, dinov2, model

_BACKBONES = {
  # backbone, its width, taps, residual blocks of the neck
  "vits": ("dinov2_vits14", 384, [5, 11], [0, 1, 1, 1, 0]),
  "vitb": ("dinov2_vitb14", 768, [5, 11], [0, 1, 1, 1, 0]),
  "vitl": ("dinov2_vitl14", 1024, [5, 11, 17, 23], [0, 2, 2, 2, 0]),
}
NAMES = (
  "moge-2-vits-normal",
  "moge-2-vitb-normal",
  "moge-2-vitl-normal",
  "moge-2-vitl",
)
_REMAPS = ("linear", "sinh", "exp", "sinh_exp")
_UPWARDS = ("conv_transpose", "bilinear", "nearest", "pixel_shuffle")


def config(name: str) -> dict:
  """The `model_config` of a released model; `model.Model(**hashable(...))`.

  Raises:
    ValueError: unknown name; says which is nearest.
  """
  if name not in NAMES:
    raise ValueError(_unknown("model", name, NAMES))
  backbone, width, taps, blocks = _BACKBONES[name.split("-")[2]]
  dims = [width, 256, 128, 64, 32]
  out = {
    "encoder": {
      "backbone": backbone,
      "intermediate_layers": taps,
      "dim_out": width,
    },
    "neck": _stack([width + 2, 2, 2, 2, 2], None, dims, blocks),
  }
  heads = {"points": 3, "normal": 3, "mask": 1}
  if not name.endswith("-normal"):
    del heads["normal"]
  for head, channels in heads.items():
    outs = [None, None, None, None, channels]
    out[f"{head}_head"] = _stack(dims, outs, dims, [0, 1, 1, 1, 0])
  return copy.deepcopy(
    out
    | {
      "scale_head": {"dims": [width, width, width, 1]},
      "remap_output": "exp",
      "num_tokens_range": [1200, 3600],
    }
  )


def _stack(dim_in, dim_out, dims, blocks) -> dict:
  return {
    "dim_in": dim_in,
    "dim_out": dim_out,
    "dim_res_blocks": dims,
    "num_res_blocks": blocks,
    "res_block_in_norm": "none",
    "res_block_hidden_norm": "none",
    "resamplers": ["conv_transpose"] * 3 + ["bilinear"],
  }


def hashable(config: Any) -> Any:
  """The config as frozen dicts and tuples, so that a model can be static."""
  if isinstance(config, Mapping):
    return flax.core.FrozenDict({k: hashable(v) for k, v in config.items()})
  if isinstance(config, list | tuple):
    return tuple(map(hashable, config))
  return config


def check(config: Mapping[str, Any]) -> None:
  """Refuses a config that does not describe a MoGe-2 that can be built.

  Raises:
    ValueError: an unknown, lacking or absurd entry, named with its path.
  """
  if not isinstance(config, Mapping):
    raise ValueError(f"the config is {config!r}, expected a dict of sections")
  _keys("", config, _fields(model.Model) - {"dtype"}, {"encoder", "neck"})
  sections = {"encoder": model.Encoder, "scale_head": model.ScaleHead}
  sections |= dict.fromkeys(("neck", *model.HEADS), convstack.ConvStack)
  for name, module in sections.items():
    section = config.get(name)
    if section is None and name not in ("encoder", "neck"):
      continue
    if not isinstance(section, Mapping):
      raise ValueError(f"{name} is {section!r}, expected a dict")
    signature = inspect.signature(module).parameters
    needed = {k for k, p in signature.items() if p.default is p.empty}
    _keys(f"{name}.", section, _fields(module) - {"dtype"}, needed)
    if module is convstack.ConvStack:
      _check_stack(name, section)
  _check_values(config)


def _check_values(config) -> None:
  encoder = config["encoder"]
  options = dinov2.hyperparameters(encoder["backbone"])
  model.tap_indices(encoder["intermediate_layers"], options["depth"])
  _positive("encoder.dim_out", encoder["dim_out"])
  _one_of("remap_output", config.get("remap_output", "linear"), _REMAPS)
  if (config.get("scale_head") or {}).get("dims", [1])[-1] != 1:
    raise ValueError(
      f"scale_head.dims is {config['scale_head']['dims']}, expected 1 last"
    )
  tokens = config.get("num_tokens_range", (1200, 3600))
  if len(tokens) != 2 or not 0 < tokens[0] <= tokens[1]:
    raise ValueError(
      f"num_tokens_range is {tokens}, expected two positive numbers, least "
      "first"
    )


def _check_stack(name, section) -> None:
  dims = section["dim_res_blocks"]
  if not isinstance(dims, list | tuple) or len(dims) != model.LEVELS:
    raise ValueError(
      f"{name}.dim_res_blocks is {dims}, expected {model.LEVELS} widths"
    )
  for dim in dims:
    _positive(f"{name}.dim_res_blocks", dim)
  lengths = {"dim_in": 0, "dim_out": 0, "num_res_blocks": 0, "resamplers": 1}
  for key, fewer in lengths.items():
    value = section.get(key, 1)
    if isinstance(value, list | tuple) and len(value) < len(dims) - fewer:
      raise ValueError(
        f"{name}.{key} is {value}, expected {len(dims) - fewer} entries"
      )
  kinds = section["resamplers"]
  for kind in [kinds] if isinstance(kinds, str) else kinds:
    _one_of(f"{name}.resamplers", kind, _UPWARDS)
  for key in ("res_block_in_norm", "res_block_hidden_norm"):
    _one_of(f"{name}.{key}", section.get(key, "none"), convstack.NORMS)
  activation = section.get("activation", "relu")
  _one_of(f"{name}.activation", activation, convstack.ACTIVATIONS)


def _fields(module) -> set[str]:
  return set(module.__dataclass_fields__) - {"parent", "name"}


def _keys(prefix, section, known, needed) -> None:
  for key in section:
    if key not in known:
      raise ValueError(
        _unknown(
          "config key", f"{prefix}{key}", [f"{prefix}{k}" for k in known]
        )
      )
  lacking = sorted(needed - set(section))
  if lacking:
    raise ValueError(f"the config lacks {prefix}{f', {prefix}'.join(lacking)}")


def _positive(name, value) -> None:
  if not isinstance(value, int) or isinstance(value, bool) or value < 1:
    raise ValueError(f"{name} holds {value!r}, expected a positive number")


def _one_of(name, value, known) -> None:
  if value not in known:
    raise ValueError(_unknown(name, value, list(known)))


def _unknown(what, name, known) -> str:
  near = difflib.get_close_matches(str(name), known, 1)
  hint = f" (did you mean {near[0]!r}?)" if near else ""
  return f"unknown {what} {name!r}{hint}; known: {', '.join(sorted(known))}"


def param_shapes(config: Mapping[str, Any]) -> dict:
  """Nested dict of ShapeDtypeStruct; computes nothing, needs no memory.

  Raises:
    ValueError: see `check`.
  """
  check(config)
  net = model.Model(**hashable(config))
  x = jax.ShapeDtypeStruct((1, 28, 28, 3), jnp.float32)
  aspect = jax.ShapeDtypeStruct((1,), jnp.float32)
  return jax.eval_shape(net.init, jax.random.key(0), x, aspect)["params"]


def num_params(config: Mapping[str, Any]) -> int:
  """How many numbers the parameters hold; buffers are not parameters."""
  return sum(leaf.size for leaf in jax.tree.leaves(param_shapes(config)))


def main(argv=None) -> None:
  """Prints name, shape and size of every parameter, and the total."""
  parser = argparse.ArgumentParser(description=main.__doc__)
  parser.add_argument("name", choices=NAMES)
  shapes = param_shapes(config(parser.parse_args(argv).name))
  for name, leaf in tree.flatten(shapes).items():
    print(f"{name:64} {leaf.shape!s:24} {math.prod(leaf.shape):>12,}")
  print(f"{'total':89} {sum(x.size for x in jax.tree.leaves(shapes)):>12,}")


if __name__ == "__main__":
  main()
