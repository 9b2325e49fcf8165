"""`python -m hispatial_jax.train` on generated batches, with accidents.

    python tests/train_driver.py [train's flags]   # run from the root

Environment: KILL_AT (step whose batch ends the process with SIGKILL), TERM_AT
(likewise SIGTERM to itself), RAISE_AT (step whose batch cannot be read), NAN_AT
(step whose image is not a number).
"""

import os
import signal
import sys

import numpy as np

from hispatial_jax import train
from hispatial_jax.data import pipeline

_SIDE, _LENGTH = 28, 12


def _row(number: int) -> dict:
  """One example, by its number in the stream of all processes."""
  rng = np.random.default_rng(number)
  prompt, answer = rng.integers(2, 5), rng.integers(1, 4)
  text = np.zeros(_LENGTH, np.int32)
  used = 1 + prompt + answer + 1
  text[0], text[used - 1] = 2, 1
  text[1 : used - 1] = rng.integers(4, 200, used - 2)
  place = np.arange(_LENGTH)
  suffix = (place > prompt) & (place < used)
  return {
    "image": rng.uniform(-1, 1, (_SIDE, _SIDE, 3)).astype(np.float32),
    "points": rng.uniform(0, 5, (_SIDE, _SIDE, 4)).astype(np.float32),
    "text": text,
    "mask_ar": (place > prompt).astype(np.int32),
    "mask_loss": suffix.astype(np.int32),
    "mask_input": (place < used).astype(np.int32),
    "_mask": np.bool_(True),
  }


class Batches:
  """Stands for pipeline.train_iterator."""

  notes = ()

  def __init__(self, cfg, *, tokenizer, batch_size, process_index, **kwargs):
    self._at, self._size, self._process = 0, batch_size, process_index
    self._all = batch_size * kwargs["process_count"]

  def __next__(self):
    first = self._at * self._all + self._process * self._size
    numbers = range(first, first + self._size)
    rows = [_row(number) for number in numbers]
    self._at += 1
    batch = {k: np.stack([row[k] for row in rows]) for k in rows[0]}
    for name, number in (("KILL_AT", signal.SIGKILL), ("TERM_AT", 15)):
      if str(self._at) == os.environ.get(name):
        os.kill(os.getpid(), number)
    if str(self._at) == os.environ.get("RAISE_AT"):
      raise OSError(f"batch {self._at} cannot be read")
    if str(self._at) == os.environ.get("NAN_AT"):
      batch["image"] = batch["image"] * np.float32("nan")
    return {**batch, "ids": [f"rec-{number}" for number in numbers]}

  def get_state(self):
    return {"batches": self._at}

  def set_state(self, *states):
    self._at = states[0]["batches"]

  def figures(self):
    return {"data/seen": self._at * self._all}


if __name__ == "__main__":
  pipeline.train_iterator = Batches
  sys.exit(train.main())
