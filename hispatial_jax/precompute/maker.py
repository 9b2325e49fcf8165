"""Makes the shards of jobs in a worker, and tells everyone what goes wrong."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

from hispatial_jax.precompute import beam_worker, plan, watch, work
from hispatial_jax.precompute import store as store_lib


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
      # Whose run was killed may find its files gone: that is no news to a run
      # that goes on in the same folder.
      known = isinstance(error, watch.Stopped) or beam_worker.orphaned()
      if self.tell and not known:
        with contextlib.suppress(OSError):
          self.store.stop(type(error).__name__, str(error))
      raise


@dataclasses.dataclass(frozen=True)
class Maker:
  """What a worker needs to make shards; pickles small.

  Attributes:
    teller: of the store.
    source: see data/sources.py.
    options: of the records.
    threads: that read and compress.
  """

  teller: Teller
  source: Any
  options: plan.Options
  threads: int

  def make(self, job: plan.Job, eyes) -> work.Shard | None:
    """Makes a shard; None if it is finished already.

    Args:
      job: of the shard.
      eyes: the model; None without one.
    """
    with self.teller() as store:
      if store.sidecar(job):
        return None
      note = watch.Worker(store, job)
      note.check()
      return work.make_shard(
        eyes,
        self.source,
        plan.ids_of(self.source, job),
        self.options.batch_size,
        self.options,
        threads=self.threads,
        watch=note,
      )
