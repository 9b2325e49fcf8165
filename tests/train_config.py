"""A recipe of seconds, for the tests of the loop."""

from configs import common
from hispatial_jax.models import sizes


def get_config(arg=""):
  """Width 16, one layer, 28 px; tokenizer=PATH must be given."""
  arg = common.parse_arg(arg, tokenizer="", steps=6, batch=8)
  config = common.base()
  config.tokenizer = arg.tokenizer
  config.total_steps, config.batch_size = arg.steps, arg.batch
  tower = {"width": 16, "depth": 1, "mlp_dim": 32, "num_heads": 2}
  config.model = sizes.config(
    "toy",
    img={**tower, "image_size": 28, "num_outputs": 16},
    llm={
      **tower,
      "num_kv_heads": 1,
      "head_dim": 8,
      "vocab_size": 0,
      "attn_by_head": False,
    },
    pointmap={"width": 16, "num_outputs": 16, "num_freqs": 2},
  )
  config.optim.lr = 1e-2
  config.optim.freeze = ("img/(?!head/).*",)
  config.mesh.min_bytes = 1024
  config.checkpoint.every = 2
  config.log.every = 1
  return config.lock()
