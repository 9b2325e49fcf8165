"""`train_config` without a tokenizer or records, to be compiled alone."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import train_config


def get_config(arg=""):
  """Two parts of a mixture, of 12 and 8 tokens; arguments of train_config."""
  config = train_config.get_config(arg).unlock()
  config.model.llm.vocab_size = 64
  config.model.llm.remat = "none"
  config.model.dtype = "bfloat16"
  config.optim.frozen_dtype = "bfloat16"
  config.data.mixture = {
    "a": {"dir": "/nowhere", "pp": "decode|tokenize(12)"},
    "b": {"dir": "/nowhere", "pp": "stored_qa(1)|tokenize(8)"},
  }
  return config.lock()
