"""Held-out teacher-forced loss and token accuracy, by level.

    evaluator = qa_loss.Evaluator(
      predict_fns, tokenizer=words, batch_size=64, dir="...", pp="..."
    )
    dict(evaluator.run(params))   # {"loss": ..., "token_accuracy": ..., ...}

Sums are taken in float64 over the unpadded rows of all processes.
"""

from collections.abc import Callable, Iterator

import numpy as np

from hispatial_jax.core import mesh
from hispatial_jax.evaluators import rows

# General questions are of level -1: the last place.
_NAMES = ("level0", "level1", "level2", "level3", "general")


class Evaluator:
  """Mean loss over answer tokens, exactly over the unpadded rows.

  Args:
    predict_fns: {"loss": fn(params, host batch) -> aux of this host's rows},
      aux nll, correct and mask [B,T-1] as `loss.next_token_loss` gives them.
    tokenizer: of the model.
    batch_size: questions of a batch, over all processes.
    max_batches: stop there, for a subset in the loop; 0 for all.
    batches: () -> iterable of eval batches, instead of `**data`; every
      process must give the same number.
    **data: what `pipeline.eval_batches` reads.
  """

  def __init__(
    self,
    predict_fns: dict,
    *,
    tokenizer=None,
    batch_size: int = 32,
    max_batches: int = 0,
    batches: Callable | None = None,
    **data,
  ):
    self._loss, self._most = predict_fns["loss"], max_batches
    self._batches = batches or rows.batches(
      data, tokenizer=tokenizer, batch_size=batch_size, mode="loss"
    )

  def run(self, params) -> Iterator[tuple[str, float]]:
    """Yields (name, value): loss and token_accuracy, over all and by level.

    Raises:
      ValueError: no question was seen.
    """
    nll = np.zeros(len(_NAMES), np.float64)
    counts = {
      name: np.zeros(len(_NAMES), np.int64)
      for name in ("tokens", "correct", "n")
    }
    for i, batch in enumerate(self._batches()):
      if i == (self._most or None):
        break
      arrays, infos = rows.split(batch)
      aux = self._loss(params, arrays)
      for row, info in enumerate(infos):
        if info is None:
          continue
        here, at = aux["mask"][row] > 0, info["level"]
        nll[at] += aux["nll"][row].astype(np.float64)[here].sum()
        counts["tokens"][at] += here.sum()
        counts["correct"][at] += aux["correct"][row][here].sum()
        counts["n"][at] += 1
    total = mesh.global_sum({"nll": nll, **counts})
    if total["n"].sum() == 0:
      raise ValueError("the evaluation's batches held no question")
    tokens = total["tokens"]
    yield "loss", float(total["nll"].sum() / tokens.sum())
    yield "token_accuracy", float(total["correct"].sum() / tokens.sum())
    for at in np.flatnonzero(tokens):
      yield f"loss/{_NAMES[at]}", float(total["nll"][at] / tokens[at])
      share = total["correct"][at] / tokens[at]
      yield f"token_accuracy/{_NAMES[at]}", float(share)
    yield "n", int(total["n"].sum())
