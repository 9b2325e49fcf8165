"""Released MoGe-2 models by name; models and sizes of any config.

`python -m hispatial_jax.moge.variants moge-2-vitl` prints every parameter.

Source: golden/moge2/FORMAT.md, section 7.
"""

import argparse
import copy
import math
from collections.abc import Mapping
from typing import Any

import flax
import jax
import jax.numpy as jnp

from hispatial_jax.core import tree
from hispatial_jax.moge import config as config_lib
from hispatial_jax.moge import model

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


def config(name: str) -> dict:
  """The `model_config` of a released model; `model.Model(**hashable(...))`.

  Raises:
    ValueError: unknown name; says which is nearest.
  """
  if name not in NAMES:
    raise ValueError(config_lib.unknown("model", name, NAMES))
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


def build(config: Mapping[str, Any], dtype: str = "float32") -> model.Model:
  """The model of a config, hashable.

  Args:
    config: see `config.check`.
    dtype: of matmuls and convolutions.

  Raises:
    ValueError: see `config.check`.
  """
  config_lib.check(config)
  return model.Model(**hashable(config_lib.known(config)), dtype=dtype)


def param_shapes(config: Mapping[str, Any]) -> dict:
  """Nested dict of ShapeDtypeStruct; computes nothing, needs no memory.

  Raises:
    ValueError: see `config.check`.
  """
  net = build(config)
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
