"""Looks after a run while it works: progress, the share of bad ones, the end.

Whoever works, wherever, leaves sidecars and notes in OUT/shards. `Watch` looks
at those from time to time, so that Beam and devices are watched alike.
"""

import time
from typing import Any

from hispatial_jax.precompute import plan, tally
from hispatial_jax.precompute import store as store_lib

_MAX_NAMED = 5
_NOTE_EVERY_S = 2.0
_LOOK_EVERY_S = 0.5


class Stopped(Exception):
  """A worker leaves its shard, because the run ends."""


class TooManyBad(RuntimeError):
  """More pictures than allowed could not be used."""


class Watch:
  """What is finished, and whether to go on.

  Attributes:
    sidecars: job name -> sidecar of the finished shards, less its tally.
    total: the sum of the tallies.
  """

  def __init__(self, store: store_lib.Store, max_bad_share: float):
    self._store, self._share = store, max_bad_share
    self._jobs = {job.name: job for job in store.plan.jobs}
    self.sidecars: dict[str, dict[str, Any]] = {}
    self.total = tally.empty()
    self._begin, self._before = time.monotonic(), None
    self._done, self._next = 0, 0.0

  @property
  def left(self) -> list[plan.Job]:
    """Jobs not finished."""
    return [j for j in self._store.plan.jobs if j.name not in self.sidecars]

  def look(self) -> int:
    """Reads new sidecars; returns the pictures done, those under way too.

    Raises:
      TooManyBad: of the pictures of the whole run, too many were bad already.
    """
    now = time.monotonic()
    if now < self._next:
      return self._done
    under_way = 0
    for name in sorted(self._store.names()):
      stem, _, kind = name.rpartition(".")
      if stem in self.sidecars or stem not in self._jobs:
        continue
      if kind == "json":
        self._add(stem)
      elif kind == "doing":
        under_way += self._store.doing(stem)
    if self._before is None:
      self._before = self.total["images"]
    self._done = self.total["images"] + under_way
    # Of many shards on a slow disk a look takes time; that is kept to 5 %.
    after = time.monotonic()
    self._next = after + max(_LOOK_EVERY_S, 20 * (after - now))
    self._check_share()
    return self._done

  def last_look(self) -> int:
    """`look`, without regard to when the last one was."""
    self._next = 0.0
    return self.look()

  def speed(self) -> dict[str, float]:
    """Of this run: images, seconds, images_per_second."""
    seconds = time.monotonic() - self._begin
    images = self.total["images"] - (self._before or 0)
    return {
      "images": images,
      "seconds": seconds,
      "images_per_second": images / max(seconds, 1e-9),
    }

  def splits(self) -> dict[str, dict[str, int]]:
    """Split -> shards, images, records, bytes, file_size; what is finished."""
    rows: dict[str, dict[str, int]] = {}
    for job in self._store.plan.jobs:
      if found := self.sidecars.get(job.name):
        one = {key: found[key] for key in ("records", "bytes", "file_size")}
        one |= {"shards": 1, "images": job.stop - job.start}
        rows[job.split] = tally.add(rows.get(job.split, {}), one)
    return rows

  def _add(self, job_name: str) -> None:
    found = self._store.sidecar(self._jobs[job_name])
    if found:
      self.total = tally.add(self.total, found.pop("tally"))
      self.sidecars[job_name] = found

  def _check_share(self) -> None:
    count, total = tally.bad_count(self.total), self._store.plan.images
    if count <= self._share * total:
      return
    latest = [
      f"{item['id']} ({item['reason']}): {item['message']}"
      for found in self.sidecars.values()
      for item in found["bad"]
    ][-_MAX_NAMED:]
    raise TooManyBad(
      f"{count} of {self.total['images']} pictures could not be used"
      f" ({tally.reasons(self.total['bad'])}): more than --max-bad-share"
      f" {self._share:g} of all {total} allows; repair them and say --redo-bad,"
      " or allow more. The latest:\n  " + "\n  ".join(latest)
    )


class Worker:
  """What a worker says and asks between batches, at most so often."""

  def __init__(self, store: store_lib.Store, job: plan.Job):
    self._store, self._job = store, job
    self._noted = self._looked = time.monotonic()

  def __call__(self, done: int) -> None:
    """Notes the pictures done; to be called often.

    Raises:
      Stopped: someone asked the run to stop.
    """
    now = time.monotonic()
    if now - self._looked > _LOOK_EVERY_S:
      self._looked = now
      self.check()
    if now - self._noted > _NOTE_EVERY_S:
      self._noted = now
      self._store.note(self._job, done)

  def check(self) -> None:
    """Raises Stopped if someone asked to."""
    mark = self._store.stopped()
    if mark:
      raise Stopped(mark["error"])
