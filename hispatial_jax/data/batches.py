"""From examples to batches: arrays of one size, whatever the records give."""

from typing import Any

import numpy as np

from hispatial_jax.pp import image, text

Batch = dict[str, Any]
_OF_TEXT = ("text", "mask_ar", "mask_loss", "mask_input")


def split_rows(example) -> list[dict[str, Any]]:
  """An example with text i32[R,T] -> R rows that share its image."""
  return [
    {"example": example, "row": r, "qa": qa, "index": example["index"]}
    for r, qa in enumerate(example["qa"])
  ]


def of_examples(examples: list[dict[str, Any]], per_image: int) -> Batch:
  """Training: B images, and `per_image` rows of text for each.

  An example with fewer rows is filled up; those rows have `_mask` False.
  """
  batch = _pictures(examples)
  length = examples[0]["text"].shape[1]
  fill = text.blank(per_image, length)
  counts = np.array([len(example["text"]) for example in examples])
  for key in _OF_TEXT:
    padded = [
      np.concatenate([example[key], fill[key][count:]])
      for example, count in zip(examples, counts, strict=True)
    ]
    batch[key] = np.concatenate(padded)
  batch["_mask"] = (np.arange(per_image) < counts[:, None]).reshape(-1)
  batch["ids"] = [example["id"] for example in examples]
  return batch


def of_rows(rows, batch_size: int, real: int) -> Batch:
  """Evaluation: an image for every row; the last is repeated as padding."""
  padded = rows + [rows[-1]] * (batch_size - len(rows))
  batch = _pictures([row["example"] for row in padded])
  for key in _OF_TEXT:
    batch[key] = np.stack([row["example"][key][row["row"]] for row in padded])
  batch["_mask"] = np.arange(batch_size) < real
  batch["ids"] = [row["example"]["id"] for row in padded]
  return batch


def _pictures(examples) -> Batch:
  """image, and points where the operations made them, one an example."""
  sizes = {example["image"].shape for example in examples}
  if len(sizes) > 1:
    raise ValueError(f"images of several sizes {sorted(sizes)}: use resize(S)")
  images = np.empty((len(examples), *sizes.pop()), np.float32)
  for example, out in zip(examples, images, strict=True):
    image.normalise(example["image"], out)
  batch = {"image": images}
  if "points" in examples[0]:
    batch["points"] = np.stack([example["points"] for example in examples])
  return batch
