"""Training, from config to checkpoint: the one loop.

    python -m hispatial_jax.train --config configs/toy.py --workdir runs/toy
    python -m hispatial_jax.train --config configs/toy.py:steps=100 \\
      --workdir /tmp/x --config.optim.lr=3e-4

The same command starts a run and resumes it, bit for bit, from its newest
checkpoint. SIGTERM saves and exits 0. All variation comes by config.
"""

import argparse
import contextlib
import functools
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
  rendezvous,
  speed,
  tokenizer,
  trace,
  watchdog,
)
from hispatial_jax.core import config as config_lib
from hispatial_jax.data import pipeline, tally
from hispatial_jax.dry_run import here
from hispatial_jax.evaluators import build, predict_fns


def train(cfg, workdir, profile=None) -> dict[str, float]:
  """Runs a config to its end, from where the work directory stands.

  Args:
    cfg: locked ConfigDict; configs/toy.py shows every key.
    workdir: local path or gs:// URL.
    profile: (first, last) steps to trace, or None.

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
    watch = watchdog.Watchdog(workdir, cfg.log.stall_s, ends=cfg.log.stall_ends)

    def before():  # each batch of an evaluation
      stopping.interrupt()
      watch.alive()

    fns = predict_fns.make(
      made.model, grid, before=before, tpu_options=cfg.tpu_options
    )
    evals = build.evaluators(cfg.evals, fns, words)

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
    clock = speed.Clock(total, done=done, peak_flops=speed.peak())
    work = functools.cache(functools.partial(made.work, cfg.batch_size))
    health = guard.Health(run)
    tracing = stack.enter_context(trace.Steps(profile, workdir, done, total))
    report(tracing.note)
    cfg.check_all_read()
    start.save_recipe(workdir, plain, model_cfg, words)
    stack.enter_context(watch)
    stack.enter_context(guard.Together())
    written = {}

    # ---- The loop.
    for step in range(done + 1, total + 1):
      begin = time.monotonic()
      batch = next(batches)
      ids = batch.pop("ids")
      clock.waited(time.monotonic() - begin)

      with tracing.of(step):
        state, out = update(state, mesh.put_batch(batch, grid))
      health.add(step, ids, out)
      tracing.end(step, out)
      clock.tick(step, **work(batch["text"].shape[1]))
      watch.alive(step)
      stopping.look(step)
      last = step == total or stopping.reason

      if step % log_every == 0 or last:
        health.check()
        shown, seen = metrics.summary(out), batches.figures()
        pace = clock.read() | speed.memory() | {"stalls": watch.stalls}
        line = metrics.headline(shown) | tally.short(seen)
        report(metrics.progress(step, total, pace, line))
        written = metrics.under("train", shown)
        writer.write(step, written | metrics.under("speed", pace) | seen)
      if step % save_every == 0 or last:
        health.check()
        at = batches.get_state()
        # The last one can be written again as long as its arrays are there.
        run.save(step, state["params"], state["opt"], at, wait=bool(last))
      for name, (evaluator, every) in evals.items():
        if (step % every == 0 or last) and not stopping.hurry:
          begin = time.monotonic()
          try:
            found = build.run(name, evaluator, state["params"])
          except guard.Interrupted:
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


def report(line: str) -> None:
  """Prints a line, if there is one, on process 0."""
  if line and jax.process_index() == 0:
    print(line, flush=True)


def main(argv=None) -> int:
  """Reads the command line; returns the exit status."""
  flags, overrides = parse(sys.argv[1:] if argv is None else argv)
  if not flags.debug:
    # Storage errors are raised, and said once; orbax would log them before.
    logging.set_verbosity(logging.FATAL)
  try:
    rendezvous.join_as_told(flags, wait_s=flags.wait_s)
    cfg = config_lib.load(flags.config, overrides)
    if flags.dry_run:
      here.show(cfg)
    else:
      train(cfg, flags.workdir, trace.parse(flags.profile_steps))
  except (ValueError, OSError, ImportError, FloatingPointError) as error:
    if flags.debug:
      raise
    print(f"error: {error}", file=sys.stderr, flush=True)
    rendezvous.leave(1)
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
  add("--wait_s", type=float, default=rendezvous.WAIT_S, help="for the others")
  add("--profile_steps", help="FIRST:LAST, traced into WORKDIR/trace")
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
