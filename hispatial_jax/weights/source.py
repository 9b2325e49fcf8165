"""Checkpoints of all formats: told apart, opened, fitted to a resolution.

npz          FILE.npz, ours and big_vision's (also PaliGemma-2 as released)
orbax        a folder as training writes it (WORKDIR, STEP, or `params` in it)
huggingface  a folder of PaliGemma-2: *.safetensors + config.json
hispatial    weights.pt + config.json, or the same tensors as safetensors

params, config = source.load("paligemma2-3b-pt-448")

In a bucket (gs://) orbax is read where it lies, the others from a local copy.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from hispatial_jax.core import remote, rundir, tree
from hispatial_jax.models import siglip, sizes
from hispatial_jax.weights import (
  adapters,
  configs,
  hispatial,
  lazy,
  npz,
  paligemma,
  rename,
  safetensors,
)

FORMATS = ("npz", "orbax", "huggingface", "hispatial", "hispatial-safetensors")
CONFIG = "config.json"
WEIGHTS = "weights.pt"
_TENSORS = (".safetensors", safetensors.INDEX)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """An opened checkpoint; numbers are read when needed.

  Attributes:
    params: {our name: array}.
    config: arguments of `models.hispatial.Model`.
    format: one of FORMATS.
  """

  params: lazy.Arrays
  config: dict
  format: str


def detect(path: str | os.PathLike) -> str:
  """The format of what lies at `path`.

  Raises:
    FileNotFoundError: nothing is there.
    ValueError: none of the formats; says what was looked for.
  """
  path = remote.path(path)
  if not path.exists():
    raise FileNotFoundError(f"{path}: no such file or folder")
  if not path.is_dir():
    kinds = {".npz": "npz", ".pt": "hispatial", ".safetensors": None}
    if path.suffix not in kinds:
      raise ValueError(f"{path}: expected a file ending in {', '.join(kinds)}")
    return kinds[path.suffix] or _safetensors_format(path)
  if (path / WEIGHTS).exists():
    return "hispatial"
  if any(path.glob("*.safetensors")) or (path / safetensors.INDEX).exists():
    return _safetensors_format(path)
  if (path / "params").exists() or (path / rundir.CHECKPOINTS).exists():
    return "orbax"
  raise ValueError(
    f"{path}: no checkpoint in this folder; expected {WEIGHTS}, "
    f"*.safetensors or an orbax checkpoint with 'params'"
  )


def _safetensors_format(path) -> str:
  names = safetensors.read(remote.fetch(path, _TENSORS))
  fused = any("depth_encoder." in name for name in names)
  return "hispatial-safetensors" if fused else "huggingface"


def open(path: str | os.PathLike, config: Mapping | None = None) -> Checkpoint:
  """Opens a checkpoint of any format and checks all names and shapes.

  Args:
    path: see the module.
    config: arguments of `hispatial.Model`, or the content of a Hugging Face
      config.json; None takes the one beside the weights, or the shapes.

  Raises:
    FileNotFoundError: nothing there, or no config.json where one is needed.
    ValueError: unknown or damaged content; tensors missing, surplus or of
      another shape, all listed.
  """
  kind = detect(path)
  if kind in ("npz", "orbax"):
    return _open_ours(path, kind, config)
  read = hispatial.read if kind == "hispatial" else safetensors.read
  theirs = read(_weights_file(path))
  return adopt(theirs, config or _config_beside(path), kind, str(path))


def adopt(
  theirs: lazy.Arrays, config: Mapping[str, Any], kind: str, what: str
) -> Checkpoint:
  """The checkpoint that tensors under the source's names make.

  Args:
    theirs: {their name: array}, whatever the prefixes.
    config: see `open`.
    kind: "huggingface", "hispatial" or "hispatial-safetensors".
    what: where they are from; first words of errors.

  Raises:
    ValueError: tensors missing, surplus or of another shape, all listed.
  """
  theirs = paligemma.canonical(theirs)
  shapes = {name: x.shape for name, x in theirs.items()}
  if "text_config" in config:
    config = configs.from_huggingface(config, shapes)
  rows = paligemma.ROWS if kind == "huggingface" else hispatial.ROWS
  wanted = _shapes(config)
  expected = rename.their_shapes(wanted, rows)
  table, size = shapes.get(paligemma.EMBEDDING), config["llm"]["vocab_size"]
  if table and table[0] > size:  # surplus rows
    shapes[paligemma.EMBEDDING] = (size, *table[1:])
  tree.check(expected, shapes, what=f"{what} does not fit its config")
  return Checkpoint(rename.to_ours(theirs, rows, wanted), config, kind)


def _open_ours(path, kind, config) -> Checkpoint:
  if kind == "npz":
    params = npz.read(remote.fetch(path))
  else:
    loaded = tree.flatten(rundir.load_params(path))
    params = {name: lazy.of(x) for name, x in loaded.items()}
    if config is None and (remote.path(path) / CONFIG).exists():
      config = read_config(remote.path(path) / CONFIG)
  shapes = {name: x.shape for name, x in params.items()}
  if adapters.any_in(params):
    config = _config_of_adapters(path, config)
  if config is None or "text_config" in config:
    config = configs.from_shapes(shapes, config)
  tree.check(_shapes(config), shapes, what=f"{path} does not fit its config")
  return Checkpoint(params, config, kind)


def _config_of_adapters(path, config) -> dict:
  """The run's own config: no shape tells the scale of its adapters."""
  if config is None:
    try:
      config = rundir.load_config(path).get("model")
    except FileNotFoundError:
      config = None
  if not config or "text_config" in config or not adapters.of_config(config):
    raise ValueError(
      f"{path} holds adapters, whose scale only the run's own {CONFIG} knows "
      "(model.llm.lora): put it beside, or name it with --config-from"
    )
  return config


