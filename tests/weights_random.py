"""Small random parameters for the tests of weights and its tools."""

import numpy as np

from hispatial_jax.core import tree
from hispatial_jax.models import sizes


def config(*, pointmap=True, image_size=28, **llm):
  """Arguments of hispatial.Model, a few thousand parameters."""
  tower = {"width": 24, "depth": 2, "mlp_dim": 40}
  return sizes.config(
    "toy",
    img={
      **tower,
      "num_heads": 2,
      "num_outputs": 16,
      "image_size": image_size,
    },
    llm={
      "width": 16,
      "depth": 3,
      "mlp_dim": 20,
      "num_heads": 4,
      "num_kv_heads": 2,
      "head_dim": 8,
      "vocab_size": 50,
      **llm,
    },
    pointmap={"width": 24, "num_outputs": 16, "num_freqs": 2}
    if pointmap
    else None,
  )


def params(cfg, seed=0, dtype=np.float32):
  """Flat {name: array} of random parameters, norm scales included."""
  rng = np.random.default_rng(seed)
  shapes = tree.flatten(sizes.param_shapes(cfg))
  return {
    name: (0.2 * rng.standard_normal(x.shape)).astype(dtype)
    for name, x in shapes.items()
  }
