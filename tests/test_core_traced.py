"""FLOPs counted in a trace."""

import jax
import jax.numpy as jnp

from hispatial_jax.core import traced


def test_flops_count_loops_as_often_as_they_run():
  def function(x, kernel):
    def step(x, _):
      y = jax.lax.platform_dependent(
        x, cpu=lambda x: x, default=lambda x: x @ x
      )
      return x @ x + y, None

    x, _ = jax.lax.scan(step, x, None, length=5)
    image = x.reshape(1, 4, 4, 1)
    return jax.lax.conv_general_dilated(
      image, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )

  jaxpr = jax.make_jaxpr(function)(jnp.ones((4, 4)), jnp.ones((3, 3, 1, 7)))
  found = traced.flops(jaxpr.jaxpr)
  assert found == 5 * 2 * (2 * 4 * 4 * 4) + 2 * 16 * 9 * 7
