"""What a config compiles to: what frozen parameters cost, what is kept."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import pytest

from hispatial_jax import program, start
from hispatial_jax.core import config, mesh, tree

_ROOT = pathlib.Path(__file__).parent.parent
_ROWS, _LENGTH, _SIDE = 2, 12, 28


def _made(*overrides):
  recipe = str(_ROOT / "tests" / "train_config.py")
  always = ["model.llm.vocab_size=64", "model.img.depth=3"]
  cfg = config.load(recipe, [*always, *overrides])
  model_cfg = {**cfg.model.to_dict(), "dtype": "bfloat16"}
  grid = mesh.make(devices=jax.devices()[:1])
  return program.build(cfg, model_cfg, grid), cfg, model_cfg, grid


def test_frozen_parameters_are_held_as_they_are_read():
  made, _, model_cfg, _ = _made("optim.frozen_dtype=bfloat16")
  state = start.initial_state(
    "", 0, model_cfg, made.opt, made.layout, frozen_dtype="bfloat16"
  )
  frozen = tree.flatten(made.opt.frozen)
  for name, x in tree.flatten(state["params"]).items():
    wanted = jnp.bfloat16 if frozen[name] else jnp.float32
    assert x.dtype == tree.flatten(made.shapes)[name].dtype == wanted, name
  moments = [x for x in jax.tree.leaves(state["opt"]) if x.ndim]
  trained = sum(not held for held in frozen.values())
  assert len(moments) == 2 * trained < 2 * len(frozen)


def _kept(made, cfg, grid):
  """Shapes that the forward pass keeps for the gradient."""
  loss_fn = program.loss_function(made.model, cfg.loss)
  batch = program.batch_shapes(_ROWS, _LENGTH, _SIDE, grid)

  def residuals(params, batch):
    trained, frozen = made.opt.split(params)

    def loss(part):
      return loss_fn(made.opt.join(part, frozen), batch)[0]

    return jax.tree.leaves(jax.vjp(loss, trained)[1])

  return [x.shape for x in jax.eval_shape(residuals, made.shapes, batch)]


@pytest.mark.parametrize("frozen", [True, False])
def test_nothing_of_a_frozen_tower_is_kept(frozen):
  made, cfg, _, grid = _made(*([] if frozen else ["optim.freeze=()"]))
  layers, patches = 3, (_SIDE // 14) ** 2
  of_tower = [s for s in _kept(made, cfg, grid) if s[:1] == (layers,)]
  activations = [s for s in of_tower if {_ROWS, patches} <= set(s)]
  assert bool(activations) == (not frozen)


def test_the_update_is_the_one_that_is_compiled():
  made, _, _, grid = _made("optim.frozen_dtype=bfloat16")
  batch = program.batch_shapes(_ROWS, _LENGTH, _SIDE, grid)
  with mesh.use(grid):
    lowered = made.update.lower(made.state_shapes(), batch)
  compiled = lowered.compile()
  memory = compiled.memory_analysis()
  # The state is updated in place.
  state = sum(
    x.size * x.dtype.itemsize for x in jax.tree.leaves(made.state_shapes())
  )
  assert memory.alias_size_in_bytes == state
  size = functools.partial(jax.tree.map, lambda x: x.dtype)
  assert size(lowered.out_info[0]) == size(made.state_shapes())
