"""What a mesh does to one update; prints a JSON line.

    python tests/train_mesh_driver.py TOKENIZER DCNxDATAxFSDPxTENSOR ACCUMULATE

Counts the sharding constraints in the lowered update, then runs two. More
arguments are overrides of the config.
"""

import json
import sys

import jax
import jax.numpy as jnp
import train_driver

from hispatial_jax import program, start
from hispatial_jax.core import config, mesh, step, tokenizer


def main(words, sizes, accumulate, *overrides):
  """Prints losses, the number of constraints and of sharded leaves."""
  recipe = f"tests/train_config.py:tokenizer={words}"
  # Words that four devices can share.
  overrides = ["model.llm.vocab_size=1472", *overrides]
  cfg = config.Watched(config.load(recipe, overrides))
  words = tokenizer.load(words)
  model_cfg = start.model_config(cfg.model, words)
  sizes = map(int, sizes.split("x"))
  grid = mesh.make(**dict(zip(mesh.AXES, sizes, strict=True)))
  with mesh.use(grid):
    made = program.build(cfg, model_cfg, grid)
    opt, layout = made.opt, made.layout
    state = start.initial_state("", 0, model_cfg, opt, layout)
    trainable = opt.split(layout["params"])[0]
    update = step.make(
      program.loss_function(made.model, cfg.loss),
      opt,
      accumulate=int(accumulate),
      layout=trainable,
    )
    update = jax.jit(update, out_shardings=(layout, None))
    batches = train_driver.Batches(
      None,
      tokenizer=None,
      batch_size=mesh.rows_here(16, grid),
      process_index=jax.process_index(),
      process_count=jax.process_count(),
    )
    losses = []
    for _ in range(2):
      batch = next(batches)
      batch.pop("ids")
      batch = mesh.put_batch(batch, grid)
      text = update.lower(state, batch).as_text()
      state, out = update(state, batch)
      losses.append([float(out["loss"]), float(out["grad_norm"])])
  sharded = [x for x in jax.tree.leaves(layout["params"]) if any(x.spec)]
  print(
    json.dumps(
      {
        "losses": losses,
        "moments": [float(jnp.linalg.norm(x)) for x in _moments(state)],
        "constraints": text.count("sdy.sharding_constraint"),
        "trainable": len(jax.tree.leaves(trainable)),
        "sharded": len(sharded),
        "batch": len(batch),
        "devices": jax.device_count(),
      }
    )
  )


def _moments(state):
  """Sums of the gradients and of their squares, leaf by leaf."""
  return [x for x in jax.tree.leaves(state["opt"]) if x.ndim]


if __name__ == "__main__":
  main(*sys.argv[1:])
