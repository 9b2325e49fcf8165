"""HiSpatial-3B by adapters, on one chip of 16 GB: a Colab, a v5e.

    python -m hispatial_jax.train --workdir runs/lora \
      --config configs/hispatial_3b_lora.py:init=paligemma2-3b-pt-448,data=data

    ... hispatial_3b_lora.py:data=data,batch=8,accumulate=1    of four chips
    ... hispatial_3b_lora.py:data=data,rank=64

Frozen and held in bfloat16: SigLIP and Gemma-2. Trained, in float32: adapters
beside all of Gemma-2's weights, the point map, the image head. A batch is taken
two rows at a time, which is what such a chip holds. init may as well be a
HiSpatial checkpoint, or the work directory of another run.

Data, and all arguments but these, as in hispatial_3b.py. The run is asked and
evaluated as it is; for others its adapters are merged into the weights:

    python tools/convert_weights.py runs/lora out/ --to hispatial

Expected: 3,099,979,632 parameters, of them 69,656,448 trained (20,766,720 in
adapters of rank 16); the loss starts near PaliGemma's own, as in the paper's
run. Compiled for one v5e chip with 128 tokens (tools/compile_pod.py, topology
v5e:1x1, arguments batch=2,length=128): 7.83 of its 16 GiB.
"""

from configs import common, hispatial_3b


def get_config(arg=""):
  """Arguments: rank, accumulate, and those of hispatial_3b.py.

  accumulate (microbatches; 0: as many as make them two rows of one chip).
  """
  own, rest = common.part_arg(arg, rank=16, accumulate=0)
  defaults = "batch=16,steps=20000"
  config = hispatial_3b.get_config(f"{defaults},{rest}").unlock()
  common.adapt(config, own.rank)
  config.optim.accumulate = own.accumulate or max(config.batch_size // 2, 1)
  # What trains is young or low-rank: it takes larger steps than the paper's,
  # and no decay, whose aim would be the model before training.
  config.optim.lr = 1e-4
  config.optim.weight_decay = 0.0
  return config.lock()
