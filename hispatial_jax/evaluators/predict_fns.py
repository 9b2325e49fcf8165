"""What evaluators call: compiled functions of (params, this host's rows)."""

import functools

import jax

from hispatial_jax.core import mesh
from hispatial_jax.models import decode
from hispatial_jax.models import loss as loss_lib


def make(model, grid) -> dict:
  """What evaluators call: name -> fn(params, host batch) -> host arrays.

  Both take this process's rows and return this process's rows.
  """

  def loss(params, batch):
    return loss_lib.next_token_loss(model, params, batch)[1]

  def generate(params, batch, **options):
    return decode.generate(model, params, batch, **options)

  @functools.cache
  def compiled(fn, options):
    return jax.jit(
      functools.partial(fn, **dict(options)),
      out_shardings=mesh.named(mesh.BATCH, grid),
    )

  def on_mesh(fn):
    def call(params, batch, **options):
      arrays = {k: x for k, x in batch.items() if hasattr(x, "dtype")}
      run = compiled(fn, tuple(sorted(options.items())))
      out = run(params, mesh.put_batch(arrays, grid))
      return jax.tree.map(mesh.local_rows, out)

    return call

  return {"loss": on_mesh(loss), "generate": on_mesh(generate)}
