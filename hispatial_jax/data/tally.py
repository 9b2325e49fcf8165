"""What came by: examples by part, rows by task, and what could not be used.

Three things happen to a record that gives no row, or fewer rows than it might:

  bad      it cannot be used. Too many of them stop the run.
  empty    it is sound but gives no question here: a level filter left none, or
           no answer fits. Counted and shown; no fault.
  dropped  one of its questions fits no row.
"""

import collections
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

# The reason of codec.BadInput that says: sound, but nothing to ask.
NO_QUESTION = "no_question"
_MAX_NAMED = 5
# A part is not given up before so many records: a few may be empty by chance.
_PATIENCE = 50
_COUNTERS = ("seen", "part", "task", "bad", "empty", "dropped")


class Unusable(NamedTuple):
  """Stands in the stream where a record gave no example."""

  part: str
  reason: str
  message: str


class NotUsable(ValueError):
  """The records cannot be trained on."""


class TooManyBadRecords(NotUsable):
  """More records than the config allows could not be used."""


class NothingUsable(NotUsable):
  """A whole epoch of a part gave not one example."""


class Tally:
  """Counts what one process sees.

  Attributes:
    seen: part -> records that came by.
    part: part -> examples used.
    task: task -> rows used.
    bad, empty: reason -> records; dropped: reason -> questions.
  """

  def __init__(self, max_bad_share: float, sizes: Mapping[str, float]):
    """Starts at 0.

    Args:
      max_bad_share: of the records of an epoch, or of those seen.
      sizes: part -> records of an epoch, of this process.
    """
    self._share, self._sizes = max_bad_share, dict(sizes)
    self._epoch = sum(sizes.values())
    self._messages: list[str] = []
    self.set_states([])

  def count(self, example) -> bool:
    """Counts one; True if it has rows.

    Raises:
      TooManyBadRecords: past the share; says reasons and the latest records.
      NothingUsable: a whole epoch of a part gave nothing.
    """
    if isinstance(example, Unusable):
      self.seen[example.part] += 1
      if example.reason == NO_QUESTION:
        self.empty[NO_QUESTION] += 1
      else:
        self._count_bad(example)
      self._check_part(example.part)
      return False
    part = example["part"]
    self.seen[part] += 1
    self.dropped.update(example.get("dropped", {}))
    if not example["qa"]:
      self.empty[NO_QUESTION] += 1
      self._check_part(part)
      return False
    self.part[part] += 1
    self.task.update(qa["task"] or "unnamed" for qa in example["qa"])
    return True

  def get_state(self) -> dict[str, dict[str, int]]:
    """JSON-able."""
    return {name: dict(getattr(self, name)) for name in _COUNTERS}

  def set_states(
    self, states: Iterable[Mapping[str, Any]], epoch: float | None = None
  ) -> None:
    """Counts on from the sum of states.

    Args:
      states: of one process, or of several whose part this one takes on.
      epoch: records of an epoch that these states were about, if more.
    """
    self._epoch = max(self._epoch, epoch or 0)
    for name, counter in total(states).items():
      setattr(self, name, counter)

  def _count_bad(self, example: Unusable) -> None:
    self.bad[example.reason] += 1
    self._messages = [*self._messages, example.message][-_MAX_NAMED:]
    bad, seen = self.bad.total(), self.seen.total()
    if bad > self._share * max(seen, self._epoch):
      raise TooManyBadRecords(
        f"{bad} of {seen} records could not be used ({_listed(self.bad)}), more"
        " than max_bad_share allows; the latest:\n  "
        + "\n  ".join(self._messages)
      )

  def _check_part(self, part: str) -> None:
    seen = self.seen[part]
    if self.part[part] or seen < max(self._sizes.get(part, 0), _PATIENCE):
      return
    raise NothingUsable(
      f"not one of {seen} records of {part!r}, an epoch of it, gave an example:"
      f" bad: {_listed(self.bad)}; without a question: {self.empty.total()};"
      f" questions dropped: {_listed(self.dropped)}. Look at its operations"
      " (levels, text length), or leave the part out"
    )


def total(states: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
  """Name of each counter -> the sum over the states of several processes."""
  out = {name: collections.Counter() for name in _COUNTERS}
  for state in states:
    for name, counter in out.items():
      counter.update(state.get(name, {}))
  return out


def figures(states: Iterable[Mapping[str, Any]]) -> dict[str, int]:
  """For the metrics: data/part/NAME, data/task/NAME, data/bad/REASON, ..."""
  counters = total(states)
  out = {"data/seen": counters.pop("seen").total()}
  for name, counter in counters.items():
    out |= {f"data/{name}/{key}": n for key, n in sorted(counter.items())}
  return out


def short(found: Mapping[str, float]) -> dict[str, float]:
  """For the progress line: sums of what went wrong, where something did."""
  out = {}
  for name in ("bad", "empty", "dropped"):
    count = sum(
      n for key, n in found.items() if key.startswith(f"data/{name}/")
    )
    if count:
      out[name] = count
  return out


def _listed(counter: Mapping[str, int]) -> str:
  found = ", ".join(f"{key}: {n}" for key, n in sorted(counter.items()))
  return found or "none"
