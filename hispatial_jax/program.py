"""What a config compiles to: the training program, in shapes.

    with mesh.use(grid):
      made = program.build(cfg, model_cfg, grid)
      state, out = made.update(state, batch)

train.py runs it; dry_run/ compiles it, from `state_shapes` and `batch_shapes`,
for devices that need not be there.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from hispatial_jax.core import devices, layouts, mesh, optim, tree
from hispatial_jax.core import step as step_lib
from hispatial_jax.models import flops, hispatial, mixed, sizes
from hispatial_jax.models import loss as loss_lib


@dataclasses.dataclass(frozen=True)
class Program:
  """What a config makes of a mesh; only shapes, nothing is allocated.

  Attributes:
    model: hispatial.Model.
    shapes: of the parameters, in the dtypes they are held in.
    opt: optim.Optimizer.
    layout: shardings of the state.
    abstract: {"params", "opt_state"}: shapes with their shardings.
    loss_tokens: positions of a row with logits; 0 is all.
    update: compiled fn(state, batch) -> (state, {name: f32[]}); the state
      given is consumed.
  """

  model: Any
  shapes: Any
  opt: optim.Optimizer
  layout: Any
  abstract: Any
  loss_tokens: int
  update: Any

  def state_shapes(self):
    """Shapes of the state, with their shardings."""
    at = self.layout["step"]
    return {
      "params": self.abstract["params"],
      "opt": self.abstract["opt_state"],
      "step": jax.ShapeDtypeStruct((), jnp.int32, sharding=at),
    }

  def work(self, rows: int, length: int) -> dict[str, float]:
    """What a step does, for `speed.Clock.tick`.

    Args:
      rows: of the batch, over all processes.
      length: tokens of a row of text.

    Returns:
      examples; tokens, rows of the language model; flops, the model's.
    """
    img = self.model.img
    side = img["image_size"] // img["patch_size"]
    return {
      "examples": rows,
      "tokens": rows * (side**2 + length - 1),
      "flops": rows * sum(self.sample_flops(length).values()),
    }

  def sample_flops(self, length: int) -> dict[str, float]:
    """Model FLOPs of an example's step, by part; see `flops.of_sample`."""
    towers = {
      name: getattr(self.model, name) for name in ("img", "llm", "pointmap")
    }
    trained = flops.trained_parts(tree.flatten(self.opt.frozen))
    return flops.of_sample(
      towers, length, loss_tokens=self.loss_tokens, trained=trained
    )


def build(cfg, model_cfg, grid) -> Program:
  """The training program of a config; call it under `mesh.use(grid)`.

  Args:
    cfg: the recipe's optim, loss, mesh, tpu_options and total_steps.
    model_cfg: arguments of hispatial.Model.
    grid: the mesh.
  """
  model = hispatial.Model(**model_cfg)
  shapes = sizes.param_shapes(model_cfg)
  opt = optim.build(cfg.optim, shapes, total_steps=cfg.total_steps)
  shapes = held(shapes, opt, cfg.optim["frozen_dtype"])
  layout, abstract = lay_out(cfg.mesh, shapes, opt, grid)
  update = jax.jit(
    step_lib.make(
      loss_function(model, cfg.loss),
      opt,
      accumulate=cfg.optim["accumulate"],
      layout=opt.split(layout["params"])[0],
      value_and_grad=mixed.value_and_grad(model_cfg["dtype"]),
    ),
    donate_argnums=0,
    out_shardings=(layout, None),
    compiler_options=devices.compiler_options(cfg.tpu_options, grid),
  )
  most = cfg.loss["max_tokens"]
  return Program(model, shapes, opt, layout, abstract, most, update)


def batch_shapes(
  batch_size: int, length: int, image_size: int, grid, *, questions: int = 1
) -> dict:
  """Shapes of a training batch, over all devices.

  Args:
    batch_size: rows of all devices together.
    length: tokens of a row of text.
    image_size: pixels of a side.
    grid: the mesh.
    questions: rows of text of each image.
  """
  layout = mesh.named(mesh.BATCH, grid)
  square = (image_size, image_size)
  words = ("text", "mask_ar", "mask_loss", "mask_input")
  shapes = {
    "image": ((*square, 3), jnp.float32),
    "points": ((*square, 4), jnp.float32),
    "_mask": ((), jnp.bool_),
    **{name: ((length,), jnp.int32) for name in words},
  }
  rows = dict.fromkeys(shapes, batch_size * questions)
  rows["image"] = rows["points"] = batch_size
  return {
    name: jax.ShapeDtypeStruct((rows[name], *shape), dtype, sharding=layout)
    for name, (shape, dtype) in shapes.items()
  }


def held(shapes, opt, frozen_dtype):
  """Shapes with the dtype that frozen leaves are held in ("": their own).

  What trains needs its digits: an update is a millionth of a weight. What is
  frozen is only ever read, in the model's dtype.
  """
  if not frozen_dtype:
    return shapes

  def cast(leaf, frozen):
    dtype = frozen_dtype if frozen else leaf.dtype
    return jax.ShapeDtypeStruct(leaf.shape, jnp.dtype(dtype))

  return jax.tree.map(cast, shapes, opt.frozen)


def loss_function(model, cfg):
  """The step.LossFn of a model.

  Args:
    model: hispatial.Model.
    cfg: reduce ("tokens" or "examples"), max_tokens (logits at no more than so
      many positions of a row; 0 for all) and chunk (positions of every row
      whose logits exist at one time; 0 for all).
  """
  reduce, most = cfg["reduce"], cfg["max_tokens"] or None
  chunk = cfg["chunk"]

  def loss_fn(params, batch):
    loss, aux = loss_lib.next_token_loss(
      model, params, batch, reduce=reduce, max_loss_tokens=most, chunk=chunk
    )
    tokens = jnp.sum(aux["mask"])
    right = jnp.sum(aux["mask"] * aux["correct"].astype(jnp.float32))
    rows = jnp.sum(jnp.any(aux["mask"] > 0, axis=1).astype(jnp.float32))
    weight = tokens if reduce == "tokens" else rows
    return loss, {"weight": weight, "tokens": tokens, "correct": right}

  return loss_fn


def lay_out(cfg, shapes, opt, grid):
  """Where params and optimizer state lie on the mesh.

  Returns:
    (shardings of the whole state, {"params", "opt_state"}: shapes with them).
  """
  spread = functools.partial(
    layouts.shardings,
    rules=[tuple(rule) for rule in cfg.rules],
    grid=grid,
    min_bytes=cfg.min_bytes,
  )
  params = spread(shapes)
  state = jax.eval_shape(lambda p: step_lib.init(p, opt), shapes)
  moments = layouts.state_shardings(state["opt"], opt.split(params)[0], grid)
  count = mesh.named(mesh.REPLICATED, grid)

  def put(x, s):
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s)

  abstract = {
    "params": jax.tree.map(put, shapes, params),
    "opt_state": jax.tree.map(put, state["opt"], moments),
  }
  return {"params": params, "opt": moments, "step": count}, abstract
