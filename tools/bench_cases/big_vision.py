"""big_vision's own PaliGemma-2 training step, from a checkout of it.

BIG_VISION_DIR names the checkout. Model, optimizer and sharding rules are its
own code; loss and update, which its trainer holds inside its main function, are
written here after what that does (google-research/big_vision,
trainers/proj/paligemma/train.py): log-softmax times one-hot targets over all
text positions, mean over tokens, then over rows, and norms of gradients,
parameters and updates.
"""

import importlib
import os
import pathlib
import sys
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

# As big_vision's own configs shard PaliGemma, and name its activations.
_SHARDING = [(".*", 'fsdp(axis="data")')]
ACTIVATIONS = [("act_batch", ("data",))]


def load():
  """Puts the checkout on the path.

  It imports TensorFlow for files, which a step reads none of: an empty module
  stands in for it.

  Raises:
    ValueError: BIG_VISION_DIR is not set, or no checkout.
  """
  folder = os.environ.get("BIG_VISION_DIR", "")
  if not (pathlib.Path(folder) / "big_vision" / "models" / "ppp").is_dir():
    raise ValueError(
      f"BIG_VISION_DIR={folder}: expected a checkout of "
      "github.com/google-research/big_vision"
    )
  sys.path.insert(0, folder)
  importlib.import_module("flax.io")  # looks whether TensorFlow is there
  names = ("tensorflow", "tensorflow.io", "tensorflow.io.gfile")
  empty = {name: types.ModuleType(name) for name in names}
  empty["tensorflow"].io = empty["tensorflow.io"]
  empty["tensorflow.io"].gfile = empty["tensorflow.io.gfile"]
  before = {name: sys.modules.get(name) for name in names}
  sys.modules.update(empty)
  importlib.import_module("big_vision.utils")
  for name, module in before.items():
    if module is None:
      del sys.modules[name]
    else:
      sys.modules[name] = module


def lower(devices, variant: str, rows: int, length: int, px: int, frozen):
  """The lowered update of a data-parallel, fully sharded run.

  Args:
    devices: of the topology.
    variant: of its Gemma, "gemma2_2b".
    rows: of the batch, over all devices.
    length: tokens of a row of text.
    px: pixels of a side.
    frozen: regex of names that are not trained.
  """
  grid = jax.sharding.Mesh(np.array(devices), ("data",))
  model = importlib.import_module(
    "big_vision.models.proj.paligemma.paligemma"
  ).Model(
    img={"variant": "So400m/14", "pool_type": "none", "scan": True},
    llm={"vocab_size": 257_152, "variant": variant},
  )
  batch = _batch(rows, length, px)
  with jax.set_mesh(grid), nn.logical_axis_rules(ACTIVATIONS):
    params = jax.eval_shape(lambda: _init(model, _batch(1, length, px)))
    tx, cfg = _optimizer(params, frozen)
    state = {"params": params, "opt": jax.eval_shape(tx.init, params)}
    sharding = importlib.import_module("big_vision.sharding")
    layout = sharding.infer_sharding(state, _SHARDING, grid)
    spread = jax.sharding.PartitionSpec("data")
    step = jax.jit(
      _update(model, tx, cfg),
      donate_argnums=0,
      out_shardings=(layout, jax.NamedSharding(grid, jax.P())),
    )
    whole = jax.tree.map(_placed, state, layout)
    rows_of = jax.NamedSharding(grid, spread)
    batch = {name: _placed(x, rows_of) for name, x in batch.items()}
    return step.lower(whole, batch)


def _placed(x, sharding):
  return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)


def _batch(rows, length, px):
  words = jax.ShapeDtypeStruct((rows, length), jnp.int32)
  image = jax.ShapeDtypeStruct((rows, px, px, 3), jnp.float32)
  return {
    "image": image,
    "text": words,
    "mask_ar": words,
    "mask_loss": words,
  }


def _init(model, batch):
  zeros = {name: jnp.zeros(x.shape, x.dtype) for name, x in batch.items()}
  seen = (zeros["text"][:, :-1], zeros["mask_ar"][:, :-1])
  rngs = {"params": jax.random.key(0), "dropout": jax.random.key(0)}
  variables = model.init(rngs, zeros["image"], *seen)
  return nn.unbox(variables["params"])


def _optimizer(params, frozen):
  """Adam with decay and clipping, at a constant rate."""
  cfg = ml_collections.ConfigDict()
  cfg.optax_name, cfg.lr, cfg.wd, cfg.grad_clip_norm = (
    "scale_by_adam",
    2e-5,
    2e-6,
    1.0,
  )
  constant = {"decay_type": "cosine", "warmup_steps": 10}
  cfg.schedule = [(frozen, None), (".*", constant)]
  module = importlib.import_module("big_vision.optax")
  return module.make(cfg, params, sched_kw={"total_steps": 1000})[0], cfg


def _update(model, tx, cfg):
  module = importlib.import_module("big_vision.optax")

  def loss_of(params, batch):
    logits, _ = model.apply(
      {"params": params},
      batch["image"],
      batch["text"][:, :-1],
      batch["mask_ar"][:, :-1],
      train=True,
      rngs={"dropout": jax.random.key(0)},
    )
    targets = jax.nn.one_hot(batch["text"][:, 1:], logits.shape[-1])
    likely = jnp.sum(jax.nn.log_softmax(logits) * targets, axis=-1)
    mask = batch["mask_loss"][:, 1:]
    of_row = jnp.sum(likely * mask, axis=-1)
    return -jnp.mean(of_row / jnp.clip(jnp.sum(mask, axis=-1), 1))

  def norm(tree):
    return jnp.sqrt(sum(jnp.sum(x * x) for x in jax.tree.leaves(tree)))

  def update(state, batch):
    loss, grads = jax.value_and_grad(loss_of)(state["params"], batch)
    updates, opt = tx.update(grads, state["opt"], state["params"])
    params = optax.apply_updates(state["params"], updates)
    trained = module.replace_frozen(cfg.schedule, grads, 0.0)
    norms = {"grads": trained, "params": params, "updates": updates}
    out = {name: norm(tree) for name, tree in norms.items()}
    return {"params": params, "opt": opt}, out | {"loss": loss}

  return update
