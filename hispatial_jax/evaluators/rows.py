"""Eval batches taken apart, and rows of all hosts put together."""

from collections.abc import Callable

import jax
import numpy as np
from jax.experimental import multihost_utils

from hispatial_jax.core import mesh
from hispatial_jax.data import pipeline

NOT_ARRAYS = ("qa", "ids", "index")


def split(batch: dict) -> tuple[dict, list]:
  """A batch of `pipeline.eval_batches` -> (arrays, infos).

  Infos hold for each row its question, with the record's "id" and "index" in
  the split; None for padding.
  """
  arrays = {k: v for k, v in batch.items() if k not in NOT_ARRAYS}
  infos = []
  for row, used in enumerate(np.asarray(arrays["_mask"], bool)):
    of = {"id": batch["ids"][row], "index": batch["index"][row]}
    infos.append({**batch["qa"][row], **of} if used else None)
  return arrays, infos


def batches(data: dict, *, tokenizer, batch_size: int, mode: str) -> Callable:
  """() -> iterable of this process's share of the pipeline's eval batches.

  Args:
    data: what `pipeline.eval_batches` reads: the records, split, pp, seed.
    tokenizer: of the model.
    batch_size: of all processes together.
    mode: "loss" or "generate".

  Raises:
    ValueError: the processes do not divide batch_size.
    FileNotFoundError: no records.
  """
  hosts = jax.process_count()
  if batch_size % hosts:
    raise ValueError(f"batch_size={batch_size} is no multiple of {hosts} hosts")
  # Opened now, so that what is wrong with it is said before hours of training.
  found = pipeline.eval_batches(
    data,
    tokenizer=tokenizer,
    batch_size=batch_size // hosts,
    process_index=jax.process_index(),
    process_count=hosts,
    mode=mode,
  )
  return lambda: found


def prompts(arrays: dict, length: int | None = None) -> dict:
  """The same batch with the answers taken out, ready to decode.

  Prompt tokens are those with mask_ar 0 that are no padding and no answer;
  they stand at the left.

  Args:
    arrays: training batch: text, mask_ar, mask_input, mask_loss i32[B,T].
    length: cut or pad to so many positions; None keeps T.
  """
  keep = _is_prompt(arrays)
  used = keep.sum(1, keepdims=True)
  left = np.arange(keep.shape[1])[None] < used
  if (keep != left).any():
    raise ValueError("prompts must stand at the left, one question a row")
  text = np.where(keep, arrays["text"], 0)
  out = {k: v for k, v in arrays.items() if k != "mask_loss"}
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


def _is_prompt(arrays: dict) -> np.ndarray:
  """bool[B,T]: the question's tokens."""
  keep = (arrays["mask_ar"] == 0) & (arrays["mask_input"] == 1)
  if "mask_loss" in arrays:
    keep &= arrays["mask_loss"] == 0
  return keep


def bucket(arrays: dict, step: int = 16) -> int:
  """Longest prompt of all hosts' batches, rounded up to a multiple of step.

  Few lengths mean few compilations; short prompts cost less than padding.
  """
  longest = int(_is_prompt(arrays).sum(1).max())
  if jax.process_count() > 1:
    longest = int(multihost_utils.process_allgather(np.int32(longest)).max())
  return -(-longest // step) * step


def gather(items: list) -> list:
  """Concatenates every process's list of JSON values, known to all."""
  return [item for part in mesh.gather_json(items) for item in part]
