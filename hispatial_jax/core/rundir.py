"""What lies in a work directory, and reading it without its run.

    WORKDIR/config.json, WORKDIR/tokenizer.model
    WORKDIR/checkpoints/STEP/{params,opt,iterator}     see checkpoint.Run

    params = rundir.load_params(workdir)     # or a step, or an .npz
    config = rundir.load_config(workdir)     # or a step

Only the parameters are read, into numpy or into shards on any topology.
"""

import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from hispatial_jax.core import npz, remote, seal, tree

CHECKPOINTS = "checkpoints"
CONFIG = "config.json"
TOKENIZER = "tokenizer.model"
_HIDING = {"drop_points": "zeros", "relative_depth": "relative"}


def load_params(path, *, shardings=None):
  """Parameters from a work directory, one of its steps, or an .npz file.

  Args:
    path: WORKDIR (its newest step), WORKDIR/checkpoints[/STEP] or FILE.npz.
    shardings: nested dict of jax.sharding.Sharding; None for numpy arrays.

  Returns:
    Nested dict without a leading "params".

  Raises:
    FileNotFoundError: nothing of that kind is there.
    ValueError: files of the parameters are damaged; says which.
  """
  path = remote.path(path)
  if path.suffix == ".npz":
    params = npz.load(path)
    if shardings is not None:
      params = jax.tree.map(jax.device_put, params, shardings)
    return params
  folder = step_folder(path)
  if wrong := seal.damaged(folder, below="params/"):
    raise ValueError(
      f"checkpoint {folder} is damaged: {'; '.join(wrong[:3])}; name another"
      " step of its work directory"
    )
  saved = _saved(folder)
  if shardings is None:
    args = {k: ocp.RestoreArgs(restore_type=np.ndarray) for k in saved}
  else:
    layout = tree.flatten(shardings)
    args = {k: ocp.ArrayRestoreArgs(sharding=layout[k]) for k in saved}
  wanted = ocp.args.PyTreeRestore(restore_args=tree.unflatten(args))
  folder = remote.absolute(folder)
  got = _reader().restore(folder, ocp.args.Composite(params=wanted))
  return got["params"]


def step_folder(path) -> epath.Path:
  """The folder of one step: path itself, or the newest one below it.

  Raises:
    FileNotFoundError: there is none; says what was looked for.
  """
  path = remote.path(path)
  if (path / "params").exists():
    return path
  for folder in (path / CHECKPOINTS, path):
    if folder.is_dir():
      steps = [
        int(p.name)
        for p in folder.iterdir()
        if p.name.isdigit() and ocp.utils.is_checkpoint_finalized(p)
      ]
      if steps:
        return folder / str(max(steps))
  raise FileNotFoundError(
    f"no checkpoint at {path}: expected a work directory with "
    f"{CHECKPOINTS}/STEP, one of its steps, or a file NAME.npz"
  )


def check_names(step_dir, params) -> None:
  """Compares names and shapes of a checkpoint with those wanted.

  Raises:
    ValueError: listing every missing, surplus or wrong-shaped parameter.
  """
  saved = tree.unflatten(_saved(epath.Path(step_dir)))
  try:
    tree.merge(params, saved)
  except ValueError as error:
    raise ValueError(
      f"checkpoint {step_dir} belongs to another config than this run's; use "
      f"its own config or another --workdir:\n{error}"
    ) from None


def into(shapes):
  """orbax's request for arrays of these shapes, dtypes and shardings."""
  args = jax.tree.map(
    lambda x: ocp.ArrayRestoreArgs(
      sharding=x.sharding, global_shape=x.shape, dtype=x.dtype
    ),
    shapes,
  )
  return ocp.args.PyTreeRestore(item=shapes, restore_args=args)


def save_config(workdir, config: Mapping[str, Any]) -> None:
  """Writes config.json (process 0 alone)."""
  if jax.process_index() == 0:
    text = json.dumps(config, indent=2, default=repr)
    (epath.Path(workdir) / CONFIG).write_text(text + "\n")


def load_config(path) -> dict[str, Any]:
  """config.json of the work directory that `path` is or lies in."""
  path = remote.path(path)
  for folder in (path, path.parent, path.parent.parent):
    if (folder / CONFIG).exists():
      return json.loads((folder / CONFIG).read_text())
  raise FileNotFoundError(f"no {CONFIG} in {path} or the two folders above it")


def hidden_points(config: dict) -> dict[str, bool]:
  """What a model did not see of the points: {"zeros", "relative"}.

  Every pp string of its recipe then holds drop_points, or relative_depth.

  Args:
    config: of config.json.
  """
  recipe = [s for s in _strings(config.get("data", {})) if "points(" in s]
  return {
    key: bool(recipe) and all(op in s for s in recipe)
    for op, key in _HIDING.items()
  }


def _strings(value) -> list[str]:
  """All texts inside nested dicts and lists."""
  if isinstance(value, str):
    return [value]
  parts = value.values() if isinstance(value, dict) else value
  if not isinstance(value, dict | list | tuple):
    return []
  return [text for part in parts for text in _strings(part)]


def _reader():
  """Reads the params of a step's folder."""
  handler = ocp.CompositeCheckpointHandler(
    params=ocp.PyTreeCheckpointHandler(),
    opt=ocp.PyTreeCheckpointHandler(),
    iterator=ocp.JsonCheckpointHandler(),
  )
  return ocp.Checkpointer(handler)


def _saved(step_dir):
  """Flat dict name -> metadata (shape, dtype) of the params of a step."""
  meta = _reader().metadata(remote.absolute(step_dir))
  return tree.flatten(meta.item_metadata["params"].tree)
