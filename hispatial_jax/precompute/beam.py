"""Spreads the shards with Apache Beam: Create | Reshuffle | infer | write.

An element is the job of one shard, and no grouping stands between the model and
the disk: a worker writes a shard as soon as it is made, whatever the runner.

Beam 2.77's DirectRunner would look for a Prism binary to download; FnApiRunner,
which it falls back to, is named instead. Processes of that runner are given
their elements beforehand, every n-th one.
"""

import argparse
import contextlib
import dataclasses
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.ml.inference import base
from apache_beam.options import pipeline_options
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.transforms import environments

from hispatial_jax.core import spec
from hispatial_jax.precompute import beam_worker, plan, watch, work
from hispatial_jax.precompute import store as store_lib

_DIRECT = ("DirectRunner", "FnApiRunner")


@dataclasses.dataclass(frozen=True)
class Crew:
  """Beam's workers.

  Attributes:
    load: gives the model, an object with bucket and infer_batch; pickled,
      called once a worker. None where every record has its own depth.
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
    flags, direct = pipeline_flags(self.flags, self.workers)
    runner = _direct_runner(self.flags, self.workers) if direct else None
    beam_options = pipeline_options.PipelineOptions(flags)
    # A runner that tries a failed element again needs no word to the others.
    teller = Teller(store, direct)
    handler = PointMaps(teller, source, self.load, options, self.threads)
    whole = beam.Pipeline(runner, options=beam_options)
    with _deaths_told(store), whole:
      _ = (
        whole
        | "Shards" >> beam.Create([[job] for job in jobs])
        | "Spread" >> beam.Reshuffle()
        | "PointMaps" >> base.RunInference(handler.with_no_batching())
        | "Write" >> beam.ParDo(Write(teller))
      )


@dataclasses.dataclass(frozen=True)
class Teller:
  """The store, and whether an error is told to all workers."""

  store: store_lib.Store
  tell: bool

  @contextlib.contextmanager
  def __call__(self) -> Iterator[store_lib.Store]:
    """Gives the store; tells what is raised inside."""
    try:
      yield self.store
    except Exception as error:
      if self.tell and not isinstance(error, watch.Stopped):
        with contextlib.suppress(OSError):
          self.store.stop(type(error).__name__, str(error))
      raise


class PointMaps(base.ModelHandler):
  """RunInference's handler: a shard's job in, (job, Shard) out."""

  def __init__(self, teller: Teller, source, load, options, threads: int):
    """See Crew; pickled and sent to the workers."""
    super().__init__()
    self._teller, self._source, self._load = teller, source, load
    self._options, self._threads = options, threads

  def load_model(self) -> "Model":
    """Loads the model, once in a worker."""
    with self._teller():
      return Model(self._load() if self._load else None)

  def run_inference(
    self, batch: Sequence[plan.Job], model: "Model", inference_args=None
  ) -> Iterable[tuple[plan.Job, work.Shard | None]]:
    """Makes the shards of the jobs; None for one that is finished already."""
    for job in batch:
      with self._teller() as store:
        made = None
        if not store.sidecar(job):
          made = self._make(store, job, model.eyes)
      yield job, made

  def _make(self, store, job, eyes) -> work.Shard:
    note = watch.Worker(store, job)
    note.check()
    return work.make_shard(
      eyes,
      self._source,
      plan.ids_of(self._source, job),
      self._options.batch_size,
      self._options,
      threads=self._threads,
      watch=note,
    )


class Model:
  """The model in a class of its own, as Beam keeps a weak reference to it."""

  def __init__(self, eyes):
    self.eyes = eyes


class Write(beam.DoFn):
  """(job, Shard) -> name of the shard, once it is on disk."""

  def __init__(self, teller: Teller):
    self._teller = teller

  def process(self, element):
    """Keeps the shard."""
    job, shard = element
    if shard is not None:
      with self._teller() as store:
        store.write(job, shard)
    yield job.name


def pipeline_flags(
  flags: Sequence[str], workers: int
) -> tuple[list[str], bool]:
  """(flags for Beam, whether its direct runner is meant).

  Args:
    flags: of the command line that are Beam's.
    workers: processes of the direct runner, where the flags say nothing.

  Raises:
    ValueError: flags that Beam does not know.
  """
  known, unknown = _parser().parse_known_args(list(flags))
  if unknown:
    raise ValueError(_unknown(unknown))
  direct = (known.runner or _DIRECT[0]) in _DIRECT
  if direct and not any("--direct_" in flag for flag in flags):
    return [*flags, f"--direct_num_workers={workers}"], True
  return list(flags), direct


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


class _Parser(argparse.ArgumentParser):
  """Knows flags whose values come later as well, as Beam's own does."""

  def add_value_provider_argument(self, *args, **kwargs):
    self.add_argument(*args, **kwargs)


def _parser() -> _Parser:
  """All flags of Beam, as its PipelineOptions puts them together."""
  parser = _Parser(
    allow_abbrev=False, add_help=False, conflict_handler="resolve"
  )
  for kind in pipeline_options.PipelineOptions.__subclasses__():
    kind._add_argparse_args(parser)
  return parser


def _unknown(words: list[str]) -> str:
  names = [word.partition("=")[0] for word in words if word.startswith("--")]
  known = [
    name for action in _parser()._actions for name in action.option_strings
  ]
  hints = [name + spec.did_you_mean(name, known) for name in names]
  return f"unknown flags: {', '.join(hints) or ' '.join(words)}"
