"""One update: accumulation does not change it, frozen leaves do not move."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hispatial_jax.core import optim, step

_CFG = {
  "lr": 0.1,
  "schedule": "constant",
  "warmup_steps": 0,
  "final": 0.0,
  "b1": 0.9,
  "b2": 0.999,
  "eps": 1e-8,
  "weight_decay": 0.1,
  "clip": 1.0,
  "mu_dtype": "",
  "freeze": ["frozen/.*"],
  "train": [],
  "no_decay": [],
}


def _loss(params, batch):
  y = batch["x"] @ params["frozen"]["w"] @ params["w"]
  weight = jnp.sum(batch["mask"])
  error = jnp.sum(jnp.square(y[:, 0] - batch["y"]) * batch["mask"])
  return error / jnp.maximum(weight, 1.0), {"weight": weight}


def _case():
  rng = np.random.default_rng(0)
  draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
  params = {"frozen": {"w": draw(3, 4)}, "w": draw(4, 1)}
  mask = jnp.array([1, 1, 1, 0, 0, 0, 1, 0], jnp.float32)
  batch = {"x": draw(8, 3), "y": draw(8), "mask": mask}
  return params, batch, optim.build(_CFG, params, total_steps=5)


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_accumulated_update_equals_the_whole(parts):
  params, batch, opt = _case()
  state = step.init(params, opt)
  whole, out = step.make(_loss, opt)(state, batch)
  cut, out_cut = step.make(_loss, opt, accumulate=parts)(state, batch)
  for key in out:
    # Sums in another order.
    np.testing.assert_allclose(out_cut[key], out[key], rtol=1e-6)
  np.testing.assert_allclose(
    cut["params"]["w"], whole["params"]["w"], rtol=1e-6
  )
  # Of what trains, by name; there is one.
  assert [name for name in out if "/" in name] == ["grad_norm/w"]
  np.testing.assert_allclose(out["grad_norm/w"], out["grad_norm"], rtol=1e-6)
  frozen = whole["params"]["frozen"]["w"]
  np.testing.assert_array_equal(frozen, params["frozen"]["w"])
  assert not np.array_equal(whole["params"]["w"], params["w"])
  assert int(whole["step"]) == 1


@pytest.mark.parametrize("parts", [1, 4])
def test_a_batch_without_a_usable_row_does_no_harm(parts):
  params, batch, _ = _case()
  opt = optim.build({**_CFG, "weight_decay": 0.0}, params, total_steps=5)
  state = step.init(params, opt)
  batch = {**batch, "mask": jnp.zeros(8)}
  after, out = step.make(_loss, opt, accumulate=parts)(state, batch)
  assert {key: float(out[key]) for key in ("loss", "grad_norm")} == {
    "loss": 0.0,
    "grad_norm": 0.0,
  }
  np.testing.assert_array_equal(after["params"]["w"], params["w"])
  moments = jax.tree.leaves(after["opt"])
  assert all(np.isfinite(np.asarray(x)).all() for x in moments)


def test_rows_that_do_not_divide():
  params, batch, opt = _case()
  update = step.make(_loss, opt, accumulate=3)
  with pytest.raises(ValueError, match="accumulate=3 must divide"):
    jax.eval_shape(update, step.init(params, opt), batch)
