"""MoGe-2 checkpoints of three formats: told apart, opened, written.

moge-pt           model.pt as released: {"model_config": …, "model": …}
moge-safetensors  the same tensors; the config in the file's metadata, or in a
                  config.json beside it
moge-npz          our names, `params/…`, and one text entry `model_config`

A folder with one of them is opened, too. Nothing is ever unpickled.

    config, params = checkpoint.load("moge-2-vitl-normal/model.pt")
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from hispatial_jax.core import remote, tree
from hispatial_jax.moge import variants
from hispatial_jax.weights import (
  beside,
  lazy,
  moge,
  npz,
  safetensors,
  torch_file,
)

FORMATS = ("moge-pt", "moge-safetensors", "moge-npz")
_SUFFIXES = dict(zip((".pt", ".safetensors", ".npz"), FORMATS, strict=True))
_CONFIG, _CONFIG_FILE, _STATE = "model_config", "config.json", "model"
# A tensor that only this model has, under their name and under ours.
_MARKS = ("encoder.backbone.cls_token", "encoder/backbone/cls_token")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """An opened checkpoint; numbers are read when needed.

  Attributes:
    params: {our name: array}.
    config: its `model_config`, word for word.
    format: one of FORMATS.
  """

  params: lazy.Arrays
  config: dict
  format: str


def detect(path: str | os.PathLike) -> str | None:
  """The format of what lies at `path`; None if it is no MoGe-2.

  Raises:
    FileNotFoundError: nothing is there.
    ValueError: a damaged file.
  """
  path = remote.path(path)
  if not path.exists():
    raise FileNotFoundError(f"{path}: no such file or folder")
  file = _file(path)
  kind = file and _SUFFIXES[file.suffix]
  if kind == "moge-pt":
    content = torch_file.load(file)
    found = _CONFIG in content and _STATE in content
  elif kind:
    names = (npz if kind == "moge-npz" else safetensors).read(file)
    found = any(mark in names for mark in _MARKS)
  return kind if kind and found else None


def _file(path) -> pathlib.Path | None:
  """The file of weights that is meant; of a bucket, its local copy."""
  found = [path] if path.suffix in _SUFFIXES else []
  if path.is_dir():
    found = [p for s in _SUFFIXES for p in sorted(path.glob(f"*{s}"))]
  return remote.fetch(found[0]) if len(found) == 1 else None


def open(
  path: str | os.PathLike, config: Mapping[str, Any] | None = None
) -> Checkpoint:
  """Opens a checkpoint of any format and checks all names and shapes.

  Args:
    path: file, or a folder with one.
    config: a `model_config`; None takes the checkpoint's own.

  Raises:
    FileNotFoundError: nothing there, or no config.
    ValueError: no MoGe-2, or damaged; tensors missing, extra or of another
      shape, all listed; a config that cannot be built.
  """
  kind = detect(path)
  if kind is None:
    raise ValueError(
      f"{path}: no MoGe-2 checkpoint; expected model.pt with model_config and "
      "model, or .safetensors, or .npz, or a folder with one of these"
    )
  file = _file(remote.path(path))
  if kind == "moge-pt":
    content = torch_file.load(file)
    config = config or content[_CONFIG]
    return adopt(_state(file, content[_STATE]), config, kind, str(file))
  config = config or _config(file, kind, path)
  if kind == "moge-safetensors":
    return adopt(safetensors.read(file), config, kind, str(file))
  params = npz.read(file)
  shapes = {name: x.shape for name, x in params.items()}
  what = f"{file} does not fit its config"
  tree.check(_shapes(config), shapes, what=what)
  return Checkpoint(params, dict(config), kind)


def _state(file, state):
  if not isinstance(state, dict):
    raise ValueError(
      f"{file}: {_STATE} is a {type(state).__name__}, expected a dict of "
      "tensors"
    )
  return torch_file.arrays(state, f"{file}: {_STATE}")


def _config(file, kind, given) -> dict:
  """What the file says of itself, or a config.json beside what was given."""
  if kind == "moge-npz":
    text = npz.text(file, _CONFIG)
  else:
    text = safetensors.metadata(file).get(_CONFIG)
  if text is not None:
    return _parse(text, f"{file}: {_CONFIG}")
  given = remote.path(given)
  path = (given if given.is_dir() else given.parent) / _CONFIG_FILE
  if not path.exists():
    raise FileNotFoundError(
      f"{path}: needed, the weights do not tell their heads; copy the model's "
      "config there or name one with --config-from"
    )
  return read_config(path)


def read_config(path: str | os.PathLike) -> dict:
  """A `model_config` from a JSON file, or of a released model by its name.

  Raises:
    ValueError: not JSON, or no dict.
  """
  if not remote.path(path).exists() and path in variants.NAMES:
    return variants.config(path)
  return _parse(remote.path(path).read_text(), path)


def _parse(text, what) -> dict:
  try:
    content = json.loads(text)
    return dict(content.get(_CONFIG, content))
  except (ValueError, TypeError, AttributeError) as error:
    raise ValueError(f"{what}: not a config ({error})") from None


def adopt(
  theirs: lazy.Arrays, config: Mapping[str, Any], kind: str, what: str
) -> Checkpoint:
  """The checkpoint that a state dict and a config make.

  Args:
    theirs: {their name: array}.
    config: the `model_config`.
    kind: one of FORMATS.
    what: where they are from; first words of errors.

  Raises:
    ValueError: see `open`.
  """
  params = moge.to_ours(theirs, config, _shapes(config), what)
  return Checkpoint(params, dict(config), kind)


def _shapes(config) -> dict[str, tuple[int, ...]]:
  shapes = tree.flatten(variants.param_shapes(config))
  return {name: tuple(x.shape) for name, x in shapes.items()}


def format_of(path: str | os.PathLike, kind: str | None = None) -> str:
  """The format to write at `path`: `kind`, or told from the name.

  Raises:
    ValueError: unknown, or at odds with the name.
  """
  suffix = pathlib.PurePath(path).suffix
  fits = [_SUFFIXES[suffix]] if suffix in _SUFFIXES else list(FORMATS)
  if kind is None and len(fits) == 1:
    return fits[0]
  if kind not in fits:
    said = "name one with --to" if kind is None else f"got --to {kind}"
    raise ValueError(f"{path} could be {', '.join(fits)}: {said}")
  return kind


def save(
  path: str | os.PathLike,
  found: Checkpoint,
  kind: str | None = None,
  *,
  dtype: str | None = None,
) -> None:
  """Writes a checkpoint beside `path`, then renames it there.

  Args:
    path: a file, or a folder to hold one; must not exist.
    found: what to write.
    kind: one of FORMATS; None tells it from the name.
    dtype: see `lazy.cast`.

  Raises:
    FileExistsError: `path` is there already.
    ValueError: a name that tells no format.
  """
  kind = format_of(path, kind)
  params = lazy.cast(found.params, dtype)
  with beside.writing(path) as partial:
    file = partial
    if pathlib.PurePath(path).suffix not in _SUFFIXES:
      partial.mkdir()
      text = json.dumps(found.config, indent=2)
      (partial / _CONFIG_FILE).write_text(text + "\n")
      suffix = next(s for s, name in _SUFFIXES.items() if name == kind)
      file = partial / f"model{suffix}"
    _write(file, kind, params, found.config)


def _write(file, kind, params, config) -> None:
  text = {_CONFIG: json.dumps(config)}
  if kind == "moge-npz":
    return npz.write(file, params, text)
  theirs = moge.to_theirs(params, config)
  if kind == "moge-safetensors":
    return safetensors.write_file(file, theirs, text)
  content = {_CONFIG: dict(config), _STATE: torch_file.tensors(theirs)}
  torch_file.save(file, content)


def load(
  path: str | os.PathLike,
  dtype: str | None = None,
  config: Mapping[str, Any] | None = None,
) -> tuple[dict, dict]:
  """Returns (config, params as a nested dict of numpy arrays).

  Args:
    path, config: see `open`.
    dtype: "float32", "bfloat16" or "float16"; None keeps the file's.
  """
  found = open(path, config)
  arrays = lazy.cast(found.params, dtype)
  params = tree.unflatten({n: np.asarray(x) for n, x in arrays.items()})
  return found.config, params
