"""Next-token loss on the answers.

Axis letters are those of `models/hispatial.py`.
"""

import jax.numpy as jnp

from hispatial_jax.models import cross_entropy


def next_token_loss(
  model, params, batch, *, reduce="tokens", max_loss_tokens=None, chunk=32
):
  """Mean negative log-likelihood of the suffix tokens.

  The model sees text[:, :-1] and is asked for text[:, 1:] where mask_loss is 1.
  Logits are softcapped and float32. Rows whose `_mask` is False count nothing.

  Args:
    model: `hispatial.Model`.
    params: its parameters.
    batch: image, points, text, mask_ar, mask_loss and optionally `_mask`
      bool[B]; shapes as in `hispatial.Model`. B counts rows of text here, of
      which several may share an image.
    reduce: "tokens" is the mean over all suffix tokens of the batch together
      (HiSpatial), "examples" the mean over rows of each row's mean
      (big_vision).
    max_loss_tokens: if given, logits are computed at so many positions a row
      only. A row with more suffix tokens makes the loss NaN, never smaller.
    chunk: positions of every row whose logits exist at one time; 0 is all.

  Returns:
    (f32 scalar, aux of per-token values: "nll" f32[B,T-1], "correct"
    bool[B,T-1] whether the largest logit is right, "mask" f32[B,T-1] which of
    them count). The gradient is that of the scalar.

  Raises:
    ValueError: for another `reduce`.
  """
  if reduce not in ("tokens", "examples"):
    raise ValueError(f"reduce is {reduce!r}, expected 'tokens' or 'examples'")
  x, _ = model.apply(
    {"params": params},
    batch["image"],
    batch.get("points"),
    batch["text"][:, :-1],
    batch["mask_ar"][:, :-1],
    method="pre_logits",
  )
  table, softcap = model.apply({"params": params}, method="output_table")
  targets = batch["text"][:, 1:]
  mask = batch["mask_loss"][:, 1:].astype(jnp.float32)
  if "_mask" in batch:
    mask *= batch["_mask"][:, None].astype(jnp.float32)

  def score(x, targets, weights):
    return cross_entropy.weighted(x, table, targets, weights, softcap, chunk)

  weights = _weights(mask, reduce)
  if max_loss_tokens is None or max_loss_tokens >= targets.shape[1]:
    loss, nll, correct = score(x, targets, weights)
  else:
    most = max_loss_tokens
    loss, nll, correct = _at_most(most, score, x, targets, weights)
  return loss, {"nll": nll, "correct": correct, "mask": mask}


def _at_most(count, score, x, targets, weights):
  """Scores the weighted positions only, the first `count` of each row."""
  where = jnp.argsort(weights == 0, axis=1, stable=True)[:, :count]

  def take(values):
    return jnp.take_along_axis(values, where, axis=1)

  x = jnp.take_along_axis(x, where[..., None], axis=1)
  loss, nll, correct = score(x, take(targets), take(weights))
  lost = jnp.sum(weights > 0, axis=1, keepdims=True) > count
  nll = jnp.where(lost, jnp.nan, nll)

  def put(values):
    return jnp.put_along_axis(
      jnp.zeros(targets.shape, values.dtype), where, values, 1, inplace=False
    )

  return jnp.where(jnp.any(lost), jnp.nan, loss), put(nll), put(correct)


def _weights(mask, reduce):
  """What each position's nll weighs in the mean."""
  if reduce == "tokens":
    return mask / jnp.maximum(jnp.sum(mask), 1.0)
  rows = jnp.sum(jnp.any(mask > 0, axis=1)).astype(jnp.float32)
  of_row = jnp.maximum(mask.sum(axis=1, keepdims=True), 1.0)
  return mask / of_row / jnp.maximum(rows, 1.0)
