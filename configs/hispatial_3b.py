"""HiSpatial-3B, the paper's run: PaliGemma-2 3B at 448 px, 70,000 steps.

    python -m hispatial_jax.train --distributed --workdir gs://BUCKET/3b \
      --config configs/hispatial_3b.py:init=paligemma2-3b-pt-448,data=gs://DATA

init is a PaliGemma-2 checkpoint in any format that convert_weights.py reads;
DIR/spatial and DIR/general hold records as tools/build_records.py writes them,
DIR/tokenizer.model is PaliGemma's. Expected: 3,079,212,912 parameters, all but
SigLIP's of them trained; the loss starts near PaliGemma's own, and the point
map's head leaves zero in the first step.

Source: HiSpatial, training details (batch 256, 70k steps, AdamW, constant rate
2e-5, decay 0.1 on matrices, clip 1.0, SigLIP frozen).
"""

from configs import common
from hispatial_jax.models import sizes


def get_config(arg=""):
  """Arguments: init, data (folder of the records), batch, steps, px."""
  arg = common.parse_arg(
    arg, init="", data="data", batch=256, steps=70_000, px=448
  )
  config = common.base()
  config.total_steps, config.batch_size = arg.steps, arg.batch
  config.init = arg.init
  config.tokenizer = f"{arg.data}/tokenizer.model"

  config.model = sizes.config(
    f"3b_{arg.px}",
    dtype="bfloat16",
    img={"remat": "nothing_saveable"},
    llm={"remat": "nothing_saveable"},
  )

  look = f"decode|points({arg.px})|resize({arg.px})"
  # general : spatial = 1 : 7.3, as in the reference's mixture.
  config.data.mixture = {
    "general": {"dir": f"{arg.data}/general", "weight": 1.0},
    "spatial": {"dir": f"{arg.data}/spatial", "weight": 7.3},
  }
  config.data.split = "train"
  config.data.pp = f"{look}|stored_qa(1)|tokenize(128)"
  config.data.num_threads = 16
  config.data.prefetch = 512

  config.optim.lr = 2e-5
  config.optim.freeze = ("img/(?!head/).*",)
  config.loss.max_tokens = 64
  config.mesh.data, config.mesh.fsdp = 1, -1
  config.checkpoint.every = 1000
  config.log.every = 50

  config.evals.val = {
    "type": "qa_loss",
    "every": 1000,
    "dir": f"{arg.data}/spatial",
    "split": "val",
    "pp": f"{look}|stored_qa(1)|tokenize(128)",
    "batch_size": arg.batch,
    "max_batches": 16,
  }
  return config.lock()
