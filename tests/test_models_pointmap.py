"""The frugal point map equals the plain one, gradients included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hispatial_jax.models import pointmap


def _inputs(seed=0, num_freqs=4, width=8, side=28):
  keys = jax.random.split(jax.random.key(seed), 3)
  xyz = 30 * jax.random.normal(keys[0], (2, side, side, 3))
  valid = jax.random.bernoulli(keys[1], 0.8, (2, side, side, 1))
  points = jnp.concatenate([xyz, valid.astype(jnp.float32)], axis=-1)
  shape = (14, 14, 6 * num_freqs + 1, width)
  return points, 0.02 * jax.random.normal(keys[2], shape)


@pytest.mark.parametrize("remat", [True, False])
@pytest.mark.parametrize(("num_freqs", "side"), [(4, 28), (32, 42)])
def test_equals_the_plain_way(remat, num_freqs, side):
  points, kernel = _inputs(num_freqs=num_freqs, side=side)

  def value_and_gradients(embed):
    tokens, pull = jax.vjp(embed, points, kernel)
    return tokens, *pull(jnp.cos(tokens))

  with jax.default_matmul_precision("highest"):
    got = jax.jit(
      lambda: value_and_gradients(
        lambda p, k: pointmap.embed(p, k, remat=remat)
      )
    )()
    want = jax.jit(lambda: value_and_gradients(pointmap.embed_naively))()
  for a, b in zip(got, want, strict=True):
    # float32 sums of some 10,000 terms in another order
    np.testing.assert_allclose(a, b, atol=1e-5 * float(jnp.abs(b).max()))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=20))
def test_sincos(angles):
  exact = np.array(angles, np.float32).astype(np.float64)
  sin, cos = pointmap.sincos(jnp.array(angles, jnp.float32))
  np.testing.assert_allclose(sin, np.sin(exact), atol=3e-7)
  np.testing.assert_allclose(cos, np.cos(exact), atol=3e-7)


def test_encoding_of_one_point():
  got = pointmap.encode(jnp.array([0.5, -2.0, 3.0, 1.0]), 2)
  f = np.array([1.0, 0.01])
  waves = [g(c * f) for c in (0.5, -2.0, 3.0) for g in (np.sin, np.cos)]
  np.testing.assert_allclose(got, [*np.concatenate(waves), 1.0], atol=1e-6)


def test_bfloat16_angles_stay_float32():
  points, kernel = _inputs()
  got = pointmap.embed(points * 10, kernel, dtype="bfloat16")
  want = pointmap.embed_naively(points * 10, kernel)
  assert got.dtype == jnp.bfloat16
  # Rounding 300 m to bfloat16 before the sine would give errors of order 1.
  error = jnp.abs(got.astype(jnp.float32) - want).max() / jnp.abs(want).max()
  assert error < 0.02


def test_head_starts_at_zero():
  model = pointmap.Model(width=8, num_outputs=6, num_freqs=4)
  points, _ = _inputs()
  params = model.init(jax.random.key(0), points)["params"]
  assert params["head"]["kernel"].shape == (8, 6)
  assert "bias" not in params["head"]
  tokens, encoded = model.apply({"params": params}, points)
  assert not tokens.any()
  assert encoded.any()
