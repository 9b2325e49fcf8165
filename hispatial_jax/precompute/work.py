"""The work of a shard, the same wherever it is done.

    shard = work.make_shard(eyes, source, ids, batch_size=8, options=options)

`eyes` is a moge.MoGe, or anything with its bucket and infer_batch. A shard
depends on its ids alone: pictures of one bucket share batches, and batches are
filled up to one size, so that neither neighbours nor workers change a bit.
"""

import collections
import concurrent.futures
import dataclasses
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hispatial_jax.core import geometry
from hispatial_jax.precompute import columns, pictures, plan, questions, tally

THREADS = max(2, min(8, os.cpu_count() or 2))
# Pixels of pictures that wait for others of their bucket, in bytes.
_WAITING = 1 << 30
# Notes of a shard that are listed; all are counted.
_MOST_NOTES = 100


class Shard(NamedTuple):
  """What became of the ids of a shard.

  Attributes:
    columns: stored columns of the records, in the order of the ids.
    tally: see tally.py.
    bad: the pictures that could not be used.
    notes: of records that could be used; the first of them.
  """

  columns: list[dict[str, Any]]
  tally: dict[str, Any]
  bad: list[pictures.Bad]
  notes: list[pictures.Bad]


def make_shard(
  eyes,
  source,
  ids: list[str],
  batch_size: int,
  options: plan.Options,
  *,
  threads: int = THREADS,
  pool: concurrent.futures.Executor | None = None,
  reader: pictures.Reader | None = None,
  watch: Callable[[int], None] = lambda done: None,
) -> Shard:
  """Makes the records of a shard.

  Args:
    eyes: moge.MoGe, or its tokens, bucket and infer_batch. None where every
      record has its own depth, or needs none.
    source: see data/sources.py; records that have depth keep it, and the
      model is told the intrinsics of those that have them.
    ids: of the shard.
    batch_size: pictures of a batch, over all devices.
    options: of the records.
    threads: that read and compress, where no pool is given.
    pool: of threads, used instead.
    reader: of these ids, if it was started before.
    watch: called often with the number of pictures done; may raise to stop.
  """
  if pool is None:
    with concurrent.futures.ThreadPoolExecutor(threads) as own:
      return make_shard(
        eyes, source, ids, batch_size, options, pool=own, watch=watch
      )
  begin = time.monotonic()
  reader = reader or read_ahead(pool, source, ids, batch_size, options)
  making = _Making(eyes, batch_size, options, pool)
  try:
    for done, picture in enumerate(reader):
      watch(max(0, done - making.waiting))
      making.add(picture)
    making.finish(lambda: watch(len(ids) - making.waiting))
  finally:
    reader.close()
  return making.collect(ids, time.monotonic() - begin)


def read_ahead(pool, source, ids, batch_size, options) -> pictures.Reader:
  """Starts to read the pictures of a shard: two batches at a time."""
  return pictures.Reader(
    pool, source, ids, size=options.size, ahead=2 * batch_size
  )


@dataclasses.dataclass
class _Making:
  """A shard on its way."""

  eyes: Any
  batch_size: int
  options: plan.Options
  pool: concurrent.futures.Executor

  def __post_init__(self):
    self._groups: dict[Any, list[pictures.Picture]] = {}
    self._bytes = 0
    self._encoding: dict[str, concurrent.futures.Future] = {}
    self._bad: list[pictures.Bad] = []
    self._count = collections.Counter()
    self._model_seconds = 0.0
    self._tokens = None
    if self.eyes is not None:
      self._tokens = self.eyes.tokens(self.options.resolution_level)

  @property
  def waiting(self) -> int:
    """Pictures that wait for others of their bucket."""
    return sum(len(group) for group in self._groups.values())

  def add(self, picture: pictures.Picture | pictures.Bad) -> None:
    """Takes a picture; runs the model if a batch is full."""
    if isinstance(picture, pictures.Bad):
      self._bad.append(picture)
    elif picture.record.get("depth_m") is not None:
      self._encode(picture, measured=True)
    elif self.eyes is None and self.options.depth_optional:
      self._encode(picture)
    else:
      self._add_to_group(picture)

  def finish(self, between: Callable[[], None]) -> None:
    """Runs the batches that are not full."""
    while self._groups:
      between()
      self._run(next(iter(self._groups)))

  def collect(self, ids: list[str], seconds: float) -> Shard:
    """Waits for the encoded records and adds up."""
    made: list[columns.Made] = []
    for name in ids:
      if name in self._encoding:
        found = self._encoding[name].result()
        (self._bad if isinstance(found, pictures.Bad) else made).append(found)
    order = {name: number for number, name in enumerate(ids)}
    quarantine = sorted(self._bad, key=lambda item: order[item.id])
    notes = [note for one in made for note in one.notes]
    of_shard = {
      "images": len(quarantine),
      "bad": _reasons(quarantine),
      "noted": _reasons(notes),
      "batches": {key: self._count[key] for key in ("rows", "filled")},
      "seconds": {"all": seconds, "model": self._model_seconds},
    }
    counted = tally.add(
      tally.empty(),
      *(one.tally for one in made),
      of_shard,
      questions.of_shard([one.asked for one in made]),
    )
    stored = [one.columns for one in made]
    return Shard(stored, counted, quarantine, notes[:_MOST_NOTES])

  def _add_to_group(self, picture) -> None:
    name, camera = picture.record["id"], picture.record.get("intrinsics")
    if self.eyes is None:
      problem = ValueError("no depth of its own, and no --moge")
      self._bad.append(pictures.bad(name, problem, "no_depth"))
      return
    reason = "intrinsics"
    try:
      if camera is not None:
        geometry.check_intrinsics(camera)
      reason = "shape"
      bucket = self.eyes.bucket(picture.pixels.shape[:2], self._tokens)
    except ValueError as error:
      self._bad.append(pictures.bad(name, error, reason))
      return
    key = bucket, camera is not None
    group = self._groups.setdefault(key, [])
    group.append(picture)
    self._bytes += picture.pixels.nbytes
    if len(group) == self.batch_size:
      self._run(key)
    while self._bytes > _WAITING:
      self._run(max(self._groups, key=lambda k: len(self._groups[k])))

  def _run(self, key) -> None:
    group = self._groups.pop(key)
    self._bytes -= sum(picture.pixels.nbytes for picture in group)
    cameras = [picture.record.get("intrinsics") for picture in group]
    begin = time.monotonic()
    found = self.eyes.infer_batch(
      [picture.pixels for picture in group],
      pad_to=self.batch_size,
      num_tokens=self._tokens,
      intrinsics=cameras if key[1] else None,
    )
    self._model_seconds += time.monotonic() - begin
    self._count["rows"] += self.batch_size
    self._count["filled"] += len(group)
    for picture, points in zip(group, found, strict=True):
      depth_m = np.asarray(points.depth, np.float32)
      matrix = columns.camera(
        np.asarray(points.intrinsics, np.float32), depth_m
      )
      seen = {"depth_m": depth_m, "intrinsics": matrix}
      picture.record |= seen
      self._encode(picture)

  def _encode(self, picture, measured=False) -> None:
    # The pool works first in, first out, so that reading, which asks for the
    # next pictures here, never runs far ahead of compressing.
    future = self.pool.submit(columns.make, picture, self.options, measured)
    self._encoding[picture.record["id"]] = future


def _reasons(items: list[pictures.Bad]) -> dict[str, int]:
  return dict(collections.Counter(item.reason for item in items))