def _weights_file(path) -> pathlib.Path:
  path = remote.path(path)
  named = path / WEIGHTS if (path / WEIGHTS).exists() else path
  return remote.fetch(named, _TENSORS)


def _config_beside(path) -> dict:
  path = remote.path(path)
  file = (path if path.is_dir() else path.parent) / CONFIG
  if not file.exists():
    raise FileNotFoundError(
      f"{file}: needed for heads and scales; copy the model's {CONFIG} there "
      "or name one with --config-from"
    )
  return read_config(file)


def read_config(path: str | os.PathLike) -> dict:
  """Content of a config.json: Hugging Face's, or `model` of a training run's.

  Raises:
    ValueError: not JSON, or neither of the two.
  """
  try:
    content = json.loads(remote.path(path).read_text())
    content = content.get("model", content)
  except (ValueError, AttributeError) as error:
    raise ValueError(f"{path}: not a config ({error})") from None
  if not {"text_config", "vision_config"} <= set(content) and not {
    "img",
    "llm",
  } <= set(content):
    raise ValueError(
      f"{path}: expected text_config and vision_config, or img and llm; "
      f"found {sorted(content)}"
    )
  return content


def _shapes(config) -> dict[str, tuple[int, ...]]:
  shapes = tree.flatten(sizes.param_shapes(config))
  return {name: tuple(x.shape) for name, x in shapes.items()}


def load(
  path: str | os.PathLike,
  config: Mapping | None = None,
  *,
  dtype: str | None = None,
  image_size: int | None = None,
) -> tuple[dict, dict]:
  """Returns (params as a nested dict of numpy arrays, model config).

  Args:
    path, config: see `open`.
    dtype: "float32", "bfloat16" or "float16"; None keeps the file's.
    image_size: pixels; the position table is resampled if it is another.
  """
  found = open(path, config)
  arrays = lazy.cast(found.params, dtype)
  params = tree.unflatten({n: np.asarray(x) for n, x in arrays.items()})
  config = dict(found.config)
  if image_size and image_size != config["img"]["image_size"]:
    config["img"] = {**config["img"], "image_size": image_size}
    params = fit_positions(params, config)
  return params, config


def fit_positions(params: dict, config: Mapping[str, Any]) -> dict:
  """Params whose position table has the config's grid of patches."""
  side = config["img"]["image_size"] // config["img"]["patch_size"]
  table = params["img"]["pos_embedding"]
  if table.shape[1] == side * side:
    return params
  fitted = siglip.resample_positions(table.astype(np.float32), (side, side))
  fitted = np.asarray(fitted).astype(table.dtype)
  return {**params, "img": {**params["img"], "pos_embedding": fitted}}
