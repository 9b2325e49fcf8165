"""Batches to the accelerator and rows back, exact with any number of hosts."""

import json

import jax
import numpy as np
from jax.experimental import multihost_utils

from hispatial_jax.core import mesh

NOT_ARRAYS = ("qa", "ids")


def split(batch: dict) -> tuple[dict, list]:
  """A batch of the pipeline -> (arrays, per row its QA dict or None).

  `qa` holds one QA-like dict a row, in row order; padding at the end may lack
  one. Rows whose `_mask` is False give None. `ids`, one a row, is put into
  the QA dicts that have no "id".

  Raises:
    ValueError: fewer QA dicts than real rows.
  """
  arrays = {k: v for k, v in batch.items() if k not in NOT_ARRAYS}
  real = np.asarray(arrays["_mask"], bool)
  infos, ids = list(batch["qa"]), list(batch.get("ids", ()))
  if len(infos) < real.sum() or not real[: real.sum()].all():
    raise ValueError(
      f"batch of {real.sum()} real rows with {len(infos)} qa dicts: expected "
      "one a row, and padding only at the end"
    )
  out = []
  for i, used in enumerate(real):
    info = infos[i] if used else None
    if info is not None and "id" not in info and i < len(ids):
      info = {**info, "id": ids[i]}
    out.append(info)
  return arrays, out


def call(function, params, arrays: dict, put=None) -> dict:
  """function(params, batch), this process's rows of it, as numpy.

  Args:
    function: jitted, (params, batch of global arrays) -> dict of [B, ...].
    params: global arrays.
    arrays: host-local numpy batch [B_host, ...].
    put: host batch -> global batch, say `mesh.put_batch`; None: as it is.

  Returns:
    dict of numpy [B_host, ...] in the order of `arrays`.
  """
  n = len(arrays["_mask"])
  number = np.arange(n, dtype=np.int32) + n * jax.process_index()
  batch = {**arrays, "_row": number}
  batch = put(batch) if put else batch
  # Meshes may interleave hosts: each row travels with its number.
  at = np.asarray(mesh.to_host(batch.pop("_row")))
  out = mesh.to_host(function(params, batch))
  place = {int(row): i for i, row in enumerate(at)}
  mine = [place[int(row)] for row in number]
  return {name: np.asarray(x)[mine] for name, x in out.items()}


def prompts(arrays: dict, length: int | None = None) -> dict:
  """The same batch with the answers taken out, ready to decode.

  Prompt tokens are those with mask_ar 0 that are no padding and no answer;
  they stand at the left.

  Args:
    arrays: training batch: text, mask_ar, mask_input, mask_loss i32[B,T].
    length: cut or pad to so many positions; None keeps T.
  """
  keep = (arrays["mask_ar"] == 0) & (arrays["mask_input"] == 1)
  if "mask_loss" in arrays:
    keep &= arrays["mask_loss"] == 0
  used = keep.sum(1, keepdims=True)
  left = np.arange(keep.shape[1])[None] < used
  if (keep != left).any():
    raise ValueError("prompts must stand at the left, one question a row")
  text = np.where(keep, arrays["text"], 0)
  out = {k: v for k, v in arrays.items() if k not in ("mask_loss", "segments")}
  for name, x in (
    ("text", text),
    ("mask_ar", np.where(keep, 0, 1)),
    ("mask_input", keep),
  ):
    x = x.astype(np.int32)
    if length is not None:
      missing = max(0, length - x.shape[1])
      fill = 1 if name == "mask_ar" else 0
      x = np.pad(x, ((0, 0), (0, missing)), constant_values=fill)[:, :length]
    out[name] = x
  return out


def bucket(arrays: dict, step: int = 16) -> int:
  """Longest prompt of all hosts' batches, rounded up to a multiple of step.

  Few lengths mean few compilations; short prompts cost less than padding.
  """
  longest = int(prompts(arrays)["mask_input"].sum(1).max())
  if jax.process_count() > 1:
    longest = int(multihost_utils.process_allgather(np.int32(longest)).max())
  return -(-longest // step) * step


def gather(items: list) -> list:
  """Concatenates every process's list of JSON values, known to all."""
  if jax.process_count() == 1:
    return items
  raw = json.dumps(items).encode()
  size = int(multihost_utils.process_allgather(np.int32(len(raw))).max())
  padded = np.frombuffer(raw.ljust(size), np.uint8)
  parts = multihost_utils.process_allgather(padded)
  return [item for part in parts for item in json.loads(part.tobytes())]
