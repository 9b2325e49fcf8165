"""Asks a benchmark's questions of a model and scores the answers.

  python tools/evaluate.py --benchmark cvbench --data DIR \\
    --model checkpoint:runs/mine --out runs/mine/cvbench
  python tools/evaluate.py --benchmark cvbench,embspatial --data DIR \\
    --model openai:gpt-5 --out runs/gpt5          DIR/NAME/ -> OUT/NAME/
  python tools/evaluate.py --benchmark cvbench --data DIR \\
    --model predictions:FILE --out D
  python tools/evaluate.py --config configs/toy.py --checkpoint runs/toy \\
    --benchmark by_level --out runs/toy/eval      held-out records of a config

Writes OUT/predictions.jsonl (each question with answer, truth and the verdict
of every rule), OUT/metrics.json and report.html, and prints the headlines
beside published figures. Every answer is journaled in OUT/answers as it comes:
a run that was killed goes on with --resume.

MODEL: checkpoint:DIR, hf:DIR_OR_ID, openai:MODEL, predictions:FILE.
"""

import argparse
import pathlib
import sys

from hispatial_jax.core import mirror, remote

# The held-out records of a config; "toy" is the toy world's name for it.
RECORDS = ("by_level", "toy")


def main(argv=None) -> int:
  """The exit code: 0, 2 after one line of error, 128 + a signal's number."""
  args = parser().parse_args(argv)
  try:
    with mirror.of(args.out) as out:
      asked, args.out = args.out, out
      evaluate(args)
    if remote.is_remote(asked):
      print(f"all of it is in {asked}")
  except (OSError, ValueError, ImportError) as error:
    return _say(error, 2)
  except KeyboardInterrupt:
    return _say("stopped by SIGINT", 130)
  except RuntimeError as error:
    if not hasattr(error, "code"):
      raise
    return _say(error, error.code)
  return 0


def _say(error, code: int) -> int:
  print(f"evaluate.py: error: {error}", file=sys.stderr, flush=True)
  return code


def parser() -> argparse.ArgumentParser:
  """The command line."""
  out = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add = out.add_argument
  add("--benchmark", required=True, metavar="NAME[,NAME]", help=_names())
  add("--data", help="folder, tar or file of the benchmark; of several: of all")
  add("--model", metavar="SPEC", help="see above")
  add("--out", required=True, help="folder for the results")
  add("--limit", type=int, help="only the first questions, groups whole")
  add("--batch-size", type=int, help="questions (checkpoint: 32)")
  add("--max-new-tokens", type=int, help="(checkpoint: 100, by_level: 48)")
  _add_run(out.add_argument_group("the run"))
  _add_options(out.add_argument_group("a model's options, and a judge"))
  _add_config(out.add_argument_group("a checkpoint and its config"))
  _add_processes(out.add_argument_group("several processes"))
  return out


def _names() -> str:
  from hispatial_jax.benchmarks import registry

  return ", ".join([*registry.names(), *RECORDS])


def _add_run(group) -> None:
  add, flag = group.add_argument, {"action": "store_true"}
  add("--resume", **flag, help="go on, and ask again where there was an error")
  add("--overwrite", **flag, help="forget the answers that are there")
  add("--rescore", **flag, help="score the answers in OUT; needs no model")
  add("--shard", metavar="I/N", help="ask part I of N alone, without scores")
  add(
    "--merge",
    nargs="*",
    metavar="DIR",
    help="score all shards, in OUT or copied there from these folders",
  )
  add("--prompt", metavar="VARIANT", help="of the benchmark's prompts")
  add(
    "--points",
    default="measured",
    metavar="WAYS",
    help="measured, moge:CHECKPOINT, none; the first that has them (measured)",
  )
  add("--points-cache", metavar="DIR", help="for MoGe's points (OUT/points)")
  add("--blind", **flag, help="ask with black pictures, into OUT/blind")


def _add_options(group) -> None:
  more = {"action": "append", "default": [], "metavar": "KEY=VALUE"}
  add = group.add_argument
  add(
    "--option",
    **more,
    help="of openai: base_url, key_env, concurrency, requests_per_minute, "
    "max_requests, max_tokens, max_cost, input_price, output_price (per "
    "million tokens), temperature, ...; of hf: dtype, device",
  )
  add(
    "--judge",
    metavar="MODEL",
    help="a second opinion, kept in OUT/judge.jsonl and shown beside ours",
  )
  add("--judge-option", **more, help="as --option of an openai model")


def _options(pairs) -> dict:
  """KEY=VALUE texts; a value that is no Python literal is a text."""
  import ast

  out = {}
  for pair in pairs:
    key, equals, value = pair.partition("=")
    if not equals:
      raise ValueError(f"option {pair!r}: expected KEY=VALUE")
    try:
      out[key] = ast.literal_eval(value)
    except (ValueError, SyntaxError):
      out[key] = value
  return out


def _add_config(group) -> None:
  add = group.add_argument
  add("--config", help="PATH.py[:ARG], as trained")
  add("--checkpoint", help="WORKDIR, one of its steps or FILE.npz")
  add("--split", default="val", help="held-out split of by_level (val)")
  add(
    "--set",
    action="append",
    default=[],
    metavar="KEY=VALUE",
    help="override of the config, as --config.KEY=VALUE in training",
  )


