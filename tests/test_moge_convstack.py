"""Resamplers, residual blocks and stacks: torch's numbers, and by hand."""

import golden_moge
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hispatial_jax.moge import convstack, layers, resample
from hispatial_jax.weights import moge

_BLOCKS = [
  ("none", "none", "relu", 8),
  ("layer_norm", "group_norm", "relu", 64),
  ("group_norm", "layer_norm", "leaky_relu", 12),
  ("instance_norm", "instance_norm", "silu", 8),
  ("none", "group_norm", "elu", 64),
]


@pytest.fixture
def stored(golden):
  return golden_moge.arrays(golden, "modules.npz")


@pytest.mark.parametrize("kind", resample.KINDS)
def test_resamplers_are_torchs(kind, stored):
  module = resample.Resampler(kind, 4, "float32")
  rows = moge.resampler("m", "", kind)
  found, want = golden_moge.run_module(
    stored, f"resampler_{kind}", module, rows
  )
  np.testing.assert_allclose(found, want, atol=1e-5)


@pytest.mark.parametrize(
  ("in_norm", "hidden_norm", "activation", "hidden"), _BLOCKS
)
def test_residual_blocks_are_torchs(
  in_norm, hidden_norm, activation, hidden, stored
):
  name = f"resblock_{in_norm}_{hidden_norm}_{activation}"
  module = layers.ResidualBlock(
    stored[f"{name}/y"].shape[1],
    hidden,
    in_norm,
    hidden_norm,
    activation,
    "float32",
  )
  rows = moge.residual_block("m", "", (in_norm, hidden_norm))
  found, want = golden_moge.run_module(stored, name, module, rows)
  np.testing.assert_allclose(found, want, atol=1e-5)


def test_borders_are_repeated():
  x = jnp.arange(4.0).reshape(1, 2, 2, 1)
  conv = layers.Conv(1, "float32")
  ones = {"kernel": jnp.ones((3, 3, 1, 1)), "bias": jnp.zeros(1)}
  # 0 0 1 1 / 0 0 1 1 / 2 2 3 3 / 2 2 3 3, sums of 3 x 3.
  want = [[9, 12], [15, 18]]
  found = conv.apply({"params": ones}, x)[0, :, :, 0]
  np.testing.assert_allclose(found, want)


def test_doubling_by_hand():
  x = jnp.array([0.0, 4.0]).reshape(1, 1, 2, 1)
  found = resample.double_bilinear(x)
  np.testing.assert_allclose(found[0, :, :, 0], [[0, 1, 3, 4]] * 2, atol=1e-6)


def test_shuffle_puts_four_channels_into_a_cell():
  x = jnp.arange(8.0).reshape(1, 1, 1, 8)
  found = resample.shuffle_pixels(x)
  np.testing.assert_array_equal(found[0, :, :, 0], [[0, 1], [2, 3]])
  np.testing.assert_array_equal(found[0, :, :, 1], [[4, 5], [6, 7]])
  np.testing.assert_array_equal(resample.unshuffle_pixels(found), x)


def _stack(**changes):
  options = {
    "dim_in": (6, 2),
    "dim_res_blocks": (4, 8),
    "dim_out": (None, 3),
    "resamplers": ("bilinear",),
    "num_res_blocks": (0, 1),
    "res_block_in_norm": "none",
    "res_block_hidden_norm": "none",
  }
  return convstack.ConvStack(**options | changes)


def _maps():
  rng = np.random.default_rng(0)
  shapes = [(2, 3, 5, 6), (2, 6, 10, 2)]
  return [rng.standard_normal(s).astype(np.float32) for s in shapes]


def test_what_goes_up_is_not_what_is_given_out():
  stack, maps = _stack(dim_out=(7, 3)), _maps()
  params = jax.jit(stack.init)(jax.random.key(0), maps)["params"]
  outs = jax.jit(stack.apply)({"params": params}, maps)
  assert [x.shape for x in outs] == [(2, 3, 5, 7), (2, 6, 10, 3)]
  other = jax.tree.map(jnp.copy, params)
  other["level_0"]["output"]["bias"] += 1.0
  changed = jax.jit(stack.apply)({"params": other}, maps)
  np.testing.assert_allclose(changed[0], outs[0] + 1, atol=1e-6)
  np.testing.assert_array_equal(changed[1], outs[1])


def test_levels_without_convolutions_pass_maps_on():
  stack, maps = (
    _stack(dim_in=None, dim_out=None, dim_res_blocks=(6, 2)),
    _maps(),
  )
  params = jax.jit(stack.init)(jax.random.key(0), maps)["params"]
  assert set(params["level_0"]) == {"resampler"}
  assert set(params["level_1"]) == {"block_0"}
  outs = jax.jit(stack.apply)({"params": params}, maps)
  np.testing.assert_array_equal(outs[0], maps[0])


def test_numbers_for_all_levels_and_wide_blocks():
  stack = _stack(num_res_blocks=2, dim_times_res_block_hidden=3)
  shapes = jax.eval_shape(stack.init, jax.random.key(0), _maps())["params"]
  for level, dim in (("level_0", 4), ("level_1", 8)):
    block = shapes[level]["block_1"]
    assert block["conv_0"]["kernel"].shape == (3, 3, dim, 3 * dim)
    assert block["conv_1"]["kernel"].shape == (3, 3, 3 * dim, dim)


def test_norms_default_to_the_references():
  stack = convstack.ConvStack(None, (64, 64), None, "nearest")
  maps = [np.zeros((1, n, n, 64), np.float32) for n in (2, 4)]
  shapes = jax.eval_shape(stack.init, jax.random.key(0), maps)["params"]
  names = {"norm_0", "norm_1", "conv_0", "conv_1"}
  assert set(shapes["level_1"]["block_0"]) == names
