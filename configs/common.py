"""What recipes share: reading the argument after the colon.

--config configs/toy.py:steps=100,points=False
"""

from collections.abc import Mapping
from typing import Any

import ml_collections

from hispatial_jax.core import config as config_lib
from hispatial_jax.core import spec

# Heads, hidden units and words lie over mesh axis tensor.
_LAYOUTS = (
  ("llm/.*/attn/(q|attn_vec)_einsum/w", "tensor:1"),
  ("llm/.*/attn/kv_einsum/w", "tensor:2"),
  ("llm/.*/mlp/gating_einsum", "tensor:3"),
  ("llm/.*/mlp/linear", "tensor:1"),
  ("llm/embedder/input_embedding", "all"),
  ("img/Transformer/.*/(query|key|value|Dense_0)/kernel", "tensor:2"),
  ("img/Transformer/.*/(out|Dense_1)/kernel", "tensor:1"),
  (".*", "fsdp"),
)


def parse_arg(arg: str, **defaults) -> ml_collections.ConfigDict:
  """Reads "key=value,flag" over defaults.

  Args:
    arg: comma-separated; a bare key of a bool means True.
    **defaults: every key there is, with its default, which sets its type.

  Returns:
    ConfigDict of all keys.

  Raises:
    ValueError: unknown keys or values of another type, all listed.
  """
  out = ml_collections.ConfigDict(defaults)
  pairs = [part.strip() for part in arg.split(",") if part.strip()]
  whole = [part if "=" in part else f"{part}=True" for part in pairs]
  config_lib.override(out, whole)
  return out.lock()


def part_arg(arg: str, **defaults) -> tuple[ml_collections.ConfigDict, str]:
  """(a recipe's own arguments, the rest, for the recipe that it builds on).

  Args:
    arg, **defaults: see `parse_arg`.

  Raises:
    ValueError: values of another type, all listed.
  """
  pairs = [pair.strip() for pair in arg.split(",") if pair.strip()]
  own = [pair for pair in pairs if pair.split("=")[0] in defaults]
  rest = [pair for pair in pairs if pair not in own]
  return parse_arg(",".join(own), **defaults), ",".join(rest)


def levels(digits: str) -> tuple[int, ...] | None:
  """Levels of questions, written as their digits: "023" -> (0, 2, 3).

  Args:
    digits: "" is None, no filter.

  Raises:
    ValueError: other characters than 0 to 3, or one twice.
  """
  found = sorted(set(digits))
  if not set(found) <= set("0123") or len(found) < len(digits):
    raise ValueError(
      f"levels={digits}: expected some of the digits 0, 1, 2 and 3, as 023"
    )
  return tuple(int(digit) for digit in found) or None


def choose(table: Mapping[str, Any], name: str, what: str) -> Any:
  """table[name].

  Raises:
    ValueError: no such name; says which there are.
  """
  if name not in table:
    raise ValueError(f"{what}={name}{spec.did_you_mean(name, table)}")
  return table[name]


def adapt(config: ml_collections.ConfigDict, rank: int) -> None:
  """Makes a recipe one of adapters: they, point map and image head train.

  Args:
    config: unlocked; its model is chosen already.
    rank: of the adapters of all of Gemma 2's weights.
  """
  config.model.llm.lora = {"rank": rank, "alpha": 2.0 * rank, "weights": ".*"}
  config.optim.freeze = ()
  config.optim.train = (".*lora_[ab]", "img/head/.*", "pointmap/.*")


def base() -> ml_collections.ConfigDict:
  """Every key that training reads, the recipe's own parts still empty.

  Returns:
    Unlocked ConfigDict; optimizer constants are the paper's.
  """
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.total_steps = 1000
  config.max_minutes = 0.0  # of one start; 0 is no limit
  config.batch_size = 32  # of all devices together
  config.tokenizer = ""  # path of a .model file
  config.init = ""  # path of parameters to start from; "" is random
  config.model = ml_collections.ConfigDict()
  config.data = ml_collections.ConfigDict()
  # reduce: the mean over "tokens" of the batch, or over "examples".
  # max_tokens: logits at so many positions of a row; 0 is all.
  # chunk: positions of every row whose logits exist at one time; 0 is all.
  config.loss = {"reduce": "tokens", "max_tokens": 0, "chunk": 32}
  config.optim = {
    "lr": 2e-5,
    "schedule": "constant",
    "warmup_steps": 0,
    "final": 0.0,
    "b1": 0.9,
    "b2": 0.999,
    "eps": 1e-8,
    "weight_decay": 0.1,
    "no_decay": (r"(.*/)?(bias|scale)",),
    "clip": 1.0,
    "mu_dtype": "",
    "freeze": (),  # regexes of names; all others train, or:
    "train": (),  # regexes of names; all others are frozen
    "frozen_dtype": "",  # frozen parameters are held in; "" is float32
    "accumulate": 1,
  }
  # Sizes: slices of a pod, copies of the parameters, their shards, devices that
  # share heads, hidden units and words; -1 takes the rest.
  # rules: parameter regex -> layout (core/layouts.py); leaves up to min_bytes
  # stay whole.
  config.mesh = {
    "dcn": 1,
    "data": -1,
    "fsdp": 1,
    "tensor": 1,
    "rules": _LAYOUTS,
    "min_bytes": 4 << 20,
  }
  config.tpu_options = ()  # (name, value) of the TPU compiler
  config.checkpoint = {"every": 1000, "keep": 3}
  # stall_s: seconds without a step after which all stacks are written to
  # WORKDIR/stalls (0: never); stall_ends: the process ends then.
  config.log = {
    "every": 50,
    "tensorboard": True,
    "wandb": "",
    "stall_s": 600.0,
    "stall_ends": False,
  }
  # name -> {"type": module of hispatial_jax.evaluators, "every": steps, …}
  config.evals = ml_collections.ConfigDict()
  return config
