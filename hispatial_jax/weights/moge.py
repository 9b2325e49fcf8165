"""MoGe-2's state dict: one two-way table, made from the config alone.

Linear weights are (out, in) there, convolutions OIHW, the transposed one
(in, out, h, w). Two buffers hold the ImageNet mean and deviation; they are no
parameters of ours, so they are checked on the way in and made on the way out.

Source: golden/moge2/FORMAT.md, sections 3, 4 and 7 (names, layouts).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hispatial_jax.core import tree
from hispatial_jax.weights import lazy, rename

BUFFERS = {
  "encoder.image_mean": (0.485, 0.456, 0.406),
  "encoder.image_std": (0.229, 0.224, 0.225),
}
_BUFFER_SHAPE = (1, 3, 1, 1)
_BLOCKS, _BLOCK = "encoder/backbone/blocks", "encoder.backbone.blocks.{L}"
_STACKS = ("neck", "points_head", "normal_head", "mask_head")
# Number of a resampler's layers that have parameters.
_LAYERS = {
  "conv_transpose": (0, 1),
  "bilinear": (1,),
  "nearest": (1,),
  "pixel_shuffle": (0, 2),
  "pixel_unshuffle": (1,),
  "avg_pool": (0,),
  "max_pool": (0,),
}
_WITH_PARAMETERS = ("layer_norm", "group_norm")
# Number in `layers` of a residual block's norms and convolutions.
_NORMS, _CONVS = (0, 3), (2, 5)


def rows(config: Mapping[str, Any]) -> list[rename.Row]:
  """The table of a model with this `model_config`.

  Rows of options that the model lacks (registers) name parameters that it does
  not have; `rename` passes over them.
  """
  taps = config["encoder"]["intermediate_layers"]
  taps = taps if isinstance(taps, int) else len(set(taps))
  table = _backbone()
  for t in range(taps):
    table += conv_1x1(
      f"encoder/projection_{t}", f"encoder.output_projections.{t}"
    )
  for name in _STACKS:
    if config.get(name) is not None:
      table += _stack(name, config[name])
  if config.get("scale_head") is not None:
    for i in range(len(config["scale_head"]["dims"]) - 1):
      # Activations are counted, too.
      table += _dense(f"scale_head/layer_{i}", f"scale_head.{2 * i}")
  return table


def _backbone() -> list[rename.Row]:
  ours, theirs = "encoder/backbone", "encoder.backbone"
  table = [
    rename.Row(f"{ours}/{name}", axes, f"{theirs}.{name}", axes)
    for name, axes in (
      ("cls_token", "a P D"),
      ("pos_embed", "a P D"),
      ("register_tokens", "a P D"),
      ("mask_token", "a D"),
    )
  ]
  table += conv(f"{ours}/embedding", f"{theirs}.patch_embed.proj")
  for part in ("attn/qkv", "attn/proj", "mlp/fc1", "mlp/fc2"):
    there = f"{_BLOCK}.{part.replace('/', '.')}"
    table += _dense(f"{_BLOCKS}/{part}", there, "L ")
  for part in ("norm1", "norm2"):
    table += norm(f"{_BLOCKS}/{part}", f"{_BLOCK}.{part}", "L ")
  for part in ("ls1", "ls2"):
    ours_gamma, gamma = f"{_BLOCKS}/{part}/gamma", f"{_BLOCK}.{part}.gamma"
    table.append(rename.Row(ours_gamma, "L D", gamma, "D"))
  return table + norm(f"{ours}/norm", f"{theirs}.norm")


def _stack(name, config) -> list[rename.Row]:
  kinds, table = config["resamplers"], []
  norms = [
    config.get("res_block_in_norm", "layer_norm"),
    config.get("res_block_hidden_norm", "group_norm"),
  ]
  last = len(config["dim_res_blocks"]) - 1
  for i in range(last + 1):
    level = f"{name}/level_{i}"
    if _each(config["dim_in"], i) is not None:
      table += conv_1x1(f"{level}/input", f"{name}.input_blocks.{i}")
    for j in range(_each(config.get("num_res_blocks", 1), i)):
      there = f"{name}.res_blocks.{i}.{j}."
      table += residual_block(f"{level}/block_{j}", there, norms)
    if _each(config["dim_out"], i) is not None:
      table += conv_1x1(f"{level}/output", f"{name}.output_blocks.{i}")
    if i < last:
      kind = kinds if isinstance(kinds, str) else kinds[i]
      table += resampler(f"{level}/resampler", f"{name}.resamplers.{i}.", kind)
  return table


def _each(value, i):
  return value if value is None or isinstance(value, int) else value[i]


def residual_block(ours: str, theirs: str, norms) -> list[rename.Row]:
  """Rows of one block; `theirs` is a prefix with its dot, or empty."""
  table = []
  for i, kind in enumerate(norms):
    if kind in _WITH_PARAMETERS:
      table += norm(f"{ours}/norm_{i}", f"{theirs}layers.{_NORMS[i]}")
    table += conv(f"{ours}/conv_{i}", f"{theirs}layers.{_CONVS[i]}")
  return table + conv_1x1(f"{ours}/skip", f"{theirs}skip_connection")


def resampler(ours: str, theirs: str, kind: str) -> list[rename.Row]:
  """Rows of one resampler; `theirs` is a prefix with its dot, or empty."""
  table = []
  for layer in _LAYERS[kind]:
    swapped = kind == "conv_transpose" and layer == 0
    axes = "I O h w" if swapped else "O I h w"
    table += conv(f"{ours}/conv_{layer}", f"{theirs}{layer}", axes)
  return table


def conv(ours: str, theirs: str, axes: str = "O I h w") -> list[rename.Row]:
  """Rows of a convolution."""
  return [
    rename.Row(f"{ours}/kernel", "h w I O", f"{theirs}.weight", axes),
    rename.Row(f"{ours}/bias", "O", f"{theirs}.bias", "O"),
  ]


def conv_1x1(ours: str, theirs: str) -> list[rename.Row]:
  """Rows of a 1 x 1 convolution there, a dense layer here."""
  return [
    rename.Row(f"{ours}/kernel", "I O", f"{theirs}.weight", "O I 0/1 0/1"),
    rename.Row(f"{ours}/bias", "O", f"{theirs}.bias", "O"),
  ]


def norm(ours: str, theirs: str, lead: str = "") -> list[rename.Row]:
  """Rows of a norm; `lead` is "L " where layers are stacked."""
  return [
    rename.Row(f"{ours}/scale", f"{lead}D", f"{theirs}.weight", "D"),
    rename.Row(f"{ours}/bias", f"{lead}D", f"{theirs}.bias", "D"),
  ]


def _dense(ours, theirs, lead=""):
  return [
    rename.Row(f"{ours}/kernel", f"{lead}I O", f"{theirs}.weight", "O I"),
    rename.Row(f"{ours}/bias", f"{lead}O", f"{theirs}.bias", "O"),
  ]


def to_ours(
  theirs: lazy.Arrays,
  config: Mapping[str, Any],
  shapes: Mapping[str, tuple[int, ...]],
  what: str,
) -> dict[str, lazy.Array]:
  """Our parameters of a state dict.

  Args:
    theirs: {their name: array}.
    config: the checkpoint's `model_config`.
    shapes: {our name: shape} that the config asks for.
    what: where they are from; first words of errors.

  Raises:
    ValueError: tensors missing, extra or of another shape, all listed; buffers
      that are not ImageNet's.
  """
  table = rows(config)
  wanted = rename.their_shapes(shapes, table)
  wanted |= dict.fromkeys(BUFFERS, _BUFFER_SHAPE)
  tree.check(
    wanted,
    {name: x.shape for name, x in theirs.items()},
    what=f"{what} does not fit its config",
  )
  for name, values in BUFFERS.items():
    found = np.asarray(theirs[name])
    if not np.array_equal(found, _buffer(values, found.dtype)):
      raise ValueError(
        f"{what}: {name} is {found.ravel()}, expected ImageNet's {values}: "
        "the model would see other colours"
      )
  return rename.to_ours(theirs, table, shapes)


def to_theirs(
  ours: lazy.Arrays, config: Mapping[str, Any]
) -> dict[str, lazy.Array]:
  """The state dict of our parameters, buffers included, in f32 as always."""
  made = rename.to_theirs(ours, rows(config))
  for name, values in BUFFERS.items():
    made[name] = lazy.of(_buffer(values, np.float32))
  return made


def _buffer(values, dtype):
  return np.asarray(values, np.float32).astype(dtype).reshape(_BUFFER_SHAPE)
