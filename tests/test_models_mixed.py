"""Gradients in the compute dtype: which, how exact, and where weights go."""

import functools
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hispatial_jax import program
from hispatial_jax.core import config, mesh, optim, step, tree
from hispatial_jax.models import mixed, sizes

_ROOT = pathlib.Path(__file__).parent.parent
_LAYERS = 3
_GRADIENT = mixed.value_and_grad("bfloat16", weights="w")


@functools.cache
def _case(dtype):
  """(optimizer, loss function, parameters, batch) of a tiny model."""
  cfg = config.load(
    str(_ROOT / "tests" / "train_config.py"),
    [
      f"model.dtype={dtype}",
      f"model.llm.depth={_LAYERS}",
      "model.llm.vocab_size=64",
    ],
  )
  model_cfg = cfg.model.to_dict()
  model_cfg["llm"]["remat"] = "mlp_out"
  grid = mesh.make(devices=jax.devices()[:1])
  made = program.build(cfg, model_cfg, grid)
  rng = np.random.default_rng(0)

  def draw(x):
    return jnp.asarray(0.2 * rng.normal(size=x.shape), x.dtype)

  params = jax.tree.map(draw, sizes.param_shapes(model_cfg))
  answer = np.tile(np.arange(9) >= 4, (4, 1))
  batch = {
    "image": rng.uniform(-1, 1, (4, 28, 28, 3)).astype(np.float32),
    "points": rng.normal(size=(4, 28, 28, 4)).astype(np.float32),
    "text": rng.integers(3, 64, (4, 9)).astype(np.int32),
    "mask_ar": answer.astype(np.int32),
    "mask_loss": answer.astype(np.int32),
  }
  return made.opt, program.loss_function(made.model, cfg.loss), params, batch


def test_in_float32_nothing_changes():
  opt, loss_fn, params, batch = _case("float32")
  state = step.init(params, opt)
  plain, ours = (
    jax.jit(step.make(loss_fn, opt, value_and_grad=how))(state, batch)
    for how in (jax.value_and_grad, mixed.value_and_grad("float32"))
  )
  jax.tree.map(np.testing.assert_array_equal, plain, ours)


def test_in_bfloat16_the_layers_matrices_are_rounded():
  opt, loss_fn, params, batch = _case("bfloat16")
  trained, frozen = opt.split(params)

  def loss(part):
    return loss_fn(opt.join(part, frozen), batch)

  ((loss, _), plain), ((same, _), ours) = (
    jax.jit(how(loss, has_aux=True))(trained)
    for how in (jax.value_and_grad, mixed.value_and_grad("bfloat16"))
  )
  np.testing.assert_allclose(loss, same, rtol=1e-3)
  plain, ours = tree.flatten(plain), tree.flatten(ours)
  narrow = {name for name, g in ours.items() if g.dtype == jnp.bfloat16}
  matrices = ("attn/attn_vec_einsum/w", "attn/kv_einsum/w")
  matrices += ("attn/q_einsum/w", "mlp/gating_einsum", "mlp/linear")
  assert narrow == {f"llm/layers/{name}" for name in matrices}
  assert list(ours) == list(plain)
  for name, g in ours.items():
    g, want = np.asarray(g, np.float32), np.asarray(plain[name])
    assert np.abs(want).max() > 0, name
    # Products in bfloat16, which a CPU may or may not round.
    np.testing.assert_allclose(
      g, want, rtol=2**-7, atol=2**-7 * np.abs(want).max(), err_msg=name
    )


def test_the_cast_is_in_the_loop_over_the_layers():
  _, loss_fn, params, batch = _case("bfloat16")
  ours = mixed.value_and_grad("bfloat16")(loss_fn, has_aux=True)
  text = str(jax.make_jaxpr(ours)(params, batch))
  gate = "2,16,32"  # of one layer
  cast = r":bf16\[{}\] = convert_element_type"
  assert re.search(cast.format(gate), text)
  assert not re.search(cast.format(f"{_LAYERS},{gate}"), text)
  # Forward, and again for the gradient.
  barriers = re.findall(rf":f32\[{gate}\] = optimization_barrier", text)
  assert len(barriers) == 2


def test_uses_add_up():
  w = jnp.array([1.0, 1.0 + 2.0**-20])
  x = jnp.array([0.5, 3.0], jnp.bfloat16)

  def fn(params):
    once, again = (params["w"].astype("bfloat16") for _ in range(2))
    return jnp.sum(x * once + again).astype(jnp.float32)

  value, grads = _GRADIENT(fn)({"w": w})
  assert value == 5.5
  assert grads["w"].dtype == jnp.bfloat16
  np.testing.assert_array_equal(grads["w"].astype(jnp.float32), [1.5, 4.0])


def _loss(params, batch):
  loss = jnp.sum(params["w"].astype("bfloat16") * batch["x"])
  return loss.astype(jnp.float32), {"weight": jnp.float32(3)}


def test_an_update_is_made_in_float32():
  cfg = config.load(str(_ROOT / "tests" / "train_config.py"), ["optim.clip=.3"])
  params = {"w": jnp.array([[1.0, -2.0]])}
  opt = optim.build({**cfg.optim, "freeze": []}, params, total_steps=3)
  state = step.init(params, opt)
  batch = {"x": jnp.array([[0.375, -3.0]], jnp.bfloat16)}
  plain, ours = (
    step.make(_loss, opt, value_and_grad=how)(state, batch)
    for how in (jax.value_and_grad, _GRADIENT)
  )
  assert (plain[0]["params"]["w"] != params["w"]).all()
  jax.tree.map(np.testing.assert_array_equal, plain, ours)
  dtypes = functools.partial(jax.tree.map, lambda x: x.dtype)
  assert dtypes(ours) == dtypes(plain)


def test_microbatches_add_up_in_float32():
  grad_fn = _GRADIENT(_loss, has_aux=True)
  batch = {"x": jnp.array([1 + 2.0**-7, 2.0**-10], jnp.bfloat16)}
  _, grads = step.accumulated(grad_fn, {"w": jnp.ones(1)}, batch, 2)
  assert grads["w"].dtype == jnp.float32
  want = (1 + 2.0**-7 + 2.0**-10) / 2
  np.testing.assert_allclose(grads["w"], [want], rtol=1e-6)


def test_a_weight_is_read_in_one_dtype():
  grad_fn = _GRADIENT(lambda params: jnp.sum(params["w"].astype("float32")))
  with pytest.raises(TypeError, match="in bfloat16 is wanted in float32"):
    grad_fn({"w": jnp.ones(2)})
