"""Held-out loss: sums over unpadded rows, exact, by level."""

import functools

import jax
import numpy as np
import pytest
import tiny

from hispatial_jax.core import mesh
from hispatial_jax.evaluators import predict_fns, qa_loss
from hispatial_jax.models import hispatial, sizes

_T = 6


def _batches(n, batch_size):
  """Row r is of level r % 3 and has 1 + r % 4 answer tokens."""
  for start in range(0, n, batch_size):
    rows = np.arange(start, start + batch_size)
    kept = np.minimum(rows, n - 1)
    mask = np.arange(_T)[None] > _T - 2 - (kept % 4)[:, None]
    real = rows < n
    yield {
      "text": np.tile(kept[:, None], (1, _T)).astype(np.int32),
      "mask_loss": mask.astype(np.int32),
      "_mask": real,
      "qa": [
        {"level": int(r % 3)} if ok else None
        for r, ok in zip(kept, real, strict=True)
      ],
      "ids": ["x"] * batch_size,
      "index": [0] * batch_size,
    }


def _loss(params, batch):
  """Token t of row r costs r / 7; it is right in even rows."""
  row = batch["text"][:, 1:]
  mask = batch["mask_loss"][:, 1:] * batch["_mask"][:, None]
  return {
    "nll": (row / 7).astype(np.float32),
    "correct": row % 2 == 0,
    "mask": mask.astype(np.float32),
  }


def _evaluate(n, batch_size, **options):
  batches = functools.partial(_batches, n, batch_size)
  fns = {"loss": _loss}
  return dict(qa_loss.Evaluator(fns, batches=batches, **options).run(None))


@pytest.mark.parametrize("batch_size", [1, 5, 32])
def test_sums_do_not_depend_on_the_batch_size(batch_size):
  got = _evaluate(23, batch_size)
  r = np.arange(23)
  tokens = 1 + r % 4
  nll = tokens * (r / 7).astype(np.float32).astype(np.float64)
  assert got["n"] == 23
  assert got["loss"] == pytest.approx(nll.sum() / tokens.sum(), rel=1e-12)
  even = tokens[r % 2 == 0].sum() / tokens.sum()
  assert got["token_accuracy"] == pytest.approx(even)
  for level in range(3):
    at = r % 3 == level
    want = nll[at].sum() / tokens[at].sum()
    assert got[f"loss/level{level}"] == pytest.approx(want, rel=1e-12)
  assert "loss/level3" not in got


def test_general_questions_have_no_level():
  def batches():
    for batch in _batches(6, 6):
      yield batch | {"qa": [{"level": level} for level in (0, 3, -1, 3, -1, 0)]}

  fns = {"loss": _loss}
  got = dict(qa_loss.Evaluator(fns, batches=batches).run(None))
  # Row r has 1 + r % 4 tokens of r / 7 each.
  assert got["loss/level3"] == pytest.approx((2 * 1 + 4 * 3) / 7 / 6)
  assert got["loss/general"] == pytest.approx((3 * 2 + 1 * 4) / 7 / 4)
  assert got["token_accuracy/general"] == 1


def test_a_subset_and_nothing():
  assert _evaluate(23, 5, max_batches=2)["n"] == 10
  with pytest.raises(ValueError, match="no question"):
    dict(qa_loss.Evaluator({"loss": _loss}, batches=list).run(None))


def test_the_model_s_own_loss_through_the_mesh():
  cfg, length = tiny.config(), 8
  example = sizes.example_batch(cfg, 5, length)
  rng = np.random.default_rng(0)
  text = rng.integers(5, 60, (5, length)).astype(np.int32)
  mask_ar = np.tile(np.arange(length) > 3, (5, 1)).astype(np.int32)
  batch = {k: np.asarray(v) for k, v in example.items()}
  batch |= {"text": text, "mask_ar": mask_ar, "mask_loss": mask_ar}
  info = {"qa": [{"level": 1}] * 5, "ids": ["x"] * 5, "index": [0] * 5}
  whole = {**batch, "_mask": np.ones(5, bool), **info}
  # The same rows, the last three of them padding.
  part = {**whole, "_mask": np.arange(5) < 2}
  rest = {k: np.roll(v, -2, 0) for k, v in batch.items()}
  rest = {**rest, "_mask": np.arange(5) < 3, **info}
  grid = mesh.make(devices=jax.devices()[:1])
  with mesh.use(grid):
    fns = predict_fns.make(hispatial.Model(**cfg), grid)

    def run(batches):
      evaluator = qa_loss.Evaluator(fns, batches=lambda: batches)
      return dict(evaluator.run(tiny.params()))

    one, two = run([whole]), run([part, rest])
  assert one["n"] == two["n"] == 5
  assert one["loss"] == pytest.approx(two["loss"], rel=1e-5)
  assert one["token_accuracy"] == two["token_accuracy"]
