"""Model FLOPs: the hand count beside the products in the traced step."""

import pathlib

import jax
import jax.numpy as jnp
import pytest

from hispatial_jax import program
from hispatial_jax.core import config, mesh, traced, tree
from hispatial_jax.models import flops, hispatial, loss, sizes

_ROOT = pathlib.Path(__file__).parent.parent


def _traced(cfg, length, frozen=(), rows=1):
  """FLOPs of the products in loss and gradient, per row."""
  shapes = sizes.param_shapes(cfg)
  held = tree.masks(shapes, list(frozen))
  model = hispatial.Model(**cfg)
  side = cfg["img"]["image_size"]
  batch = program.batch_shapes(rows, length, side, _one())

  def step(params, batch):
    def of(trained):
      whole = {**tree.flatten(params), **trained}
      return loss.next_token_loss(model, tree.unflatten(whole), batch, chunk=0)

    flat, flags = tree.flatten(params), tree.flatten(held)
    trained = {k: x for k, x in flat.items() if not flags[k]}
    return jax.grad(of, has_aux=True)(trained)

  jaxpr = jax.make_jaxpr(step)(shapes, batch)
  return traced.flops(jaxpr.jaxpr) / rows, held


def _one():
  return mesh.make(devices=jax.devices()[:1])


@pytest.mark.parametrize(
  ("frozen", "points"),
  [((), True), (("img/(?!head/).*",), False), (("llm/.*",), True)],
)
def test_the_real_3b_within_one_percent(frozen, points):
  options = {"pointmap": None} if not points else {}
  cfg = sizes.config("3b_224", dtype="bfloat16", **options)
  traced, held = _traced(cfg, 48, frozen)
  trained = flops.trained_parts(tree.flatten(held))
  counted = flops.of_sample(cfg, 48, trained=trained)
  # Traced without the choice of what to compute again.
  assert traced == pytest.approx(sum(counted.values()), rel=0.01)


@pytest.mark.parametrize("heads", [True, False])
def test_adapters_beside_a_frozen_model_within_one_percent(heads):
  # Few words, and a rank that weighs.
  llm = {"lora": {"rank": 256}, "vocab_size": 256}
  cfg = sizes.config("3b_224", dtype="bfloat16", llm=llm)
  trained = "(?!.*lora_[ab]|img/head/|pointmap/)" if heads else "(?!.*lora_)"
  traced, held = _traced(cfg, 48, (f"{trained}.*",))
  parts = flops.trained_parts(tree.flatten(held))
  assert ("llm/adapters" in parts, "llm" in parts) == (True, False)
  counted = flops.of_sample(cfg, 48, trained=parts)
  assert traced == pytest.approx(sum(counted.values()), rel=0.01)
  # Weights without a gradient: forward, and back to what is before them.
  plain = flops.of_sample({**cfg, "llm": {**cfg["llm"], "lora": None}}, 48)
  assert counted["layers"] == plain["layers"] * 2 / 3
  assert counted["adapters"] > 0.1 * counted["layers"]
  assert plain["adapters"] == 0


def test_the_papers_sample():
  """Some 16.4 TFLOP at 448 px with 128 tokens, the tower frozen."""
  cfg = config.load(f"{_ROOT}/configs/hispatial_3b.py:length=128")
  shapes = sizes.param_shapes(cfg.model.to_dict())
  held = tree.flatten(tree.masks(shapes, list(cfg.optim.freeze)))
  trained = flops.trained_parts(held)
  assert trained == flops.trained_parts({k: False for k in held}) - {"img"}
  found = flops.of_sample(cfg.model.to_dict(), 128, trained=trained)
  assert sum(found.values()) == pytest.approx(16.4e12, rel=0.01)
  # S = 1024 + 127 rows of 26 layers, by hand.
  layer = 2 * 2304 * 2048 + 2 * 2304 * 1024 + 3 * 2304 * 9216
  assert found["layers"] == 3 * 26 * 2 * 1151 * layer
  assert found["attention"] == 3 * 26 * 2 * 2 * 1151**2 * 2048
  assert found["loss"] == 3 * 2 * 127 * 257_152 * 2304
  some = flops.of_sample(
    cfg.model.to_dict(), 128, loss_tokens=32, trained=trained
  )
  assert some["loss"] == found["loss"] * 32 / 127


def test_forward_alone():
  cfg = sizes.config("toy", llm={"vocab_size": 512})
  forward = flops.of_sample(cfg, 16, trained=frozenset())
  step = flops.of_sample(cfg, 16)
  assert step["layers"] == 3 * forward["layers"]
  assert step["image tower"] > 2 * forward["image tower"]
  assert forward["point map"] > 0
  assert jnp.isfinite(sum(step.values()))


def test_the_work_of_a_step_is_that_of_its_rows():
  cfg = config.load(str(_ROOT / "tests" / "train_config.py"))
  model_cfg = cfg.model.to_dict()
  model_cfg["llm"]["vocab_size"] = 64
  with mesh.use(_one()) as grid:
    made = program.build(cfg, model_cfg, grid)
  trained = flops.trained_parts(tree.flatten(made.opt.frozen))
  sample = flops.of_sample(model_cfg, 12, trained=trained)
  assert "img" not in trained  # a frozen tower costs one pass
  assert made.work(8, 12) == {
    "examples": 8,
    "tokens": 8 * (4 + 11),
    "flops": pytest.approx(8 * sum(sample.values())),
  }
