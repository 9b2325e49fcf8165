"""One head at a time is all heads at once, with a shared cache, too."""

import jax
import jax.numpy as jnp
import numpy as np

from hispatial_jax.models import attention


def test_by_head():
  rows, shared, T, K, G, H = 4, 2, 5, 3, 2, 8
  cached = 3
  keys = iter(jax.random.split(jax.random.key(0), 6))

  def draw(*shape):
    return jax.random.normal(next(keys), shape)

  q = draw(rows, T, K, G, H)
  parts = [
    (draw(shared, cached, K, H), draw(shared, cached, K, H)),
    (draw(rows, T, K, H), draw(rows, T, K, H)),
  ]
  mask = jnp.tril(jnp.ones((rows, T, cached + T), bool), cached)

  def total(attend, q, parts):
    out = attend(q, parts, mask, 5.0)
    return jnp.sum(jnp.sin(out)), out

  both = jax.value_and_grad(total, argnums=(1, 2), has_aux=True)
  run = jax.jit(both, static_argnums=0)
  ways = (attention.attend, attention.attend_by_head)
  results = [run(way, q, parts) for way in ways]
  want, got = map(jax.tree.leaves, results)
  for a, b in zip(want, got, strict=True):
    np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)
  assert np.any(np.asarray(want[1]))
