"""HiSpatial-3B, the paper's run: PaliGemma-2 3B at 448 px, 70,000 steps.

    python -m hispatial_jax.train --distributed --workdir gs://BUCKET/3b \
      --config configs/hispatial_3b.py:init=paligemma2-3b-pt-448,data=DATA

    ... hispatial_3b.py:data=DATA,levels=023    questions of these levels
    ... hispatial_3b.py:data=DATA,input=rgb     points, relative or rgb

init is a PaliGemma-2 checkpoint in any format that convert_weights.py reads,
here or in a bucket. DATA is a local folder (docs/pods.md): tokenizer.model is
PaliGemma's; coyo, o365, general and ca1m hold records of the released shards,
with a split val for the held-out loss (val=False: there is none):

    python tools/build_records.py wild 'COYO/*.tar' --out DATA/coyo --size 448 \
      --val 0.002        # o365 likewise; kinds `general` and `ca1m` of the rest

A part that is not there is left out, the weights of the others are scaled up,
and the run says so. Expected: 3,079,212,912 parameters, of them all but
SigLIP's trained; the loss starts near PaliGemma's own, and the point map's head
leaves zero in the first step.

Source: HiSpatial, training details (batch 256, 70k steps, AdamW, constant rate
2e-5, decay 0.1 on matrices, clip 1.0, SigLIP frozen); weights of the mixture as
in the authors' loader.
"""

from configs import common
from hispatial_jax.models import sizes
from hispatial_jax.qa import released

_INPUTS = {"points": "", "relative": "|relative_depth", "rgb": "|drop_points"}


def get_config(arg=""):
  """Arguments.

  init, data (folder of the records), batch, steps, px; size ("10b" and "28b"
  are PaliGemma-2's other ones), length (T, tokens of question and answer),
  levels ("023"; "" is all), input (a key of _INPUTS), val (False: there are no
  records to evaluate on).
  """
  arg = common.parse_arg(
    arg,
    init="",
    data="data",
    batch=256,
    steps=70_000,
    size="3b",
    px=448,
    # The published reasoning answers take up to 230 words and marks, some 300
    # tokens with their question; all others less than 128. Longer answers are
    # dropped and counted. Beside the image's 1024 tokens, 256 cost 20 %.
    length=384,
    levels="",
    input="points",
    val=True,
  )
  config = common.base()
  config.total_steps, config.batch_size = arg.steps, arg.batch
  config.init = arg.init
  config.tokenizer = f"{arg.data}/tokenizer.model"

  config.model = sizes.config(
    f"{arg.size}_{arg.px}",
    dtype="bfloat16",
    img={"remat": "nothing_saveable"},
    llm={"remat": "mlp_out", "gate_apart": True, "attn_by_head": True},
  )

  config.data.mixture = _mixture(arg)
  config.data.split = "train"
  config.data.num_threads = 16
  config.data.prefetch = 512

  config.optim.lr = 2e-5
  config.optim.freeze = ("img/(?!head/).*",)
  config.optim.frozen_dtype = "bfloat16"  # what it is read in
  config.loss.max_tokens = 0  # an answer may fill its row
  config.mesh.data, config.mesh.fsdp = 1, -1
  # Weights are gathered before a product, not a shard at a time within it: that
  # writes its sum once, not sixteen times.
  # bf16_propagation would pull the cast of a layer's weights out of the loop
  # over the layers, barrier or not, and hold them all in both dtypes.
  config.tpu_options = (
    ("xla_jf_spmd_threshold_for_windowed_einsum_mib", "1000000"),
    ("xla_jf_bf16_propagation", "false"),
  )
  config.checkpoint.every = 1000
  config.log.every = 50

  if arg.val:
    config.evals.val = {
      "type": "qa_loss",
      "every": 1000,
      "mixture": _mixture(arg),
      "split": "val",
      "num_records": 1024,  # of each part
      "batch_size": arg.batch,
    }
  return config.lock()


def _mixture(arg) -> dict:
  """The four released sets; each has its own operations."""
  levels = common.levels(arg.levels)
  some = "" if levels is None else f", levels={levels}"
  wild = _pp(arg, f"points({arg.px})", f"wild_qa(1{some})")
  pps = {
    "coyo": wild,
    "o365": wild,
    "general": _pp(arg, f"points({arg.px})", "general_qa(1)"),
    # Its depth is measured, and not to be trusted beyond 30 m.
    "ca1m": _pp(arg, f"points({arg.px}, max_depth_m=30)", f"ca1m_qa(1{some})"),
  }
  return {
    name: {
      "dir": f"{arg.data}/{name}",
      "weight": released.MIXTURE[name],
      "pp": pp,
      "optional": True,
    }
    for name, pp in pps.items()
  }


def _pp(arg, points: str, ask: str) -> str:
  """Questions are drawn from the true points, whatever the model may see."""
  hide = common.choose(_INPUTS, arg.input, "input")
  look = f"decode|{points}|resize({arg.px})"
  return f"{look}|{ask}{hide}|tokenize({arg.length})"
