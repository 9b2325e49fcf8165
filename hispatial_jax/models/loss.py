"""Next-token loss on the answers.

Axis letters are those of `models/hispatial.py`.
"""

import jax
import jax.numpy as jnp


def next_token_loss(
  model, params, batch, *, reduce="tokens", max_loss_tokens=None
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

  Returns:
    (f32 scalar, aux of per-token values: "nll" f32[B,T-1], "correct"
    bool[B,T-1] whether the largest logit is right, "mask" f32[B,T-1] which of
    them count).

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
  targets = batch["text"][:, 1:]
  mask = batch["mask_loss"][:, 1:].astype(jnp.float32)
  if "_mask" in batch:
    mask *= batch["_mask"][:, None].astype(jnp.float32)

  def score(x, targets):
    return _scores(model.apply({"params": params}, x, method="logits"), targets)

  if max_loss_tokens is None or max_loss_tokens >= targets.shape[1]:
    nll, correct = score(x, targets)
  else:
    nll, correct = _at_most(max_loss_tokens, score, x, targets, mask)
  aux = {"nll": nll, "correct": correct, "mask": mask}
  return _mean(nll, mask, reduce), aux


def _scores(logits, targets):
  """f32[B,T,V] logits, targets -> nll f32[B,T], correct bool[B,T]."""
  chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
  nll = jax.nn.logsumexp(logits, axis=-1) - chosen
  return nll, jnp.argmax(logits, axis=-1) == targets


def _at_most(count, score, x, targets, mask):
  """Scores the masked positions only, the first `count` of each row."""
  where = jnp.argsort(mask == 0, axis=1, stable=True)[:, :count]
  x = jnp.take_along_axis(x, where[..., None], axis=1)
  nll, correct = score(x, jnp.take_along_axis(targets, where, axis=1))
  lost = jnp.sum(mask, axis=1, keepdims=True) > count
  nll = jnp.where(lost, jnp.nan, nll)

  def put(values):
    return jnp.put_along_axis(
      jnp.zeros(targets.shape, values.dtype), where, values, 1, inplace=False
    )

  return put(nll), put(correct)


def _mean(nll, mask, reduce):
  if reduce == "tokens":
    return jnp.sum(nll * mask) / jnp.maximum(jnp.sum(mask), 1.0)
  per_row = jnp.sum(nll * mask, axis=1) / jnp.maximum(mask.sum(axis=1), 1.0)
  rows = jnp.sum(jnp.any(mask > 0, axis=1)).astype(jnp.float32)
  return jnp.sum(per_row) / jnp.maximum(rows, 1.0)
