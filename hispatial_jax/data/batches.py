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


def of_examples(
  examples: list[dict[str, Any] | None], per_image: int, like: dict[str, Any]
) -> Batch:
  """Training: B images, and `per_image` rows of text for each.

  An example with fewer rows is filled up; those rows have `_mask` False.

  Args:
    examples: None where a record could not be used: its image and points are
      zeros, its id is None, all its rows padding.
    per_image: R.
    like: an example of the sizes that the others have.
  """
  blank = _blank(like)
  full = [blank if example is None else example for example in examples]
  batch = _pictures(full)
  lengths = {example["text"].shape[1] for example in full}
  if len(lengths) > 1:
    raise ValueError(
      f"texts of several lengths {sorted(lengths)}: the parts need one T of"
      " tokenize(T)"
    )
  fill = text.blank(per_image, lengths.pop())
  counts = np.array([len(example["text"]) for example in full])
  for key in _OF_TEXT:
    padded = [
      np.concatenate([example[key], fill[key][count:]])
      for example, count in zip(full, counts, strict=True)
    ]
    batch[key] = np.concatenate(padded)
  batch["_mask"] = (np.arange(per_image) < counts[:, None]).reshape(-1)
  batch["ids"] = [example["id"] for example in full]
  return batch


def _blank(like) -> dict[str, Any]:
  """An example without a question, its pictures zeros."""
  blank = {"id": None, **text.blank(0, like["text"].shape[1])}
  for key in ("image", "points"):
    if key in like:
      blank[key] = np.zeros_like(like[key])
  return blank


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
  with_points = {"points" in example for example in examples}
  if len(with_points) > 1:
    raise ValueError(
      "some parts give points, others none: use points(S) in all"
    )
  if with_points == {True}:
    batch["points"] = np.stack([example["points"] for example in examples])
  return batch
