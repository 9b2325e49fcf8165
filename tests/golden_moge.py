"""The MoGe-2 fixture as a model, its parameters and its arrays."""

import json

import jax
import numpy as np

from hispatial_jax.core import tree
from hispatial_jax.moge import checkpoint
from hispatial_jax.weights import lazy, rename


def config(golden) -> dict:
  """The fixture's `model_config`, with the backbone it was made with."""
  folder = golden / "moge2"
  found = json.loads((folder / "config.json").read_text())
  meta = json.loads((folder / "meta.json").read_text())
  found["encoder"]["backbone"] = meta["tiny_backbone"]
  return found


def state(golden) -> dict[str, np.ndarray]:
  """The reference's state dict."""
  with np.load(golden / "moge2" / "weights.npz") as data:
    return {n: data[n] for n in data.files if n != "config_json"}


def params(golden) -> dict:
  """Our parameters, nested."""
  theirs = {n: lazy.of(x) for n, x in state(golden).items()}
  found = checkpoint.adopt(theirs, config(golden), "moge-pt", "golden")
  return tree.unflatten({n: np.asarray(x) for n, x in found.params.items()})


def arrays(golden, file) -> dict[str, np.ndarray]:
  """All arrays of a file of the fixture."""
  with np.load(golden / "moge2" / file) as data:
    return dict(data)


def run_module(stored, name, module, rows):
  """(ours, the reference's) output of a module of modules.npz, NHWC.

  Args:
    stored: content of modules.npz.
    name: of the module there.
    module: ours.
    rows: its table, our names beginning with `m/`.
  """
  prefix = f"{name}/weights/"
  theirs = {
    n.removeprefix(prefix): lazy.of(x)
    for n, x in stored.items()
    if n.startswith(prefix)
  }
  x = stored[f"{name}/x"].transpose(0, 2, 3, 1)
  init = jax.eval_shape(module.init, jax.random.key(0), x)["params"]
  shapes = {f"m/{n}": leaf.shape for n, leaf in tree.flatten(init).items()}
  found = {n: x.shape for n, x in theirs.items()}
  tree.check(rename.their_shapes(shapes, rows), found, what=name)
  ours = rename.to_ours(theirs, rows, shapes)
  nested = tree.unflatten({n: np.asarray(x) for n, x in ours.items()})
  with jax.default_matmul_precision("highest"):
    y = jax.jit(module.apply)({"params": nested["m"]}, x)
  return np.asarray(y), stored[f"{name}/y"].transpose(0, 2, 3, 1)
