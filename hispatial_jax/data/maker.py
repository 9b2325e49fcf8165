"""Makes the records of a source, in several processes if wanted.

`make_chunk` is what Beam's workers call. Under the direct runner that is this
process: it keeps a pool of processes, and says when a record is made.
"""

import concurrent.futures
import contextlib
import functools
import io
import itertools
import json
import logging
import multiprocessing
import pathlib
import shutil
from collections.abc import Callable, Iterable, Iterator

from hispatial_jax.data import records, sources

_MAX_NAMED = 10
_LOG = logging.getLogger(__name__)

# Called in the process that runs Beam's default runner, after each record.
_on_record: Callable[[], None] | None = None
_pools: dict[int, concurrent.futures.ProcessPoolExecutor] = {}


@contextlib.contextmanager
def processes(on_record):
  """Sets what is called after each record; ends the processes at the end."""
  global _on_record
  _on_record = on_record
  try:
    yield
  finally:
    _on_record = None
    for pool in _pools.values():
      pool.shutdown()
    _pools.clear()


def make_chunk(
  source, workers: int, skip_bad: bool, ids: list[str]
) -> Iterator[tuple[str, dict]]:
  """Makes the records of a chunk, in `workers` processes."""
  make = functools.partial(sources.make_encoded, source)
  if workers > 1:
    made: Iterable = _pool(workers).map(make, ids, chunksize=4)
  else:
    made = map(make, ids)
  bad = []
  for name, columns, problem in made:
    if _on_record is not None:
      _on_record()
    if problem and skip_bad:
      _LOG.warning("left out a bad record: %s", problem)
    elif problem:
      bad.append(problem)
      if len(bad) == _MAX_NAMED:
        break
    else:
      pictures = {k: io.BytesIO(columns[k]) for k in ("image", "depth")}
      yield name, {**columns, **pictures}
  if bad:
    raise records.BadRecord("build", "\n".join(bad))


def _pool(workers: int) -> concurrent.futures.ProcessPoolExecutor:
  if workers not in _pools:
    _pools[workers] = concurrent.futures.ProcessPoolExecutor(
      workers, mp_context=multiprocessing.get_context("spawn")
    )
  return _pools[workers]


def check_space(source, directory, workers: int) -> None:
  """Makes one record, to see that there is room for all.

  It is made in the worker processes, which start meanwhile.
  """
  total = sum(len(ids) for ids in source.splits.values())
  first = next(itertools.chain(*source.splits.values()), None)
  if first is None:
    raise ValueError("the source has no records")
  if workers > 1:
    make = _pool(workers).submit
    tries = [make(sources.make_encoded, source, first) for _ in range(workers)]
    _, columns, problem = tries[0].result()
  else:
    _, columns, problem = sources.make_encoded(source, first)
  if problem or "://" in str(directory):
    return
  size = sum(len(columns[k]) for k in ("image", "depth", "objects"))
  need = int(1.2 * total * (size + len(json.dumps(columns["qa"])) + 500))
  place = pathlib.Path(directory)
  place.mkdir(parents=True, exist_ok=True)
  free = shutil.disk_usage(place).free
  if need > free:
    raise OSError(
      f"no space left: {total} records need about {need / 1e6:.0f} MB in"
      f" {place}, {free / 1e6:.0f} MB are free"
    )


def explained(error: Exception, directory) -> Exception:
  """The cause, in one line, of what Beam wrapped and wrapped again."""
  chain, seen = error, error
  while chain is not None:
    seen = chain
    if isinstance(chain, records.BadRecord):
      return chain
    if "No space left" in str(chain):
      return OSError(f"no space left in {directory}; nothing was kept there")
    chain = chain.__cause__ or chain.__context__
  return seen
