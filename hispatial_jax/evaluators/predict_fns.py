"""What evaluators call: compiled functions of (params, this host's rows)."""

import functools
from collections.abc import Callable

import jax
from jax.sharding import Mesh

from hispatial_jax.core import mesh
from hispatial_jax.models import decode
from hispatial_jax.models import loss as loss_lib


def make(
  model, grid: Mesh, *, before: Callable[[], None] = lambda: None
) -> dict[str, Callable]:
  """{"loss", "generate"}: fn(params, host batch, **options) -> host arrays.

  Both take this process's rows and return this process's rows. Options are
  those of models.decode.generate; each set of them is compiled once.

  Args:
    model: hispatial.Model.
    grid: the mesh that params lie on.
    before: called before each batch; it may raise to leave the evaluation.
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
      before()
      arrays = {k: x for k, x in batch.items() if hasattr(x, "dtype")}
      run = compiled(fn, tuple(sorted(options.items())))
      out = run(params, mesh.put_batch(arrays, grid))
      return jax.tree.map(mesh.local_rows, out)

    return call

  return {"loss": on_mesh(loss), "generate": on_mesh(generate)}
