"""A small HiSpatial on the toy world: 2 CPU cores, at most 30 minutes.

    python tools/build_records.py toyworld --out runs/toy/data --train 4000 \
      --val 300 --tokenizer runs/toy/tokenizer.model
    python -m hispatial_jax.train --config configs/toy.py --workdir runs/toy

    ... --config configs/toy.py:quick=True          a few minutes
    ... --config configs/toy.py:points=False        the ablation: no point map
    ... --config configs/toy.py:root=DIR            records in DIR/data

Expected: the held-out loss falls below 1 and the answers of levels 0 to 2 beat
the best constant answer; the README has the table.

Several questions of one image share a row (pack), so that the image is encoded
once for all of them; the image then cannot see any question.
"""

from configs import common
from hispatial_jax.models import hispatial


def get_config(arg=""):
  """Arguments: quick, points, steps (0: the recipe's), root, workers' seed."""
  arg = common.parse_arg(
    arg, quick=False, points=True, steps=0, root="runs/toy", seed=0
  )
  config = common.base()
  config.seed = arg.seed
  config.total_steps = arg.steps or (120 if arg.quick else 800)
  config.batch_size = 16
  config.tokenizer = f"{arg.root}/tokenizer.model"

  config.model = hispatial.config(
    "toy",
    llm={
      "vocab_size": 0,
      "mlp_dim": 256,
      "num_heads": 2,
      "num_kv_heads": 1,
      "head_dim": 64,
    },
    img={"depth": 2},
    pointmap={"remat": False},
    image_sees_text=False,
  )

  look = "decode|scene|points(112)|resize(112)"
  look += "" if arg.points else "|drop_points"
  ask = "draw_qa({}, pixel_grid=8, plain=True, formats=['text', 'yes_no'])"
  config.data.dir = f"{arg.root}/data"
  config.data.split = "train"
  config.data.pp = f"{look}|{ask.format(8)}|tokenize(36)"

  config.loss.max_tokens = 19
  config.optim.lr = 2e-3
  config.optim.schedule = "cosine"
  config.optim.warmup_steps = config.total_steps // 20
  config.optim.b2 = 0.99  # so few steps need a shorter memory than 0.999's

  config.checkpoint.every = config.total_steps // 4
  config.log.every = 10

  held_out = {
    "dir": config.data.dir,
    "split": "val",
    "pp": f"{look}|{ask.format(4)}|tokenize(36)",
    "num_records": 64 if arg.quick else 128,
    "batch_size": 32,
  }
  config.evals.val = {
    "type": "qa_loss",
    "every": max(config.total_steps // 10, 1),
    **held_out,
  }
  config.evals.answers = {
    "type": "by_level",
    "every": max(config.total_steps // 2, 1),
    "max_new_tokens": 32,
    **held_out,
  }
  return config.lock()
