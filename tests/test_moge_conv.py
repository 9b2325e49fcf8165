"""Convolutions by three roads, and maps that are never made."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hispatial_jax.moge import conv, convstack, linear, resample


def _draw(*shape, seed=0):
  rng = np.random.default_rng(seed)
  return jnp.asarray(rng.standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize("strip_bytes", [1, 3000, 7000, 1 << 20])
def test_strips_are_the_convolution(strip_bytes, monkeypatch):
  monkeypatch.setattr(conv, "_STRIP_BYTES", strip_bytes)
  # 11 rows: strips of 1, 2, 5 or all; the last ones overlap.
  x, kernel = conv.pad_edge(_draw(3, 11, 9, 4)), _draw(3, 3, 4, 5, seed=1)
  want = conv.convolve(x, kernel, jnp.float32)
  found = jax.jit(conv.in_strips, static_argnums=2)(x, kernel, jnp.float32)
  np.testing.assert_allclose(found, want, atol=1e-4)


def test_few_channels_out_are_the_convolution():
  x, kernel = conv.pad_edge(_draw(2, 5, 7, 16)), _draw(3, 3, 16, 3, seed=1)
  want = conv.convolve(x, kernel, jnp.float32)
  found = conv.product_first(x, kernel, jnp.float32)
  np.testing.assert_allclose(found, want, atol=1e-4)


def test_sums_may_be_finer_than_the_map():
  x, kernel = _draw(1, 4, 4, 32), _draw(3, 3, 32, 2)
  exact = conv.conv3x3(x, kernel)
  short = [a.astype(jnp.bfloat16) for a in (x, kernel)]
  assert conv.conv3x3(*short).dtype == jnp.bfloat16
  found = conv.conv3x3(*short, jnp.float32)
  assert found.dtype == jnp.float32
  assert 0 < np.abs(found - exact).max() < 0.5


def test_a_doubled_map_and_its_convolution_are_one():
  x, kernel, bias = _draw(2, 3, 4, 8), _draw(3, 3, 8, 5, seed=1), _draw(5)
  want = conv.conv3x3(resample.double_bilinear(x), kernel) + bias
  found = linear.doubled(x, kernel, bias)
  assert found.features == 5
  np.testing.assert_allclose(found.map(), want, atol=1e-4)


def test_dense_and_sums_of_what_is_not_made():
  x, kernel, bias = _draw(1, 3, 4, 8), _draw(3, 3, 8, 5, seed=1), _draw(5)
  given, weights = _draw(1, 6, 8, 5, seed=2), _draw(5, 2, seed=3)
  whole = conv.conv3x3(resample.double_bilinear(x), kernel) + bias + given
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
