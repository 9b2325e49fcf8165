"""Where a run begins: its model's sizes, its first state.

    model_cfg = start.model_config(cfg.model, words)
    with mesh.use(grid):
      made = program.build(cfg, model_cfg, grid)
      state = start.initial_state(
        cfg.init, cfg.seed, model_cfg, made.opt, made.layout
      )

Nothing is allocated before `initial_state`, and that in its shards; a run that
resumes restores into `made.abstract` instead.
"""

import functools
import os

import jax
import numpy as np
from etils import epath

from hispatial_jax import program
from hispatial_jax.core import rundir, storage, tree
from hispatial_jax.core import step as step_lib
from hispatial_jax.models import hispatial, lora, sizes
from hispatial_jax.weights import adapters
from hispatial_jax.weights import source as weights


def model_config(cfg, words) -> dict:
  """Arguments of hispatial.Model; vocab_size 0 means the tokenizer's.

  Raises:
    ValueError: the tokenizer has more words than the model's table.
  """
  out = cfg.plain().to_dict()
  size = out["llm"]["vocab_size"] = out["llm"]["vocab_size"] or words.vocab_size
  if size < words.vocab_size:
    raise ValueError(
      f"model.llm.vocab_size={size}, but the tokenizer has {words.vocab_size} "
      "words: use the tokenizer that belongs to this model"
    )
  return out


def initial_state(source, seed, model_cfg, opt, layout, frozen_dtype=""):
  """State of step 0, made in its shards.

  Args:
    source: "" for random, or a path in any format that weights/ reads.
    seed: of the random parameters; a source without a point map (PaliGemma)
      or adapters keeps theirs, which change nothing yet.
    model_cfg: arguments of hispatial.Model.
    opt: the optimizer.
    layout: shardings of the state.
    frozen_dtype: see `program.held`.

  Raises:
    ValueError: the source does not fit the model; lists all names.
  """
  model = hispatial.Model(**model_cfg)

  def random_params():
    batch = sizes.example_batch(model_cfg)
    params = model.init(jax.random.key(seed), **batch)["params"]
    like = program.held(params, opt, frozen_dtype)
    return jax.tree.map(lambda x, s: x.astype(s.dtype), params, like)

  params = jax.jit(random_params, out_shardings=layout["params"])()
  if source:
    params = load_into(params, source, model_cfg)
  begin = functools.partial(step_lib.init, opt=opt)
  return jax.jit(begin, donate_argnums=0, out_shardings=layout)(params)


def load_into(params, source, model_cfg):
  """Params with the source's values, one leaf at a time on the host.

  What the source has not, adapters or a point map, stays as it is.
  """
  found = adapters.fit(weights.open(source), model_cfg).params
  fusion = any(name.startswith("pointmap/") for name in found)
  loaded = weights.fit_positions(tree.unflatten(found), model_cfg)
  keep = [] if fusion else ["pointmap/.*"]
  keep += [] if adapters.any_in(found) else [lora.NAME]
  merged = tree.flatten(tree.merge(params, loaded, dont_load=keep))
  for name, old in tree.flatten(params).items():
    if isinstance(merged[name], jax.Array):
      continue
    host = np.asarray(merged[name]).astype(old.dtype)
    merged[name] = jax.make_array_from_callback(
      old.shape, old.sharding, host.__getitem__
    )
  return tree.unflatten(merged)


def save_recipe(workdir, plain, model_cfg, words) -> None:
  """Writes config.json (with the model's final sizes) and tokenizer.model."""
  if jax.process_index() == 0:
    target = epath.Path(workdir) / rundir.TOKENIZER

    def write():
      rundir.save_config(workdir, {**plain.to_dict(), "model": model_cfg})
      words.save(os.fspath(target))

    storage.retry(write, workdir, "write")


def describe(model_cfg, shapes, opt, grid, done, source) -> str:
  """What is trained, on what, from where."""

  def count(part):
    return sum(x.size for x in jax.tree.leaves(part))

  trained, whole = count(opt.split(shapes)[0]), count(shapes)
  origin = f"resumed at step {done}" if done else source or "random start"
  return (
    f"{whole:,} parameters, {trained:,} of them trained, in "
    f"{model_cfg['dtype']}; {jax.device_count()} {jax.default_backend()} "
    f"devices as {dict(grid.shape)}; {origin}"
  )
