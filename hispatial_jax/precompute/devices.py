"""Spreads the shards over JAX devices, of one process or of many.

Each process takes every process_count-th shard. A batch has `batch_size`
pictures for each of the process's devices; parameters are on all of them.
While the devices work, threads read and decode what comes next, also of the
next shard, and compress what was found.

Processes share nothing but the folder: whoever is done waits until all shards
are there, so that a slow one never keeps the others in a collective.
"""

import concurrent.futures
import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from hispatial_jax.precompute import plan, watch, work
from hispatial_jax.precompute import store as store_lib


@dataclasses.dataclass(frozen=True)
class Crew:
  """The devices of all processes.

  Attributes:
    load: load(devices=...) gives the model, which splits its batches over
      these. None where every record has its own depth.
    threads: of each process, that read and compress.
  """

  load: Callable[[], Any] | None
  threads: int = work.THREADS

  @property
  def first(self) -> bool:
    """Whether this is process 0."""
    return jax.process_index() == 0

  def agree(self, ok: bool, what: str) -> None:
    """Waits for process 0, and leaves with it.

    Raises:
      ValueError: process 0 could not do `what`.
    """
    if jax.process_count() == 1:
      return
    done = multihost_utils.broadcast_one_to_all(np.array(ok))
    if not done and not self.first:
      raise ValueError(f"process 0 could not {what}: it says why")

  def work(
    self,
    store: store_lib.Store,
    source,
    options: plan.Options,
    jobs: Sequence[plan.Job],
  ) -> None:
    """Makes this process's share of the jobs; returns when it is on disk.

    Args:
      store: begun.
      source: see data/sources.py.
      options: of the records.
      jobs: not finished yet, of all processes.
    """
    whole = store.plan.jobs[jax.process_index() :: jax.process_count()]
    left = set(jobs)
    mine = [job for job in whole if job in left]
    if not mine:
      return
    eyes = self.load(devices=jax.local_devices()) if self.load else None
    rows = options.batch_size * jax.local_device_count()
    with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
      readers = _Readers(pool, source, mine, rows, options)
      with contextlib.closing(readers):
        for job, ids, reader in readers:
          note = watch.Worker(store, job)
          note.check()
          shard = work.make_shard(
            eyes,
            source,
            ids,
            rows,
            options,
            pool=pool,
            reader=reader,
            watch=note,
          )
          store.write(job, shard)


class _Readers:
  """(job, ids, reader) of each job; the next one's reader has begun."""

  def __init__(self, pool, source, jobs, rows, options):
    self._pool, self._source, self._jobs = pool, source, jobs
    self._rows, self._options = rows, options
    self._next = None

  def __iter__(self):
    self._next = self._begin(self._jobs[0])
    for job in [*self._jobs[1:], None]:
      found, self._next = self._next, self._begin(job) if job else None
      yield found

  def close(self):
    if self._next:
      self._next[2].close()

  def _begin(self, job):
    ids = plan.ids_of(self._source, job)
    reader = work.read_ahead(
      self._pool, self._source, ids, self._rows, self._options
    )
    return job, ids, reader
