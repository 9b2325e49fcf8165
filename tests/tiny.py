"""A tiny random model in a work directory, as training leaves it."""

import functools
import pathlib
import tempfile

import jax

from hispatial_jax.core import checkpoint, rundir, tokenizer
from hispatial_jax.models import hispatial, sizes

_TEXTS = [
  "How wide is the red chair?",
  "what is the xyz of the pixel in",
  "0.61m -0.20m 1.17m",
  "We estimate the width of the door to be 0.77 meters.",
  "Is the blue table left of the green lamp?\n(A). yes\n(B). no",
]


@functools.cache
def words() -> tokenizer.Tokenizer:
  """A tokenizer of some 300 pieces."""
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "tokenizer.model"
    return tokenizer.train_small(_TEXTS * 4, vocab_size=400, path=path)


def config(size: int = 28) -> dict:
  """Arguments of hispatial.Model at width 16."""
  return sizes.config(
    "toy",
    img={
      "image_size": size,
      "width": 16,
      "depth": 1,
      "mlp_dim": 32,
      "num_heads": 2,
      "num_outputs": 16,
    },
    llm={
      "width": 16,
      "depth": 1,
      "mlp_dim": 32,
      "num_heads": 2,
      "num_kv_heads": 1,
      "head_dim": 8,
      "vocab_size": words().vocab_size,
    },
    pointmap={"width": 16, "num_outputs": 16, "num_freqs": 2},
  )


@functools.cache
def params():
  """Random parameters whose point map head is not zero."""
  cfg = config()
  batch = sizes.example_batch(cfg)
  init = jax.jit(hispatial.Model(**cfg).init)
  tree = init(jax.random.key(0), **batch)["params"]
  head = tree["pointmap"]["head"]
  noise = jax.random.normal(jax.random.key(1), head["kernel"].shape)
  return {
    **tree,
    "pointmap": {**tree["pointmap"], "head": {"kernel": noise}},
  }


def save(workdir) -> pathlib.Path:
  """Writes config.json, tokenizer.model and checkpoints/7."""
  workdir = pathlib.Path(workdir)
  with_data = {"model": config(), "data": {"pp": "points(28)|resize(28)"}}
  run = checkpoint.Run(workdir, keep=1)
  rundir.save_config(workdir, with_data)
  words().save(workdir / "tokenizer.model")
  run.save(7, params(), {"count": jax.numpy.zeros(())}, {}, wait=True)
  run.close()
  return workdir


_RECIPE = """
import tiny
from configs import common


def get_config(arg=""):
  config = common.base()
  config.tokenizer = "{tokenizer}"
  config.model = tiny.config()
  config.data.dir = "{data}"
  config.data.split = "train"
  config.data.pp = (
    "decode|scene|points(28)|resize(28)|draw_qa(3, pixel_grid=8)|tokenize(384)"
  )
  config.evals.answers = {{
    "type": "by_level", "every": 1, "batch_size": 4, "num_records": 1,
    **config.data.to_dict()}}
  return config.lock()
"""


def save_recipe(path, *, tokenizer, data) -> pathlib.Path:
  """Writes a config file for that model and records of rendered scenes."""
  path.write_text(_RECIPE.format(tokenizer=tokenizer, data=data))
  return path
