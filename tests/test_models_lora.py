"""Adapters: nothing before training, and afterwards a change of the weights."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hispatial_jax.core import tree
from hispatial_jax.models import gemma2, lora, mixed, sizes
from hispatial_jax.weights import adapters, lazy, source

_LORA = {"rank": 3, "alpha": 6.0, "weights": ".*"}


@pytest.fixture(scope="module", autouse=True)
def quick():
  """Most of the time is the compiler's, for programs that run for a blink."""
  jax.config.update("jax_disable_most_optimizations", True)
  yield
  jax.config.update("jax_disable_most_optimizations", False)


def _config(**llm):
  """Arguments of hispatial.Model whose language model is tiny."""
  sizes_of = {"width": 24, "depth": 2, "mlp_dim": 40, "num_heads": 4}
  sizes_of |= {"num_kv_heads": 2, "head_dim": 8, "vocab_size": 50}
  return sizes.config(
    "toy",
    img={"num_outputs": 24},
    llm={**sizes_of, **llm},
    pointmap={"num_outputs": 24},
  )


def _params(cfg, seed=0):
  """Random {name: array} of the language model, adapters and all."""
  shapes = tree.flatten({"llm": sizes.param_shapes(cfg)["llm"]})
  rng = np.random.default_rng(seed)
  return {
    name: (0.3 * rng.normal(size=x.shape)).astype(np.float32)
    for name, x in shapes.items()
  }


def _outputs(cfg, params):
  """[B,T,D] of the language model."""
  model = gemma2.Model(**cfg["llm"])
  x = np.random.default_rng(7).normal(size=(2, 5, 24)).astype(np.float32)
  at = jnp.tile(jnp.arange(5), (2, 1))
  mask = jnp.tril(jnp.ones((2, 5, 5), bool))
  variables = {"params": tree.unflatten(params)["llm"]}
  return jax.jit(model.apply)(variables, x, at, mask)[0]


def test_untrained_adapters_change_nothing():
  cfg, plain = _config(lora=_LORA), _config()
  new = {n for w in lora.AXES for n in lora.names(w)[1:]}
  model = gemma2.Model(**cfg["llm"])
  x, mask = jnp.ones((1, 1, 24)), jnp.ones((1, 1, 1), bool)
  drawn = jax.jit(model.init)(jax.random.key(0), x, mask[0], mask)["params"]
  drawn = tree.flatten({"llm": drawn})
  assert {n for n in drawn if adapters.is_adapter(n)} == new
  assert sum(drawn[n].size for n in new) == lora.num_params(cfg["llm"])
  for name in new:
    assert bool(drawn[name].any()) == name.endswith("a"), name
  both = _params(cfg) | {n: drawn[n] for n in new}
  base = {n: x for n, x in both.items() if n not in new}
  np.testing.assert_array_equal(_outputs(cfg, both), _outputs(plain, base))


def test_adapters_beside_matrices_whose_gradients_are_bfloat16():
  cfg = _config(lora=_LORA)
  shapes = {"llm": sizes.param_shapes(cfg)["llm"]}
  model = gemma2.Model(**cfg["llm"], dtype="bfloat16")
  x, mask = jnp.ones((1, 1, 24)), jnp.ones((1, 1, 1), bool)

  def loss(params):
    outputs, _ = model.apply({"params": params["llm"]}, x, mask[0], mask)
    return jnp.sum(outputs.astype(jnp.float32))

  found = jax.eval_shape(mixed.value_and_grad("bfloat16")(loss), shapes)
  grads = tree.flatten(found[1])
  new = {n: g.dtype for n, g in grads.items() if adapters.is_adapter(n)}
  assert len(new) == 10
  assert set(new.values()) == {jnp.dtype("float32")}
  assert grads["llm/layers/mlp/linear"].dtype == jnp.bfloat16


@pytest.mark.parametrize("gate_apart", [True, False])
def test_merged_says_what_the_adapters_say(gate_apart):
  cfg = _config(lora=_LORA, gate_apart=gate_apart)
  params = _params(cfg)
  arrays = {n: lazy.of(x) for n, x in params.items()}
  merged = adapters.merge(source.Checkpoint(arrays, cfg, "npz"))
  assert merged.config == _config(gate_apart=gate_apart)
  plain = {n: np.asarray(x) for n, x in merged.params.items()}
  apart = _outputs(cfg, params)
  np.testing.assert_allclose(_outputs(merged.config, plain), apart, atol=1e-5)
  # Without any of the five it would say something else.
  for weight in lora.AXES:
    w, _, _ = lora.names(weight)
    assert np.abs(plain[w] - params[w]).mean() > 0.01, weight


def test_a_scale_is_alpha_by_rank():
  (adapter,) = lora.read({**_LORA, "weights": "mlp/linear"}).values()
  assert (adapter.rank, adapter.scale) == (3, 2.0)
  x, a, b = jnp.ones((1, 1, 2)), jnp.ones((3, 2)), jnp.ones((3, 4))
  y = adapter.product("BTF,FD->BTD", x, a, b)
  np.testing.assert_array_equal(y, np.full((1, 1, 4), 2 * 3 * 2.0))
  low = adapter.product("BTF,FD->BTD", x.astype(jnp.bfloat16), a, b)
  assert low.dtype == jnp.bfloat16


def test_some_weights_alone():
  cfg = _config(lora={**_LORA, "weights": "attn/(q|kv)_einsum"})
  names = tree.flatten(sizes.param_shapes(cfg))
  assert {n for n in names if adapters.is_adapter(n)} == {
    f"llm/layers/attn/{w}_einsum/lora_{x}" for w in ("q", "kv") for x in "ab"
  }


def test_rank_zero_is_the_program_without():
  cfgs = _config(), _config(lora={"rank": 0})
  params = _params(cfgs[0])
  traced = [
    jax.make_jaxpr(functools.partial(_outputs, c))(params) for c in cfgs
  ]
  assert str(traced[0]) == str(traced[1])


@pytest.mark.parametrize(
  ("cfg", "message"),
  [
    ({"rnk": 3}, "model.llm.lora: 'rnk' .did you mean 'rank'"),
    ({"rank": -1}, "rank=-1: expected 1 or more"),
    ({"rank": 2, "weights": "q_einsum"}, "none of attn/q_einsum, attn/kv_ein"),
  ],
)
def test_bad_adapters(cfg, message):
  with pytest.raises(ValueError, match=message):
    lora.read(cfg)
