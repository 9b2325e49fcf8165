"""What evaluators call: compiled functions of (params, this host's rows)."""

import functools
from collections.abc import Callable

import jax
from jax.sharding import Mesh

from hispatial_jax.core import devices, mesh
from hispatial_jax.models import decode
from hispatial_jax.models import loss as loss_lib


def make(
  model,
  grid: Mesh,
  *,
  before: Callable[[], None] = lambda: None,
  tpu_options=(),
) -> dict[str, Callable]:
  """{"loss", "generate"}: fn(params, host batch, **options) -> host arrays.

  Both take this process's rows and return this process's rows. Options are
  those of models.decode.generate; each set of them is compiled once.

  Args:
    model: hispatial.Model.
    grid: the mesh that params lie on.
    before: called before each batch; it may raise to leave the evaluation.
    tpu_options: of the recipe, see `programs`.
  """

  def on_mesh(program):
    def call(params, batch, **options):
      before()
      arrays = {k: x for k, x in batch.items() if hasattr(x, "dtype")}
      run = program(**options)
      out = run(params, mesh.put_batch(arrays, grid))
      return jax.tree.map(mesh.local_rows, out)

    return call

  made = programs(model, grid, tpu_options)
  return {name: on_mesh(program) for name, program in made.items()}


def programs(model, grid: Mesh, tpu_options=()) -> dict[str, Callable]:
  """{"loss", "generate"}: fn(**options) -> jitted fn(params, batch).

  Args:
    model: hispatial.Model.
    grid: the mesh.
    tpu_options: (name, value) of the TPU compiler; without the train step's,
      decoding would move weights in as many pieces as there are devices.
  """

  def loss(params, batch):
    return loss_lib.next_token_loss(model, params, batch)[1]

  def generate(params, batch, **options):
    return decode.generate(model, params, batch, **options)

  @functools.cache
  def compiled(fn, **options):
    return jax.jit(
      functools.partial(fn, **options),
      out_shardings=mesh.named(mesh.BATCH, grid),
      compiler_options=devices.compiler_options(tpu_options, grid),
    )

  return {
    fn.__name__: functools.partial(compiled, fn) for fn in (loss, generate)
  }
