"""Parameters in an npz file, as big_vision writes them; bfloat16 survives."""

from typing import Any

import ml_dtypes
import numpy as np
from etils import epath

from hispatial_jax.core import tree


def save(path, params) -> None:
  """Writes params as big_vision does: one entry a leaf, "params/a/b/c".

  bfloat16 leaves become 2-byte void entries (V2), which is how released
  PaliGemma-2 files hold them. The file appears only when it is whole.
  """
  path = epath.Path(path)
  partial = path.parent / f".{path.name}.partial"
  leaves = tree.flatten(params)
  with partial.open("wb") as f:
    np.savez(f, **{f"params/{k}": _storable(v) for k, v in leaves.items()})
  partial.replace(path)


def load(path) -> dict[str, Any]:
  """Reads an npz of parameters, names with or without "params/".

  V2 entries are bfloat16. Of a big_vision checkpoint with optimizer state only
  what lies under "params/" is taken.

  Raises:
    FileNotFoundError, ValueError: no such file; not an npz.
  """
  path = epath.Path(path)
  leaves = {}
  with path.open("rb") as f:
    try:
      archive = np.load(f, allow_pickle=False)
      names = archive.files
    except (OSError, ValueError, AttributeError) as error:
      raise ValueError(f"{path} is not a readable npz file: {error}") from error
    rooted = [name for name in names if name.startswith("params/")]
    for name in rooted or names:
      x = archive[name]
      bf16 = x.dtype.kind == "V" and x.dtype.itemsize == 2
      leaf = x.view(ml_dtypes.bfloat16) if bf16 else x
      leaves[name.removeprefix("params/")] = leaf
  return tree.unflatten(leaves)


def _storable(leaf):
  x = np.asarray(leaf)
  return x.view("V2") if x.dtype == ml_dtypes.bfloat16 else x
