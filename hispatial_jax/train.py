"""Training, from config to checkpoint: the one loop.

    python -m hispatial_jax.train --config configs/toy.py --workdir runs/toy
    python -m hispatial_jax.train --config configs/toy.py:steps=100 \\
      --workdir /tmp/x --config.optim.lr=3e-4

The same command starts a run and resumes it, bit for bit, from its newest
checkpoint. SIGTERM saves and exits 0. All variation comes by config.
"""

import argparse
import contextlib
import importlib
import sys
import time

import jax
import jax.numpy as jnp
from absl import logging

from hispatial_jax import program, start
from hispatial_jax.core import (
  checkpoint,
  guard,
  mesh,
  metrics,
  tokenizer,
)
from hispatial_jax.core import config as config_lib
from hispatial_jax.data import pipeline, tally
from hispatial_jax.dry_run import here
from hispatial_jax.evaluators import predict_fns

_HEARTBEAT_S = 30


def train(cfg, workdir) -> dict[str, float]:
  """Runs a config to its end, from where the work directory stands.

  Args:
    cfg: locked ConfigDict; configs/toy.py shows every key.
    workdir: local path or gs:// URL.

  Returns:
    The last metrics written, {} if the run had already ended.

  Raises:
    ValueError: the config, or a checkpoint that does not fit it.
    OSError: the work directory cannot be written.
    FloatingPointError: the loss is not finite; names the batch's records.
  """
  plain, cfg = cfg, config_lib.Watched(cfg)
  run = checkpoint.Run(workdir, keep=cfg.checkpoint.keep)
  grid = mesh.of(cfg.mesh)
  with contextlib.ExitStack() as stack:
    stack.enter_context(contextlib.closing(run))
    stack.enter_context(mesh.use(grid))

    # ---- Words, model, optimizer: shapes only, nothing is allocated yet.
    words = tokenizer.load(cfg.tokenizer)
    model_cfg = start.model_config(cfg.model, words)
    made = program.build(cfg, model_cfg, grid)
    opt, layout, update = made.opt, made.layout, made.update

    # ---- Batches, and where everything starts: resume > load > random.
    batches = pipeline.train_iterator(
      cfg.data.plain(),
      tokenizer=words,
      batch_size=mesh.rows_here(cfg.batch_size, grid),
      process_index=jax.process_index(),
      process_count=jax.process_count(),
      seed=cfg.seed,
    )
    done, notes = run.newest_sound()
    source, seed, frozen = cfg.init, cfg.seed, cfg.optim.frozen_dtype
    if done:
      params, moments, at = run.restore(done, **made.abstract)
      batches.set_state(*at)
      count = jax.device_put(jnp.int32(done), layout["step"])
      state = {"params": params, "opt": moments, "step": count}
    else:
      state = start.initial_state(
        source, seed, model_cfg, opt, layout, frozen_dtype=frozen
      )
    report(start.describe(model_cfg, made.shapes, opt, grid, done, source))
    for note in [*notes, *batches.notes]:
      report(note)

    # ---- What runs on the accelerator.
    log_every, save_every = cfg.log.every, cfg.checkpoint.every
    stopping = stack.enter_context(guard.Stopping(cfg.max_minutes, log_every))
    fns = predict_fns.make(
      made.model,
      grid,
      before=stopping.interrupt,
      tpu_options=cfg.tpu_options,
    )
    evals = build_evaluators(cfg.evals, fns, words)

    # ---- Around it.
    total = cfg.total_steps
    writer = metrics.Writer(
      workdir,
      step=done,
      tensorboard=cfg.log.tensorboard,
      wandb=cfg.log.wandb,
      config=plain.to_dict(),
    )
    stack.enter_context(contextlib.closing(writer))
    clock = metrics.Clock(total, done=done, batch_size=cfg.batch_size)
    health = guard.Health(run)
    cfg.check_all_read()
    start.save_recipe(workdir, plain, model_cfg, words)
    stack.enter_context(guard.Together())
    written = {}

    # ---- The loop.
    for step in range(done + 1, total + 1):
      begin = time.monotonic()
      batch = next(batches)
      ids = batch.pop("ids")
      clock.waited(time.monotonic() - begin)

      state, out = update(state, mesh.put_batch(batch, grid))
      health.add(step, ids, out)
      clock.tick(step)
      stopping.look(step)
      last = step == total or stopping.reason

      if step % log_every == 0 or last:
        health.check()
        shown, speed = metrics.summary(out), clock.read()
        seen = batches.figures()
        report(metrics.progress(step, total, speed, shown | tally.short(seen)))
        written = metrics.under("train", shown)
        writer.write(step, written | metrics.under("speed", speed) | seen)
      if step % save_every == 0 or last:
        health.check()
        run.save(step, state["params"], state["opt"], batches.get_state())
      for name, (evaluator, every) in evals.items():
        if (step % every == 0 or last) and not stopping.hurry:
          begin = time.monotonic()
          found = evaluate(name, evaluator, state["params"])
          if not found:
            continue
          writer.write(step, found)
          report(metrics.progress(step, total, {}, metrics.headline(found)))
          clock.paused(time.monotonic() - begin)
          written |= found
      if stopping.reason and step < total:
        report(
          f"{stopping.reason}: saved step {step} of {total}; the same "
          "command continues from here"
        )
        break
    run.wait()  # A second SIGTERM is still caught here.
  return written


