"""From examples to batches: rows, stacked to arrays of one size."""

from typing import Any

import numpy as np

from hispatial_jax.pp import image

Batch = dict[str, Any]
_ARRAYS = ("points", "text", "mask_ar", "mask_loss", "mask_input", "segments")


def single_row(example):
  """The row of an example that has one, as all have in training."""
  if len(example["text"]) != 1:
    raise ValueError(
      f"record {example['id']!r} gives {len(example['text'])} rows: in training"
      " a record is one row; use pack(T), or draw_qa(1)|tokenize(T)"
    )
  return split_rows(example)[0]


def split_rows(example) -> list[dict[str, Any]]:
  """An example with text i32[R,T] -> R rows that share its image."""
  qa = [example["qa"]] if "segments" in example else example["qa"]
  return [
    {"example": example, "row": r, "qa": qa[r], "index": example["index"]}
    for r in range(len(example["text"]))
  ]


def stack(rows, batch_size: int, real: int | None = None) -> Batch:
  """Rows -> arrays of batch_size; the last row is repeated as padding."""
  real = len(rows) if real is None else real
  padded = rows + [rows[-1]] * (batch_size - len(rows))
  batch = {"image": _images(padded)}
  for key in _ARRAYS:
    if key in rows[0]["example"]:
      at_row = key != "points"
      batch[key] = np.stack(
        [
          p["example"][key][p["row"]] if at_row else p["example"][key]
          for p in padded
        ]
      )
  batch["_mask"] = np.arange(batch_size) < real
  batch["ids"] = [row["example"]["id"] for row in padded]
  return batch


def _images(rows) -> np.ndarray:
  try:
    return image.normalise(np.stack([r["example"]["image"] for r in rows]))
  except ValueError:
    sizes = sorted({r["example"]["image"].shape for r in rows})
    raise ValueError(
      f"images of several sizes {sizes}: use resize(S)"
    ) from None
