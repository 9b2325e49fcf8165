"""Held-out records of a config, answered by a checkpoint, by task and level.

The toy world's own benchmark; what `tools/evaluate.py --benchmark by_level`
does. Writes predictions.jsonl and metrics.json and prints accuracy by task and
level beside the best constant answer of the training questions.
"""

import json
import pathlib
import time

import jax

from hispatial_jax.benchmarks import tables
from hispatial_jax.core import config as config_lib
from hispatial_jax.core import mesh
from hispatial_jax.evaluation import checkpoint, journal, score
from hispatial_jax.evaluators import by_level, predict_fns
from hispatial_jax.models import hispatial


def evaluate(args) -> None:
  """Runs the benchmark and writes its files.

  Args:
    args: of tools/evaluate.py.

  Raises:
    ValueError, OSError: bad input, in one line or a list of all offenders.
  """
  import tqdm

  cfg = config_lib.load(args.config, args.set)
  out = pathlib.Path(args.out)
  out.mkdir(parents=True, exist_ok=True)
  data = data_options(cfg, args.split)
  if args.limit:
    data["num_records"] = args.limit
  with mesh.use(mesh.of(cfg.mesh)) as grid:
    fns, words, params = load(cfg, args.checkpoint, grid)
    bar = tqdm.tqdm(unit=" questions", desc="answered")
    evaluator = by_level.Evaluator(
      fns,
      tokenizer=words,
      batch_size=args.batch_size or 32,
      max_new_tokens=args.max_new_tokens or 48,
      constants=by_level.train_constants(data, tokenizer=words),
      on_batch=lambda done: bar.update(done - bar.n),
      **data,
    )
    begin = time.monotonic()
    figures = dict(evaluator.run(params))
    seconds = time.monotonic() - begin
    bar.close()
  write(out, args, data, evaluator, figures, seconds)
  print(tables.text(evaluator.table))
  print(f"wrote {out / 'predictions.jsonl'} and {out / 'metrics.json'}")


def load(cfg, path, grid):
  """(predict_fns, tokenizer, params on the mesh) of a checkpoint.

  Raises:
    ValueError: the checkpoint is one of another config, all names listed.
  """
  words = checkpoint.load_words(path, cfg.tokenizer)
  model, params = checkpoint.load(
    path, cfg.model.to_dict(), cfg.mesh, words, grid
  )
  fns = predict_fns.make(
    hispatial.Model(**model), grid, tpu_options=cfg.tpu_options
  )
  return fns, words, params


def data_options(cfg, split: str) -> dict:
  """What `pipeline.eval_batches` is to read: the config's held-out data.

  A by_level evaluator of the config names it; else it is cfg.data.
  """
  own = ("type", "every", "batch_size", "max_batches", "max_new_tokens")
  own += ("constants", "constant_split", "num_records")
  for group in cfg.get("evals", {}).values():
    if group.get("type") == "by_level":
      found = {k: v for k, v in group.to_dict().items() if k not in own}
      return {**found, "split": split}
  return {**cfg.data.to_dict(), "split": split}


def write(out, args, data, evaluator, figures, seconds) -> None:
  """Writes predictions.jsonl and metrics.json (process 0 alone)."""
  if jax.process_index():
    return
  lines = [json.dumps(row, ensure_ascii=False) for row in evaluator.rows]
  journal.write_text(out / "predictions.jsonl", "\n".join(lines) + "\n")
  metrics = {
    "benchmark": args.benchmark,
    "config": args.config,
    "checkpoint": str(args.checkpoint),
    "data": data,
    "questions": len(evaluator.rows),
    "seconds": round(seconds, 1),
    "cut": sum(not row["ended"] for row in evaluator.rows),
    "figures": figures,
    "table": evaluator.table,
    "versions": score.versions(),
  }
  journal.write_json(out / "metrics.json", metrics)
