"""What a task hands over before it is put in words."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

TEXT, MCQ, YES_NO = "text", "mcq", "yes_no"


@dataclasses.dataclass(frozen=True)
class QA:
  """One question with its answer and the evidence for it.

  Attributes:
    meta: formula (name of the rule), ids (objects in the order of their
      roles), values (the numbers the answer rests on), sigma (how many noise
      widths the answer is away from another one; absent for plain numbers).
  """

  question: str
  answer: str
  level: int
  task: str
  format: str
  meta: dict[str, Any]

  def as_dict(self) -> dict[str, Any]:
    """As data/records.py stores it."""
    return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}


class Draft(NamedTuple):
  """A question before wording.

  Attributes:
    kind: which entry of the bank: "task.kind".
    slots: words of the phrase.
    truth: text of the answer (text), index of the right option (mcq), or
      whether Yes (yes_no).
    options: texts of the options (mcq), in an order to be shuffled.
    key: what is asked; two drafts with one key are the same question.
    meta: see QA.
  """

  kind: str
  slots: dict[str, str]
  truth: Any
  key: tuple
  meta: dict[str, Any]
  options: tuple[str, ...] = ()


class Task(NamedTuple):
  """A task: its level, formats and `draw(scene, roll, format, plain, **)`."""

  level: int
  weight: float
  formats: tuple[str, ...]
  draw: Callable[..., Draft | None]
