"""Answers a benchmark's questions with a checkpoint and scores them.

  python tools/evaluate.py --config configs/toy.py --checkpoint runs/toy \\
    --benchmark by_level --out runs/toy/eval

Writes OUT/predictions.jsonl (each question with answer, truth and verdict) and
OUT/metrics.json, and prints accuracy by task and level beside the best
constant answer of the training questions.
"""

import argparse
import json
import pathlib
import platform
import sys
import time

# "toy" is the toy world's name for it; others come with their own files.
BENCHMARKS = ("by_level", "toy")


def main(argv=None) -> int:
  """Returns the exit code: 0, or 2 after one line of error."""
  args = parser().parse_args(argv)
  try:
    evaluate(args)
  except (OSError, ValueError) as error:
    print(f"evaluate.py: error: {error}", file=sys.stderr)
    return 2
  return 0


def parser() -> argparse.ArgumentParser:
  """The command line."""
  out = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  out.add_argument("--config", required=True, help="PATH.py[:ARG], as trained")
  out.add_argument(
    "--checkpoint", required=True, help="WORKDIR, one of its steps or FILE.npz"
  )
  out.add_argument("--benchmark", required=True, help=", ".join(BENCHMARKS))
  out.add_argument("--out", required=True, help="folder for the results")
  out.add_argument("--split", default="val", help="held-out split (val)")
  out.add_argument("--limit", type=int, help="only the first LIMIT pictures")
  out.add_argument("--batch-size", type=int, default=32, help="questions (32)")
  out.add_argument("--max-new-tokens", type=int, default=48, help="(48)")
  out.add_argument(
    "--set",
    action="append",
    default=[],
    metavar="KEY=VALUE",
    help="override of the config, as --config.KEY=VALUE in training",
  )
  return out


def evaluate(args) -> None:
  """Runs the benchmark and writes its files.

  Raises:
    ValueError, OSError: bad input, in one line or a list of all offenders.
  """
  if args.benchmark not in BENCHMARKS:
    raise ValueError(
      f"unknown benchmark {args.benchmark!r}; there are {', '.join(BENCHMARKS)}"
    )
  import tqdm

  from hispatial_jax.benchmarks import tables
  from hispatial_jax.core import config as config_lib
  from hispatial_jax.core import mesh
  from hispatial_jax.evaluators import by_level

  cfg = config_lib.load(args.config, args.set)
  out = pathlib.Path(args.out)
  out.mkdir(parents=True, exist_ok=True)
  data = data_options(cfg, args.split)
  if args.limit:
    data["num_records"] = args.limit
  with mesh.use(mesh.make(data=cfg.mesh.data, fsdp=cfg.mesh.fsdp)) as grid:
    fns, words, params = load(cfg, args.checkpoint, grid)
    bar = tqdm.tqdm(unit=" questions", desc="answered")
    evaluator = by_level.Evaluator(
      fns,
      tokenizer=words,
      batch_size=args.batch_size,
      max_new_tokens=args.max_new_tokens,
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


def load(cfg, path, grid):
  """(predict_fns, tokenizer, params on the mesh) of a checkpoint.

  Raises:
    ValueError: the checkpoint is one of another config, all names listed.
  """
  from hispatial_jax.core import mesh, rundir, tokenizer, tree
  from hispatial_jax.evaluators import predict_fns
  from hispatial_jax.models import hispatial, sizes

  beside = pathlib.Path(path) / "tokenizer.model"
  words = tokenizer.load(beside if beside.exists() else cfg.tokenizer)
  model = cfg.model.to_dict()
  model["llm"]["vocab_size"] = model["llm"]["vocab_size"] or words.vocab_size
  shapes = sizes.param_shapes(model)
  if pathlib.Path(path).suffix == ".npz":
    tree.merge(shapes, rundir.load_params(path))
  else:
    rundir.check_names(rundir.step_folder(path), shapes)
  rules = [tuple(rule) for rule in cfg.mesh.rules]
  layout = mesh.shardings(shapes, rules, grid, min_bytes=cfg.mesh.min_bytes)
  params = rundir.load_params(path, shardings=layout)
  return predict_fns.make(hispatial.Model(**model), grid), words, params


def write(out, args, data, evaluator, figures, seconds) -> None:
  """Writes predictions.jsonl and metrics.json (process 0 alone)."""
  import jax

  import hispatial_jax

  if jax.process_index():
    return
  lines = [json.dumps(row, ensure_ascii=False) for row in evaluator.rows]
  (out / "predictions.jsonl").write_text("\n".join(lines) + "\n")
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
    "versions": {
      "hispatial_jax": hispatial_jax.__version__,
      "jax": jax.__version__,
      "python": platform.python_version(),
    },
  }
  text = json.dumps(metrics, indent=1, allow_nan=False, ensure_ascii=False)
  (out / "metrics.json").write_text(text + "\n")


if __name__ == "__main__":
  sys.exit(main())
