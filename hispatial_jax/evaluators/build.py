"""The evaluators of a config, and one run of one of them.

evals = build.evaluators(cfg.evals, fns, words)
found = build.run("val", evals["val"][0], params)    # {"val/loss": 1.2}
"""

import importlib
from typing import Any


def evaluators(cfg, fns, words) -> dict[str, tuple[Any, int]]:
  """name -> (evaluator, every so many steps).

  Args:
    cfg: config.Watched of name -> {"type": module of this room, "every":
      steps, and what that module's Evaluator takes}.
    fns: of predict_fns.make.
    words: the tokenizer.
  """
  out = {}
  for name in cfg:
    options = cfg[name].plain().to_dict()
    kind, every = options.pop("type"), options.pop("every")
    module = importlib.import_module(f"hispatial_jax.evaluators.{kind}")
    out[name] = module.Evaluator(fns, tokenizer=words, **options), every
  return out


def run(name: str, evaluator, params) -> dict[str, float]:
  """All numbers of one evaluator, under its name."""
  return {f"{name}/{key}": value for key, value in evaluator.run(params)}