def build_evaluators(cfg, fns, words) -> dict:
  """name -> (evaluator, every so many steps)."""
  out = {}
  for name in cfg:
    options = cfg[name].plain().to_dict()
    kind, every = options.pop("type"), options.pop("every")
    module = importlib.import_module(f"hispatial_jax.evaluators.{kind}")
    out[name] = module.Evaluator(fns, tokenizer=words, **options), every
  return out


def evaluate(name, evaluator, params) -> dict[str, float]:
  """All numbers of one evaluator, under its name; {} if it was interrupted."""
  try:
    return {f"{name}/{key}": value for key, value in evaluator.run(params)}
  except guard.Interrupted:
    return {}


def report(line: str) -> None:
  """Prints a line on process 0."""
  if jax.process_index() == 0:
    print(line, flush=True)


def main(argv=None) -> int:
  """Reads the command line; returns the exit status."""
  flags, overrides = parse(sys.argv[1:] if argv is None else argv)
  if not flags.debug:
    # Storage errors are raised, and said once; orbax would log them before.
    logging.set_verbosity(logging.FATAL)
  try:
    if flags.coordinator or flags.distributed:
      jax.distributed.initialize(
        flags.coordinator,
        flags.num_processes,
        flags.process_id,
        # Where a collective hangs instead of failing: silent for so long is
        # dead, and all others end.
        heartbeat_timeout_seconds=_HEARTBEAT_S,
      )
    cfg = config_lib.load(flags.config, overrides)
    if flags.dry_run:
      here.show(cfg)
    else:
      train(cfg, flags.workdir)
  except (ValueError, OSError, ImportError, FloatingPointError) as error:
    if flags.debug:
      raise
    print(f"error: {error}", file=sys.stderr, flush=True)
    return 1
  return 0


def parse(argv):
  """(flags, ["key=value" of each --config.key=value])."""
  parser = argparse.ArgumentParser(
    prog="python -m hispatial_jax.train",
    description="Starts a training run, or resumes it.",
    epilog="--config.KEY=VALUE overrides one value of the config.",
  )
  add = parser.add_argument
  add("--config", required=True, help="PATH.py or PATH.py:key=value,…")
  add("--workdir", help="folder of the run")
  add("--dry_run", action="store_true", help="compile; say what it needs")
  add("--debug", action="store_true", help="show where an error comes from")
  add("--distributed", action="store_true", help="several processes (a pod)")
  add("--coordinator", help="HOST:PORT, where nothing tells it")
  add("--num_processes", type=int)
  add("--process_id", type=int)
  flags, rest = parser.parse_known_args(argv)
  if not (flags.workdir or flags.dry_run):
    parser.error("the following arguments are required: --workdir")
  prefix = "--config."
  wrong = [arg for arg in rest if not (arg.startswith(prefix) and "=" in arg)]
  if wrong:
    parser.error(f"expected --config.KEY=VALUE, got {' '.join(wrong)}")
  return flags, [arg.removeprefix(prefix) for arg in rest]


if __name__ == "__main__":
  sys.exit(main())
