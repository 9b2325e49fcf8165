"""The endless batches of training, all processes in step.

Batch t of the whole run is about positions t*B .. (t+1)*B - 1 of the mixture, B
the batch of all processes, of which process p of P takes p::P. A record that
gives no row is not replaced by the next one: its rows stay padding. So the
records of batch t are the same for any number of processes, and where the
stream stands is one number.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import grain
import numpy as np

from hispatial_jax.core import mesh
from hispatial_jax.data import batches, mixture, parts, tally

# More positions than any run has: grain wants an end.
_POSITIONS = 1 << 60


class TrainIterator:
  """next() gives a batch; get_state() a small JSON-able dict.

  Attributes:
    tally: tally.Tally of this process.
    notes: lines that say what was left out of the mixture.
  """

  def __init__(
    self,
    opened: parts.Opened,
    cfg: Mapping[str, Any],
    *,
    batch_size: int,
    process_index: int,
    process_count: int,
    seed: int,
  ):
    """Arguments as of `pipeline.train_iterator`; cfg complete."""
    self.notes, self._missing = opened.notes, opened.missing
    self._rank, self._count = process_index, process_count
    self._batch_size, self._per_image = batch_size, opened.max_questions
    self._parts = list(opened.parts.values())
    self._mixture = mixture.Mixture(
      {part.name: part.weight for part in self._parts},
      batch_size=batch_size * process_count,
      seed=seed,
    )
    sizes = {part.name: len(part) for part in self._parts}
    self._size = sum(sizes.values())
    self.tally = tally.Tally(
      cfg["max_bad_share"],
      {name: math.ceil(n / process_count) for name, n in sizes.items()},
    )
    mine = grain.MapDataset.range(_POSITIONS).map(self._example)
    mine = mine[process_index::process_count]
    self._examples = iter(read_ahead(mine, cfg))
    self._position, self._like = 0, None

  def __iter__(self) -> Iterator[batches.Batch]:
    return self

  def __next__(self) -> batches.Batch:
    examples = [next(self._examples) for _ in range(self._batch_size)]
    self._position += self._batch_size * self._count
    # Not `and`: each one is counted.
    used = [self.tally.count(example) for example in examples]
    if self._like is None:
      self._like = self._first_usable(examples)
    return batches.of_examples(
      [e if use else None for e, use in zip(examples, used, strict=True)],
      self._per_image,
      self._like,
    )

  def get_state(self) -> dict[str, Any]:
    """Where the stream stands after the last batch returned."""
    return {"position": self._position, "tally": self.tally.get_state()}

  def set_state(self, *states: Mapping[str, Any]) -> None:
    """Continues where other iterators of the same config stood, exactly.

    Args:
      *states: of all processes of that run, however many they were. Their
        positions are one and the same; what they had counted is shared out
        among the processes of today.

    Raises:
      ValueError: they are no states of this stream.
    """
    positions = {state.get("position") for state in states}
    if len(positions) != 1 or None in positions:
      raise ValueError(
        "the checkpoint holds no position of this stream (an older version's?):"
        f" {list(states)}; start in another --workdir, from its parameters"
      )
    (position,) = positions
    start = max(0, math.ceil((position - self._rank) / self._count))
    self._examples.set_state({"next_index": start})
    self._position = position
    mine = [state["tally"] for state in states[self._rank :: self._count]]
    self.tally.set_states(mine, epoch=self._size * len(mine) / len(states))

  def figures(self) -> dict[str, float]:
    """What came by since step 0, over all processes, and the weights now.

    data/seen, data/part/NAME, data/task/NAME, data/bad/REASON, ...; all
    processes have to call it together.
    """
    step = self._position // (self._batch_size * self._count)
    shares = self._mixture.shares(max(0, step - 1))
    shares |= dict.fromkeys(self._missing, 0.0)
    weights = {f"data/weight/{name}": x for name, x in shares.items()}
    return tally.figures(mesh.gather_json(self.tally.get_state())) | weights

  def _example(self, position: int):
    number, index = self._mixture(position)
    return self._parts[number].example(index)

  def _first_usable(self, examples) -> dict[str, np.ndarray]:
    """Some example, whose sizes padding takes.

    Raises:
      NothingUsable: an epoch of all parts has none.
    """
    for example in examples:
      if not isinstance(example, tally.Unusable):
        return example
    for position in range(self._size):
      example = self._example(position)
      if not isinstance(example, tally.Unusable):
        return example
    raise tally.NothingUsable(
      f"not one of {self._size} records, an epoch of all parts, gives an"
      f" example; the last: {example.message}"
    )


def read_ahead(dataset, cfg: Mapping[str, Any]):
  """An iterable of a grain.MapDataset, made by threads."""
  threads = int(cfg["num_threads"])
  return dataset.to_iter_dataset(
    grain.ReadOptions(
      num_threads=threads,
      prefetch_buffer_size=max(1, int(cfg["prefetch"])) if threads else 0,
    )
  )
