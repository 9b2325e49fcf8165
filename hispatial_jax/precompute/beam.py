"""Spreads the shards with Apache Beam: Create | Reshuffle | make | write.

An element is the job of one shard, and no grouping stands between the model and
the disk: a worker writes a shard as soon as it is made, whatever the runner.

Beam 2.77's DirectRunner would look for a Prism binary to download; FnApiRunner,
which it falls back to, is named instead. Processes of that runner are given
their elements beforehand, every n-th one.
"""

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options import pipeline_options
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.transforms import environments

from hispatial_jax.precompute import beam_flags, beam_worker, plan, work
from hispatial_jax.precompute import maker as maker_lib
from hispatial_jax.precompute import store as store_lib


@dataclasses.dataclass(frozen=True)
class Crew:
  """Beam's workers.

  Attributes:
    load: gives the model, an object with bucket and infer_batch; pickled,
      called once a worker. None: no model, nor the import of what runs one.
    workers: processes of the direct runner.
    threads: of each worker, that read and compress.
    flags: of the command line that are Beam's.
  """

  load: Callable[[], Any] | None
  workers: int = 1
  threads: int = work.THREADS
  flags: tuple[str, ...] = ()
  first = True

  def agree(self, ok: bool, what: str) -> None:
    """There is one process that begins and finishes: this one."""

  def work(
    self,
    store: store_lib.Store,
    source,
    options: plan.Options,
    jobs: Sequence[plan.Job],
  ) -> None:
    """Makes the shards of the jobs; returns when all are on disk.

    Args:
      store: begun.
      source: see data/sources.py; pickled.
      options: of the records.
      jobs: not finished yet.
    """
    flags, direct = beam_flags.check(self.flags, self.workers)
    runner = _direct_runner(self.flags, self.workers) if direct else None
    beam_options = pipeline_options.PipelineOptions(flags)
    # A runner that tries a failed element again needs no word to the others.
    teller = maker_lib.Teller(store, direct)
    maker = maker_lib.Maker(teller, source, options, self.threads)
    whole = beam.Pipeline(runner, options=beam_options)
    with _deaths_told(store), whole:
      _ = (
        whole
        | "Shards" >> beam.Create([[job] for job in jobs])
        | "Spread" >> beam.Reshuffle()
        | "Records" >> self._shards(maker)
        | "Write" >> beam.ParDo(Write(teller))
      )

  def _shards(self, maker: maker_lib.Maker):
    """A PTransform: jobs -> (job, Shard)."""
    if self.load is None:
      return beam.FlatMap(_made, maker)
    from hispatial_jax.precompute import beam_model

    return beam_model.infer(maker, self.load)


def _made(jobs: list[plan.Job], maker: maker_lib.Maker):
  for job in jobs:
    yield job, maker.make(job, None)


class Write(beam.DoFn):
  """(job, Shard) -> name of the shard, once it is on disk."""

  def __init__(self, teller: maker_lib.Teller):
    self._teller = teller

  def process(self, element):
    """Keeps the shard."""
    job, shard = element
    if shard is not None:
      with self._teller() as store:
        store.write(job, shard)
    yield job.name


def _direct_runner(flags: Sequence[str], workers: int):
  """The direct runner, with processes of our own beside it for workers > 1."""
  if workers == 1 or any("--direct_" in flag for flag in flags):
    return fn_runner.FnApiRunner()
  # It would advise a running mode that starts other processes.
  logging.getLogger(fn_runner.__name__).setLevel(logging.ERROR)
  environment = environments.SubprocessSDKEnvironment.from_command_string(
    beam_worker.command()
  )
  return fn_runner.FnApiRunner(default_environment=environment)


@contextlib.contextmanager
def _deaths_told(store: store_lib.Store) -> Iterator[None]:
  """A worker process that died stops the run: Beam would wait for it forever.

  Beam raises its exit status in a thread of its own, where nobody looks.
  """
  before = threading.excepthook

  def look(given):
    if given.thread is None or given.thread.name != "run_worker":
      # A broken connection is only the echo.
      if not issubclass(given.exc_type, grpc.RpcError):
        before(given)
    elif not store.stopped():
      hint = "killed, for memory?" if "code -9" in str(given.exc_value) else ""
      store.stop("RuntimeError", f"{given.exc_value} {hint}".strip())

  threading.excepthook = look
  try:
    yield
  finally:
    threading.excepthook = before
