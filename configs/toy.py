"""A small HiSpatial on the toy world, trained from nothing on 2 CPU cores.

    python tools/build_records.py toyworld --out runs/toy/data --train 3000 \
      --val 300 --tokenizer runs/toy/tokenizer.model
    python -m hispatial_jax.train --config configs/toy.py --workdir runs/toy

    ... --config configs/toy.py:quick=True          quickstart: five minutes
    ... --config configs/toy.py:points=False        the ablation: no point map
    ... --config configs/toy.py:lora=8 --config.init=runs/toy
                         adapters of rank 8 on what was trained, all else frozen
    ... --config configs/toy.py:root=DIR            records in DIR/data
    ... --config configs/toy.py:custom=DIR          the custom trio as well, of
                                 tools/make_custom_bench.py toyworld --out DIR

    python tools/build_records.py wild SHARDS --out runs/wild/data \
      --tokenizer runs/wild/tokenizer.model
    ... --config configs/toy.py:source=wild,steps=20 --workdir runs/wild/run
                                   the released shards, to see that they train

Expected: held-out loss below 0.6 after 30 minutes of processor time; the README
has the table of answers by level and task beside the best constant answer.

The image is encoded once for eight questions about it, and so cannot see them.
Multiple choice is left out: its long options would take most of so small a
model's time.
"""

from configs import common
from hispatial_jax.models import sizes


def get_config(arg=""):
  """Arguments.

  source (toy, wild), quick, points, steps (0: the recipe's), seed, root (where
  the records are; "": runs/SOURCE), custom (a benchmark to evaluate on, too),
  lora (rank of adapters, which then train alone; 0: none).
  """
  arg = common.parse_arg(
    arg,
    source="toy",
    quick=False,
    points=True,
    steps=0,
    root="",
    seed=0,
    custom="",
    lora=0,
  )
  wild = common.choose({"toy": False, "wild": True}, arg.source, "source")
  root = arg.root or f"runs/{arg.source}"
  config = common.base()
  config.seed = arg.seed
  config.total_steps = arg.steps or (700 if arg.quick else 2200)
  config.batch_size = 8
  config.tokenizer = f"{root}/tokenizer.model"

  config.model = sizes.config(
    "toy",
    llm={
      "vocab_size": 0,
      "mlp_dim": 256,
      "num_heads": 2,
      "num_kv_heads": 1,
      "head_dim": 64,
    },
    img={"depth": 2, "wave_positions": True},
    pointmap={"remat": False},
    image_sees_text=False,
  )

  config.data = {
    "dir": f"{root}/data",
    "split": "train",
    # Perception first: what the higher levels need is learnt there.
    "pp": _wild(arg.points)
    if wild
    else _pp(arg.points, level0=0.35, level1=0.25, level2=0.3, level3=0.1),
  }
  # The longest answer of the toy world, three coordinates; of others unknown.
  config.loss.max_tokens = 0 if wild else 19

  config.optim.lr = 2e-3
  config.optim.schedule = "cosine"
  config.optim.warmup_steps = config.total_steps // 20
  config.optim.b2 = 0.99  # so few steps need a shorter memory than 0.999's

  if arg.lora:
    common.adapt(config, arg.lora)

  config.checkpoint.every = max(config.total_steps // 4, 1)
  config.log.every = 10
  if wild:
    return config.lock()  # a shard's records may be too few to hold some out

  held_out = {
    "dir": config.data.dir,
    "split": "val",
    "pp": _pp(arg.points, level0=0.25, level1=0.25, level2=0.25, level3=0.25),
    "num_records": 64,
    "batch_size": 32,
  }
  config.evals.val = {
    "type": "qa_loss",
    "every": max(config.total_steps // 10, 1),
    **held_out,
  }
  config.evals.answers = {
    "type": "by_level",
    "every": max(config.total_steps // 5, 1),
    "max_new_tokens": 20,
    **held_out,
  }
  if arg.custom:
    config.evals.custom = {
      "type": "benchmark",
      "every": max(config.total_steps // 5, 1),
      "name": "hispatial_custom",
      "data": arg.custom,
      "size": 112,
      "max_new_tokens": 20,
      "zeros": not arg.points,
    }
  return config.lock()


def _pp(points, **shares):
  look = "decode|scene|points(112)|resize(112)"
  look += "" if points else "|drop_points"
  ask = f"draw_qa(8, pixel_grid=8, plain=True, weights={shares}, "
  return f"{look}|{ask}formats=['text', 'yes_no'])|tokenize(36)"


def _wild(points):
  ask = "decode|points(112)|resize(112)|wild_qa(1)"
  # Long questions in pieces of a small vocabulary.
  return f"{ask}{'' if points else '|drop_points'}|tokenize(384)"