def _add_processes(group) -> None:
  add = group.add_argument
  add("--distributed", action="store_true", help="as the environment says")
  add("--coordinator", help="HOST:PORT, where nothing tells it")
  add("--num-processes", type=int)
  add("--process-id", type=int)


def evaluate(args) -> None:
  """Runs what is asked for.

  Raises:
    ValueError, OSError: bad input, in one line or a list of all offenders.
  """
  names = args.benchmark.split(",")
  if len(set(names)) < len(names):
    raise ValueError(f"--benchmark {args.benchmark}: a name occurs twice")
  if set(names) & set(RECORDS) or not (args.data or args.model):
    return _records(args, names)
  if not args.data:
    raise ValueError("--data is missing: the folder of the benchmark's files")
  from hispatial_jax.evaluation import run

  several = len(names) > 1
  tasks = {
    name: run.open(name, _inside(args.data, name, several), args.limit)
    for name in names
  }
  outs = {n: pathlib.Path(args.out, *[n] * several) for n in names}
  if args.rescore or args.merge is not None:
    for name, task in tasks.items():
      _score(args, name, task, outs[name], several)
    return None
  _join(args)
  model = _model(args)
  for name, task in tasks.items():
    _ask(args, task, model, outs[name])
  return None


def _inside(data, name: str, several: bool) -> pathlib.Path:
  path = remote.path(data).expanduser()
  if several and not (path / name).exists():
    raise ValueError(f"no {path / name}: several benchmarks need DIR/NAME each")
  return remote.fetch(path / name if several else path)


def _join(args) -> None:
  # Where no device is used, JAX need not be loaded.
  if args.coordinator or args.distributed:
    from hispatial_jax.core import rendezvous

    rendezvous.join_as_told(args)


def _model(args):
  from hispatial_jax.evaluation import models

  if bool(args.model) == bool(args.checkpoint):
    raise ValueError("give --model SPEC, or --checkpoint K with --config C")
  options = {
    "batch_size": args.batch_size,
    "max_new_tokens": args.max_new_tokens,
  }
  if args.checkpoint or args.config:
    options |= {"config": args.config, "overrides": args.set}
  options |= _options(args.option)
  spec = args.model or f"checkpoint:{args.checkpoint}"
  return models.open(f"blind:{spec}" if args.blind else spec, **options)


def _ask(args, task, model, out) -> None:
  from hispatial_jax.evaluation import journal, run

  options = run.Options(
    prompt=args.prompt,
    points=args.points,
    cache=args.points_cache,
    resume=args.resume,
    overwrite=args.overwrite,
    shard=_shard(args.shard),
  )
  blind = model.describe().get("blind", False)
  where = out / run.BLIND if blind else out
  found = run.evaluate(task, model, where, options)
  if found and args.judge:
    found = run.ask_judge(task, where, _judge(args))
  if found:
    _show(found, where, model, task)
  if found and blind and (out / journal.SETTINGS).exists():
    run.score(task, out)
    print(f"and beside the figures in {out}")


def _shard(text):
  if text is None:
    return None
  try:
    number, count = (int(part) for part in text.split("/"))
  except ValueError:
    number, count = 0, 0
  if not 1 <= number <= count:
    raise ValueError(f"--shard {text}: expected I/N with 1 <= I <= N")
  return number, count


def _score(args, name, task, out, several) -> None:
  from hispatial_jax.evaluation import run

  if args.merge:
    folders = [
      remote.fetch(remote.path(d).joinpath(*[name] * several))
      for d in args.merge
    ]
    run.merge(folders, out, overwrite=args.overwrite)
  found = run.score(task, out)
  if args.judge:
    found = run.ask_judge(task, out, _judge(args))
  _show(found, out)


def _judge(args):
  from hispatial_jax.evaluation import judge

  return judge.connect(args.judge, **_options(args.judge_option))


def _show(metrics, out, model=None, task=None) -> None:
  from hispatial_jax.evaluation import show

  print(show.text(metrics))
  if hasattr(model, "spent"):
    print("spent:", ", ".join(f"{k} {v}" for k, v in model.spent.items()))
  unknown = getattr(model, "unknown", lambda keys: [])
  surplus = unknown([e.key for e in task.examples]) if task else []
  if surplus:
    more = ", ..." if surplus[5:] else ""
    print(
      f"{len(surplus)} predictions are for no question asked here: "
      f"{', '.join(surplus[:5])}{more}"
    )
  print(f"wrote {out / 'predictions.jsonl'} and {out / 'metrics.json'}\n")


def _records(args, names) -> None:
  """The held-out records of a config, by level."""
  if set(names) - set(RECORDS) or len(names) > 1:
    raise ValueError(
      f"--benchmark {args.benchmark} needs --data DIR and --model SPEC; "
      f"without them there are {', '.join(RECORDS)}"
    )
  if not args.config or not args.checkpoint:
    raise ValueError(f"{names[0]} needs --config and --checkpoint")
  _join(args)
  from hispatial_jax.evaluation import held_out

  held_out.evaluate(args)


if __name__ == "__main__":
  sys.exit(main())
