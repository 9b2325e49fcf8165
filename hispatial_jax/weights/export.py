"""Checkpoints written in any format, and the proof of a round trip.

    export.save("out.npz", source.open("paligemma2-3b-pt-448"))

Formats are those of `source`; all are made by the rows that read them.
"""

import json
import os
import pathlib

import numpy as np
import orbax.checkpoint as ocp

from hispatial_jax.core import tree
from hispatial_jax.weights import (
  adapters,
  beside,
  configs,
  hispatial,
  lazy,
  npz,
  paligemma,
  rename,
  safetensors,
  source,
)


def format_of(path: str | os.PathLike, kind: str | None) -> str:
  """The format to write at `path`: `kind`, or told from the name.

  Raises:
    ValueError: unknown, ambiguous, or at odds with the name.
  """
  suffix = pathlib.PurePath(path).suffix
  fits = {
    ".npz": ["npz"],
    ".pt": ["hispatial"],
    ".safetensors": ["huggingface", "hispatial-safetensors"],
  }.get(suffix, source.FORMATS[1:])
  if kind is None and len(fits) == 1:
    return fits[0]
  if kind not in fits:
    said = "name one with --to" if kind is None else f"got --to {kind}"
    raise ValueError(f"{path} could be {', '.join(fits)}: {said}")
  return kind


def save(
  path: str | os.PathLike,
  found: source.Checkpoint,
  kind: str | None = None,
  *,
  dtype: str | None = None,
  max_shard_bytes: int = 5 << 30,
) -> None:
  """Writes a checkpoint beside `path`, then renames it there.

  Args:
    path: file or folder; must not exist.
    found: what to write.
    kind: one of source.FORMATS; None tells it from the name.
    dtype: see `lazy.cast`.
    max_shard_bytes: of one safetensors file in a folder.

  Raises:
    FileExistsError: `path` is there already.
    ValueError: the format cannot hold these parameters, adapters say.
  """
  kind = format_of(path, kind)
  params = lazy.cast(found.params, dtype)
  suffix = pathlib.PurePath(path).suffix
  with beside.writing(path) as partial:
    if kind == "npz":
      npz.write(partial, params)
    elif kind == "orbax":
      _write_orbax(partial, params, found.config)
    else:
      _write_theirs(partial, suffix, kind, found, params, max_shard_bytes)


def _write_orbax(folder, params, config) -> None:
  """One step, as training writes it; all of it in memory at once."""
  whole = tree.unflatten({name: np.asarray(x) for name, x in params.items()})
  ocp.PyTreeCheckpointer().save((folder / "params").absolute(), whole)
  write_json(folder / source.CONFIG, {"model": config})
  # Without it orbax takes the folder, once in a bucket, for half a checkpoint.
  (folder / "commit_success.txt").write_text("whole\n")


def _write_theirs(path, suffix, kind, found, params, max_shard_bytes) -> None:
  """A folder with config.json, or only the weights where a file is asked."""
  if adapters.any_in(params):
    raise ValueError(
      f"{kind} has no room for adapters: merge them first (adapters.merge), or "
      "write npz or orbax"
    )
  fused = found.config["pointmap"] is not None
  if fused != (kind != "huggingface"):
    raise ValueError(
      f"{kind} {'has no room for' if fused else 'needs'} a point map, and this "
      f"checkpoint has {'one' if fused else 'none'}; formats that fit: "
      + ("npz, orbax, hispatial" if fused else "npz, orbax, huggingface")
    )
  rows = hispatial.ROWS if fused else paligemma.ROWS
  size = found.config["llm"]["vocab_size"]
  surplus = paligemma.SURPLUS if size == paligemma.VOCAB_SIZE else 0
  theirs = rename.to_theirs(params, rows, surplus)
  if suffix == ".pt":
    return hispatial.write(path, theirs)
  if suffix == ".safetensors":
    return safetensors.write_file(path, theirs)
  path.mkdir()
  if kind == "hispatial":
    hispatial.write(path / source.WEIGHTS, theirs)
  else:
    safetensors.write_folder(path, theirs, max_shard_bytes)
  config = configs.to_huggingface(found.config, surplus)
  write_json(path / source.CONFIG, config)


def write_json(path: pathlib.Path, content: dict) -> None:
  """Writes a config."""
  path.write_text(json.dumps(content, indent=2) + "\n")


def difference(a: source.Checkpoint, b: source.Checkpoint) -> tuple[float, str]:
  """(largest difference of any number, the name where it is).

  Raises:
    ValueError: names or shapes differ (all listed).
  """
  tree.check(
    {name: x.shape for name, x in a.params.items()},
    {name: x.shape for name, x in b.params.items()},
    what="the two checkpoints hold other parameters",
  )
  worst, where = 0.0, ""
  for name in sorted(a.params):
    gap = lazy.difference(a.params[name], b.params[name])
    if not gap <= worst:
      worst, where = gap, name
  return worst, where
