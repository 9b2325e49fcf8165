"""Where activations lie when a mesh is set: the batch axis over all devices."""

import math

import jax

from hispatial_jax.core import mesh


def shard_batch(x: jax.Array) -> jax.Array:
  """Asks the compiler to split axis 0 of `x` over the mesh's batch axes.

  Without this the compiler may follow the sharded parameters and replicate the
  batch. It does nothing when no mesh is set (`jax.set_mesh`), or when the batch
  does not divide, as with the single example of `Model.init`.

  Args:
    x: [B, ...] any activation.

  Returns:
    `x`, constrained to PartitionSpec(mesh.AXES).
  """
  grid = jax.sharding.get_abstract_mesh()
  axes = tuple(name for name in mesh.AXES if name in grid.axis_names)
  if not axes or x.shape[0] % math.prod(grid.shape[name] for name in axes):
    return x
  return jax.lax.with_sharding_constraint(x, jax.sharding.PartitionSpec(axes))
