"""What the tools that make records share: flags, crew, exit status, words."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from hispatial_jax.precompute import tally

BEAM_FLAGS = """Any flag of Apache Beam may follow, say
--runner DataflowRunner --project P --region R --temp_location gs://B/tmp."""


def names(name: str) -> list[str]:
  """A flag in both spellings: --max-bad-share, --max_bad_share."""
  return [f"--{name}", f"--{name.replace('-', '_')}"]


def add_work(group, *, workers: int, shard_size: int | None) -> None:
  """Adds what Beam's crew and the plan take: runner, workers, shard size.

  Args:
    group: of an argparse parser, or the parser.
    workers: unless said otherwise.
    shard_size: likewise; None: plan.even_size.
  """
  add = group.add_argument
  add("--runner", default="DirectRunner", help="of Apache Beam (DirectRunner)")
  add(
    "--workers",
    type=int,
    default=workers,
    help=f"processes of Beam's runner ({workers})",
  )
  add("--threads", type=int, help="of each, that read and compress (cores)")
  add(
    *names("shard-size"),
    type=int,
    default=shard_size,
    help=f"pictures of a file ({shard_size or '16 to 256, by their number'})",
  )


def add_bad(group, share: str) -> None:
  """Adds what becomes of pictures that cannot be used, and --debug.

  Args:
    group: of an argparse parser, or the parser.
    share: the default of --max-bad-share, in words.
  """
  add = group.add_argument
  add(
    *names("max-bad-share"),
    type=float,
    help=f"of all pictures; more that cannot be used end the run ({share})",
  )
  add(
    *names("redo-bad"),
    action="store_true",
    help="make shards with bad pictures again",
  )
  add("--debug", action="store_true", help="show where an error comes from")


def beam_crew(
  args: argparse.Namespace, flags: tuple[str, ...], own: Iterable[str], load
):
  """Beam's workers; the flags are checked here, before anything is done.

  Args:
    args: of add_work.
    flags: that the tool's own parser did not know.
    own: the names that it knows.
    load: see beam.Crew.

  Raises:
    ValueError: flags that nobody knows.
  """
  from hispatial_jax.precompute import beam, beam_flags, work

  flags = (f"--runner={args.runner}", *flags)
  beam_flags.check(flags, args.workers, own)
  return beam.Crew(load, args.workers, args.threads or work.THREADS, flags)


def main(make: Callable[[], None], debug: bool) -> int:
  """Calls `make`; returns the exit status.

  That is 0, 1 after one line of error, 128 + a signal's number.
  """
  logging.basicConfig(level=logging.ERROR, format="%(message)s")
  logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
  from hispatial_jax.precompute import run

  try:
    make()
  except run.Interrupted as error:
    print(error, file=sys.stderr, flush=True)
    return error.code
  except (ValueError, OSError, RuntimeError, ImportError) as error:
    if debug:
      raise
    print(f"error: {error}", file=sys.stderr, flush=True)
    return 1
  return 0


def leave(code: int) -> None:
  """Ends also where workers still hold threads; other processes first."""
  sys.stdout.flush()
  sys.stderr.flush()
  if code and "jax" in sys.modules:
    import jax

    if jax.distributed.is_initialized():
      jax.distributed.shutdown()
  if code:
    os._exit(code)


def left_out(out: str, done: dict[str, Any]) -> list[str]:
  """A line each for what was bad, what was noted, what gave no id.

  Args:
    out: folder of the dataset.
    done: what run.run returned.
  """
  counted, lines = done["tally"], []
  bad, noted = tally.bad_count(counted), sum(counted["noted"].values())
  for count, what, listed, reasons in (
    (bad, "bad picture{} left out", "quarantine", counted["bad"]),
    (noted, "note{} on records made", "notes", counted["noted"]),
  ):
    if count:
      words = what.format("" if count == 1 else "s")
      lines.append(
        f"  {count:,} {words} ({tally.reasons(reasons)}): see"
        f" {out}/{listed}.jsonl"
      )
  if done["problems"]:
    reasons = tally.reasons(done["problems"])
    lines.append(f"  no picture in what the source also holds ({reasons})")
  return lines
