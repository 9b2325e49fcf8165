"""Our own checkpoint as a model, its parameters laid out on all devices.

    model = checkpoint.open("runs/toy", batch_size=32)

Greedy, in the dtype of its config. Batches hold one length bucket and are
filled up to one size, whatever devices and processes there are: an answer
depends on its question alone.
"""

import pathlib
from typing import Any

import jax

from hispatial_jax.core import config as config_lib
from hispatial_jax.core import layouts, mesh, remote, rundir, tokenizer, tree
from hispatial_jax.evaluation import models
from hispatial_jax.evaluators import decoding, predict_fns
from hispatial_jax.models import hispatial, sizes
from hispatial_jax.precompute import plan

_MESH = {
  "data": -1,
  "fsdp": 1,
  "rules": ((".*", "fsdp"),),
  "min_bytes": 4 << 20,
}


class Checkpoint:
  """A model of ours.

  Attributes:
    batch_size: questions of a batch, over all processes.
  """

  needs_pictures, collective = True, True

  def __init__(self, params, decoder: decoding.Decoder, grid, facts: dict):
    """`facts` is what `describe` says."""
    self._params, self._decoder = params, decoder
    self._grid, self._facts = grid, facts
    self.batch_size = decoder.rows * jax.process_count()

  def describe(self) -> dict[str, Any]:
    """Digest of the weights, dtype, decoding."""
    return self._facts

  def prepare(self, request: models.Request):
    """The request as the model sees it, or the reason why it can't."""
    try:
      return self._decoder.look(
        request.text, request.image, request.depth_m, request.intrinsics
      )
    except ValueError as error:
      return models.Answer(error=str(error))

  def answer(self, requests: list) -> list[models.Answer]:
    """Answers to requests, prepared or not; see `models.Model`."""
    ready = [
      self.prepare(r) if isinstance(r, models.Request) else r for r in requests
    ]
    seen = [r for r in ready if isinstance(r, decoding.Seen)]
    with mesh.use(self._grid):
      found = iter(self._decoder.decode(self._params, seen))
    return [
      models.Answer(*next(found)) if isinstance(r, decoding.Seen) else r
      for r in ready
    ]


def open(
  name: str,
  *,
  batch_size: int = 32,
  max_new_tokens: int = 100,
  config: str | None = None,
  overrides: list[str] | tuple = (),
  **_,
) -> Checkpoint:
  """Loads a checkpoint.

  Args:
    name: as `rundir.load_params` takes it: WORKDIR, a step, FILE.npz.
    batch_size: questions, rounded up to fill all devices.
    max_new_tokens: longest answer.
    config: PATH.py[:ARG]; by default config.json beside the checkpoint.
    overrides: "key=value" of the config.

  Raises:
    FileNotFoundError, ValueError: no checkpoint, or one of another config.
  """
  if config is None:
    cfg = rundir.load_config(name)
  else:
    cfg = config_lib.load(config, list(overrides)).to_dict()
  laid = {**_MESH, **cfg.get("mesh", {})}
  grid = mesh.of(laid)
  words = load_words(name, cfg.get("tokenizer"))
  with mesh.use(grid):
    arguments, params = load(name, cfg["model"], laid, words, grid)
  fns = predict_fns.make(
    hispatial.Model(**arguments), grid, tpu_options=cfg.get("tpu_options", ())
  )
  decoder = decoding.Decoder(
    fns["generate"],
    words,
    size=arguments["img"]["image_size"],
    rows=decoding.rows_here(
      batch_size, jax.device_count(), jax.process_count()
    ),
    max_new_tokens=max_new_tokens,
    **rundir.hidden_points(cfg),
  )
  facts = {
    "kind": "checkpoint",
    **describe(name, words),
    "dtype": arguments.get("dtype", "float32"),
    "decoding": "greedy",
    "max_new_tokens": max_new_tokens,
  }
  return Checkpoint(params, decoder, grid, facts)


def load_words(path, default: str | None = None) -> tokenizer.Tokenizer:
  """The tokenizer beside a checkpoint, or else the config's."""
  path = remote.path(path)
  for folder in (path, path.parent, path.parent.parent):
    if (folder / rundir.TOKENIZER).exists():
      return tokenizer.load(folder / rundir.TOKENIZER)
  if not default:
    raise FileNotFoundError(
      f"no {rundir.TOKENIZER} in {path} or the two folders above it"
    )
  return tokenizer.load(default)


def load(path, model: dict, laid: dict, words, grid):
  """(arguments of hispatial.Model, params on the mesh) of a checkpoint.

  Args:
    path: see `open`.
    model: the config's `model`; vocab_size 0 means the tokenizer's.
    laid: the config's `mesh`: rules and min_bytes.
    words: the tokenizer.
    grid: the mesh, current.

  Raises:
    ValueError: the checkpoint is one of another config, all names listed.
  """
  llm = {**model["llm"]}
  llm["vocab_size"] = llm["vocab_size"] or words.vocab_size
  model = {**model, "llm": llm}
  shapes = sizes.param_shapes(model)
  if pathlib.PurePath(path).suffix == ".npz":
    tree.merge(shapes, rundir.load_params(path))
  else:
    rundir.check_names(rundir.step_folder(path), shapes)
  rules = [tuple(rule) for rule in laid["rules"]]
  layout = layouts.shardings(shapes, rules, grid, min_bytes=laid["min_bytes"])
  return model, rundir.load_params(path, shardings=layout)


def describe(path, words: tokenizer.Tokenizer) -> dict[str, Any]:
  """Name and digest of a checkpoint; the name is for people alone."""
  path = remote.path(path)
  if path.suffix == ".npz":
    digest, name = plan.checksum(path), path.name
  else:
    folder = rundir.step_folder(path)
    digest = plan.checksum(folder / "params")
    name = f"{folder.parent.parent.resolve().name} step {folder.name}"
  return {"name": name, "sha256": digest, "tokenizer": words.digest}
