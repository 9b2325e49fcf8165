"""Convolutions by two roads, and maps that are never made."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hispatial_jax.moge import conv, convstack, linear, resample


def _draw(*shape, seed=0):
  rng = np.random.default_rng(seed)
  return jnp.asarray(rng.standard_normal(shape).astype(np.float32))


def _reference(x, kernel, bias):
  """By nine shifted products, float64."""
  x, kernel, bias = (np.asarray(a, np.float64) for a in (x, kernel, bias))
  H, W = x.shape[1:3]
  x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
  places = [(i, j) for i in range(3) for j in range(3)]
  return bias + sum(
    x[:, i : i + H, j : j + W] @ kernel[i, j] for i, j in places
  )


@pytest.mark.parametrize("way", [conv.winograd, conv.convolve])
@pytest.mark.parametrize("size", [(12, 10), (11, 9), (2, 2), (1, 1), (1, 4)])
@pytest.mark.parametrize("strip", [1, 200, 2**16])
def test_both_ways_are_the_convolution(way, size, strip, monkeypatch):
  monkeypatch.setattr(conv, "_STRIP", strip)
  x, kernel, bias = _draw(3, *size, 4), _draw(3, 3, 4, 5, seed=1), _draw(5)
  want = _reference(x, kernel, bias)
  found = jax.jit(way, static_argnums=0)(None, x, kernel, bias)
  np.testing.assert_allclose(found, want, atol=2e-5)
  residual = _draw(3, *size, 5, seed=2)
  want = _reference(np.maximum(x, 0), kernel, bias) + residual
  found = jax.jit(way, static_argnums=0)(nn.relu, x, kernel, bias, residual)
  np.testing.assert_allclose(found, want, atol=2e-5)


@pytest.mark.parametrize(("platform", "convolves"), [("cpu", 0), ("tpu", 1)])
def test_the_way_is_the_devices(platform, convolves):
  args = _draw(1, 4, 4, 2), _draw(3, 3, 2, 2), _draw(2)
  traced = jax.jit(conv.conv3x3).trace(*args)
  text = traced.lower(lowering_platforms=(platform,)).as_text()
  assert text.count("stablehlo.convolution") == convolves


@pytest.mark.parametrize("way", [conv.winograd, conv.convolve])
def test_few_bits_stay_few(way):
  args = _draw(1, 4, 4, 32), _draw(3, 3, 32, 2, seed=1), _draw(2)
  exact = _reference(*args)
  found = way(None, *(a.astype(jnp.bfloat16) for a in args))
  assert found.dtype == jnp.bfloat16
  assert np.abs(found.astype(jnp.float32) - exact).max() < 0.5


@pytest.mark.parametrize("numbers", [None, 1, 64, 2**18])
def test_strips_do_not_change_a_doubled_map(numbers):
  x, kernel, bias = _draw(2, 6, 4, 8), _draw(3, 3, 8, 5, seed=1), _draw(5)
  given, matrix = _draw(2, 12, 8, 3, seed=2), _draw(3, 5, seed=3)
  want = _reference(resample.double_bilinear(x), kernel, bias)
  want += np.asarray(given @ matrix)
  args = [(x, kernel)], [(given, matrix)], bias
  found = jax.jit(linear.in_strips, static_argnums=0)(numbers, *args)
  np.testing.assert_allclose(found, want, atol=5e-5)


def test_a_doubled_map_and_its_convolution_are_one():
  x, kernel, bias = _draw(2, 3, 4, 8), _draw(3, 3, 8, 5, seed=1), _draw(5)
  want = _reference(resample.double_bilinear(x), kernel, bias)
  found = linear.doubled(x, kernel, bias)
  assert found.features == 5
  np.testing.assert_allclose(found.map(), want, atol=1e-4)


def test_dense_and_sums_of_what_is_not_made():
  x, kernel, bias = _draw(1, 3, 4, 8), _draw(3, 3, 8, 5, seed=1), _draw(5)
  given, weights = _draw(1, 6, 8, 5, seed=2), _draw(5, 2, seed=3)
  whole = _reference(resample.double_bilinear(x), kernel, bias) + given
  want = whole @ weights + 0.5
  made = linear.doubled(x, kernel, bias).plus(linear.of_map(given))
  found = made.dense(weights, jnp.full(2, 0.5))
  np.testing.assert_allclose(found.map(), want, atol=1e-4)


def test_the_last_level_without_blocks_is_linear_and_the_same():
  options = {
    "dim_in": (3, 2, 4),
    "dim_res_blocks": (6, 5, 4),
    "dim_out": (None, None, 2),
    "resamplers": ("nearest", "bilinear"),
    "res_block_in_norm": "none",
    "res_block_hidden_norm": "none",
  }
  shapes = [(1, 2, 3, 3), (1, 4, 6, 2), (1, 8, 12, 4)]
  maps = [_draw(*shape, seed=i) for i, shape in enumerate(shapes)]
  stack = convstack.ConvStack(**options, num_res_blocks=(1, 1, 0))

  def run(key):
    params = stack.init(key, maps)["params"]
    params = jax.tree.map(lambda x: x + 0.1, params)
    return params, stack.apply({"params": params}, maps)[-1].map()

  params, found = jax.jit(run)(jax.random.key(0))
  # The same, level by level, with all maps made.
  x, last = None, params["level_2"]
  for i in range(2):
    level = convstack.Level(
      options["dim_res_blocks"][i],
      True,
      None,
      stack._blocks(i),
      (*stack._step(i)[:3], False),
      "float32",
    )
    apply = jax.jit(level.apply)
    _, x = apply({"params": params[f"level_{i}"]}, x, maps[i])
  x = x + maps[2] @ last["input"]["kernel"] + last["input"]["bias"]
  want = x @ last["output"]["kernel"] + last["output"]["bias"]
  size = np.abs(want).max()
  np.testing.assert_allclose(found, want, atol=1e-5 * size)
  assert stack._step(1)[3]
  assert not stack._step(0)[3]
