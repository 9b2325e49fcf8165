"""Sizes, configs, packing, dtypes and remat of the joined model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hispatial_jax.core import tree
from hispatial_jax.models import hispatial, loss, sizes
from hispatial_jax.pp import text

_TOWER = {"width": 16, "depth": 2, "mlp_dim": 24, "num_heads": 2}


def _config(**changes):
  config = sizes.config(
    "toy",
    img={**_TOWER, "num_outputs": 16, "image_size": 28},
    llm={**_TOWER, "num_kv_heads": 1, "head_dim": 8, "vocab_size": 40},
    pointmap={"width": 16, "num_outputs": 16, "num_freqs": 2},
  )
  return {**config, **changes}


def _batch(rows=2, length=9, seed=0):
  rng = np.random.default_rng(seed)
  prefix = np.arange(length) < 4
  return {
    "image": rng.uniform(-1, 1, (rows, 28, 28, 3)).astype(np.float32),
    "points": rng.normal(size=(rows, 28, 28, 4)).astype(np.float32),
    "text": rng.integers(3, 40, (rows, length)).astype(np.int32),
    "mask_ar": np.tile(~prefix, (rows, 1)).astype(np.int32),
    "mask_loss": np.tile(~prefix, (rows, 1)).astype(np.int32),
  }


def _params(config, seed=0):
  """Random parameters; no norm scale, bias or head is zero."""
  shapes = sizes.param_shapes(config)
  leaves, treedef = jax.tree.flatten(shapes)
  keys = jax.random.split(jax.random.key(seed), len(leaves))
  drawn = [
    0.2 * jax.random.normal(k, x.shape)
    for k, x in zip(keys, leaves, strict=True)
  ]
  return jax.tree.unflatten(treedef, drawn)


def _logits(config, params, batch):
  names = ("image", "points", "text", "mask_ar")
  inputs = [batch[name] for name in names]
  apply = jax.jit(hispatial.Model(**config).apply)
  return apply({"params": params}, *inputs)[0]


@pytest.mark.parametrize(
  ("name", "paligemma", "fusion"),
  [
    ("3b_224", 3_032_094_960, 46_233_216),
    ("3b_448", 3_032_979_696, 46_233_216),
    ("3b_896", 3_036_518_640, 46_233_216),
    ("10b_448", 9_663_294_192, 47_707_776),
    ("28b_448", 27_651_076_848, 48_887_424),
  ],
)
def test_parameter_count(name, paligemma, fusion):
  config = sizes.config(name)
  assert sizes.num_params(config) == paligemma + fusion
  without = sizes.config(name, pointmap=None)
  assert sizes.num_params(without) == paligemma
  vision, width = 1152, config["llm"]["width"]
  assert fusion == 14 * 14 * 193 * vision + vision + vision * width


def test_command_line_prints_names_and_total(capsys):
  sizes.main(["3b_448"])
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) == 34 + 3 + 3 + 1
  assert lines[-1].split() == ["total", "3,079,212,912"]


def test_unknown_names_are_told_with_the_nearest():
  with pytest.raises(ValueError, match="did you mean '3b_448'"):
    sizes.config("3b-448")
  with pytest.raises(ValueError, match=r"llm\.widht.*llm\.width.*dtyp"):
    sizes.config("toy", llm={"widht": 3}, dtyp="bfloat16")


def test_wrong_image_size_is_told():
  config = _config()
  batch = _batch()
  batch["image"] = np.zeros((2, 42, 42, 3), np.float32)
  with pytest.raises(ValueError, match=r"expected \(B, 28, 28, 3\)"):
    _logits(config, _params(config), batch)


def test_untrained_fusion_is_paligemma():
  config, batch = _config(), _batch()
  model = hispatial.Model(**config)
  inputs = {k: v for k, v in batch.items() if k != "mask_loss"}
  params = jax.jit(model.init)(jax.random.key(0), **inputs)["params"]
  without = {k: v for k, v in params.items() if k != "pointmap"}
  got = _logits(config, params, batch)
  want = _logits({**config, "pointmap": None}, without, batch)
  np.testing.assert_array_equal(got, want)


def test_points_matter_once_trained():
  config, batch = _config(), _batch()
  params = _params(config)
  far = {**batch, "points": batch["points"] * 2}
  difference = _logits(config, params, batch) - _logits(config, params, far)
  assert jnp.abs(difference).max() > 1e-2


def test_questions_of_one_image_share_its_tokens():
  config = _config(image_sees_text=False)
  params, batch = _params(config), _batch(4)
  for name in ("image", "points"):
    batch[name] = np.repeat(batch[name][:2], 2, axis=0)
  shared = {**batch, **{k: batch[k][::2] for k in ("image", "points")}}
  with jax.default_matmul_precision("highest"):
    got = _logits(config, params, shared)
    want = _logits(config, params, batch)
  np.testing.assert_allclose(got, want, atol=1e-5)
  swapped = {**shared, "image": shared["image"][::-1]}
  assert jnp.abs(_logits(config, params, swapped) - want).max() > 1e-3


def test_an_image_that_sees_no_text_is_another_model():
  config, batch = _config(), _batch()
  params = _params(config)
  blind = _logits({**config, "image_sees_text": False}, params, batch)
  assert jnp.abs(blind - _logits(config, params, batch)).max() > 1e-3


@pytest.mark.parametrize(("rows", "sees"), [(4, True), (3, False)])
def test_rows_of_text_must_fit_the_images(rows, sees):
  config, batch = _config(image_sees_text=sees), _batch(rows)
  for name in ("image", "points"):
    batch[name] = batch[name][:2]
  with pytest.raises(ValueError, match=f"{rows} rows of text for 2 images"):
    _logits(config, _params(config), batch)


def _loss_and_gradient(config, params):
  model = hispatial.Model(**config)

  def value(params):
    return loss.next_token_loss(model, params, _batch())[0]

  return jax.jit(jax.value_and_grad(value))(params)


@pytest.mark.parametrize(
  "changes",
  [
    {"remat": "nothing_saveable"},
    {"remat": "dots_saveable"},
    {"scan_unroll": 2},
  ],
)
def test_remat_and_unrolling_change_nothing(changes):
  config = _config()
  params = _params(config)
  other = {**config}
  for tower in ("img", "llm"):
    other[tower] = {**config[tower], **changes}
  want, grads = _loss_and_gradient(config, params)
  got, got_grads = _loss_and_gradient(other, params)
  np.testing.assert_allclose(got, want, rtol=1e-6)
  for name, x in tree.flatten(grads).items():
    np.testing.assert_allclose(
      tree.flatten(got_grads)[name], x, atol=1e-5, err_msg=name
    )


def test_unknown_remat_is_told():
  config = _config()
  config["llm"] = {**config["llm"], "remat": "dots_savable"}
  with pytest.raises(ValueError, match="did you mean 'dots_saveable'"):
    sizes.param_shapes(config)


def test_bfloat16_computes_close_and_returns_float32():
  config = _config()
  params, batch = _params(config), _batch()
  want = _logits(config, params, batch)
  got = _logits({**config, "dtype": "bfloat16"}, params, batch)
  assert got.dtype == jnp.float32
  # 8 bits of mantissa through four layers
  assert jnp.abs(got - want).max() < 0.1 * jnp.abs(want).max()
  half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
  again = _logits({**config, "dtype": "bfloat16"}, half, batch)
  assert jnp.abs(again - want).max() < 0.1 * jnp.abs(want).max()


def test_norms_and_softmax_are_float32_in_bfloat16():
  config = _config(dtype="bfloat16")
  inputs = {k: v for k, v in _batch().items() if k != "mask_loss"}
  params = _params(config)
  model = hispatial.Model(**config)
  jaxpr = str(jax.make_jaxpr(model.apply)({"params": params}, **inputs))
  for op in ("exp", "rsqrt", "logistic"):
    for line in jaxpr.splitlines():
      if f"= {op} " in line:
        assert "bf16" not in line.split("=")[0], line


def test_loss_positions():
  config = _config()
  params, batch = _params(config), _batch()
  batch["mask_loss"][1, 7:] = 0
  model = hispatial.Model(**config)
  want, full = loss.next_token_loss(model, params, batch)
  got, some = loss.next_token_loss(model, params, batch, max_loss_tokens=5)
  np.testing.assert_allclose(got, want, rtol=1e-6)
  mask = np.asarray(full["mask"])
  assert mask.sum() == 5 + 3
  for name in ("nll", "correct"):
    a, b = (np.asarray(aux[name]) * mask for aux in (full, some))
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
  lost, _ = loss.next_token_loss(model, params, batch, max_loss_tokens=4)
  assert np.isnan(lost)


def test_loss_counts_tokens_or_examples():
  config = _config()
  params, batch = _params(config), _batch(3)
  batch["mask_loss"][1, 6:] = 0
  batch["_mask"] = np.array([True, True, False])
  model = hispatial.Model(**config)
  tokens, aux = loss.next_token_loss(model, params, batch)
  examples, _ = loss.next_token_loss(model, params, batch, reduce="examples")
  nll = np.asarray(aux["nll"])
  first, second = nll[0, 3:], nll[1, 3:5]
  np.testing.assert_allclose(tokens, np.mean([*first, *second]), rtol=1e-5)
  np.testing.assert_allclose(
    examples, (first.mean() + second.mean()) / 2, rtol=1e-5
  )
  with pytest.raises(ValueError, match="expected 'tokens' or 'examples'"):
    loss.next_token_loss(model, params, batch, reduce="mean")


@pytest.mark.parametrize("reduce", ["tokens", "examples"])
@pytest.mark.parametrize("most", [None, 5])
def test_padding_alone_costs_nothing(reduce, most):
  config = _config()
  params, batch = _params(config), _batch()
  for key, value in text.blank(2, 9).items():
    batch[key] = value
  batch["_mask"] = np.array([False, False])
  batch["image"] = np.zeros_like(batch["image"])
  batch["points"] = np.zeros_like(batch["points"])

  def of(params):
    model = hispatial.Model(**config)
    return loss.next_token_loss(
      model, params, batch, reduce=reduce, max_loss_tokens=most
    )[0]

  value, gradient = jax.value_and_grad(of)(params)
  assert value == 0
  for leaf in jax.tree.leaves(gradient):
    assert not np.asarray(leaf).any()
