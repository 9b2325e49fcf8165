"""Which questions are asked of a record: drawn at load time, or stored."""

import dataclasses
import hashlib
import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from hispatial_jax.core import spec
from hispatial_jax.pp import codec

LEVELS = (0, 1, 2, 3)
_QA_KEYS = ("question", "answer", "level", "task", "format", "meta")


@dataclasses.dataclass(frozen=True)
class Draw:
  """What every random choice about a record depends on, and nothing else.

  Neither order, nor shard, nor process: the record's id, the epoch, the seed.
  """

  record_id: str
  epoch: int = 0
  seed: int = 0

  def number(self, purpose: str) -> int:
    """A seed in 0..2^63-1 for one purpose ("qa", "jitter", ...)."""
    key = f"{self.seed}/{self.epoch}/{purpose}/{self.record_id}"
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1

  def rng(self, purpose: str) -> np.random.Generator:
    """A generator for one purpose."""
    return np.random.default_rng(self.number(purpose))


def draw_qa(
  record,
  seed: int,
  num: int,
  *,
  levels: Sequence[int] | None = None,
  **options,
) -> list[dict[str, Any]]:
  """Draws questions of a record's annotations; see qa.generate.draw.

  Args:
    record, seed, num: of qa.generate.draw.
    levels: draw from tasks of these alone; None: of all.
    **options: of qa.generate.draw.

  Returns:
    At most `num` dicts of question, answer, level, task, format, meta.
  """
  from hispatial_jax.qa import generate

  if levels is not None:
    tasks = options.get("tasks")
    options["tasks"] = [
      name
      for name in (generate.TASKS if tasks is None else tasks)
      if generate.TASKS.get(name, levels[0]) in levels
    ]
  drawn = generate.draw(record, seed, num, **options)
  return [{key: getattr(qa, key) for key in _QA_KEYS} for qa in drawn]


def stored_qa(
  items: list[dict[str, Any]],
  rng: np.random.Generator,
  num: int | None = None,
  levels: Sequence[int] | None = None,
) -> list[dict[str, Any]]:
  """`num` of the stored questions, without replacement; None: all, in order.

  Args:
    items: the stored questions.
    rng: draws.
    num: how many at most.
    levels: those of other levels are left out; None: none is. General ones
      (level -1) always stay.
  """
  if levels is not None:
    items = [item for item in items if item["level"] in (*levels, -1)]
  if num is None:
    return list(items)
  order = rng.permutation(len(items))[:num]
  return [items[i] for i in order]


def check_levels(levels: Sequence[int] | None, where: str) -> None:
  """Raises ValueError if levels is neither None nor some of LEVELS."""
  if levels is None:
    return
  wrong = not isinstance(levels, list | tuple) or not levels
  if wrong or not set(levels) <= set(LEVELS):
    raise ValueError(
      f"{where}: levels={levels!r}; expected some of {LEVELS}, as (0, 2, 3)"
    )


def get_scene():
  """Op `scene`: parses the annotations once, where the pipeline caches."""
  from hispatial_jax.qa import scene

  def op(example):
    return {**example, "scene": scene.Scene.from_record(example)}

  return op


def get_draw_qa(num: int, **options):
  """Op `draw_qa(8, levels=(0, 2))`: num questions, drawn for each epoch."""
  from hispatial_jax.qa import generate

  known = list(inspect.signature(generate.draw).parameters)[3:]
  spec.check_keys(options, [*known, "levels"], "draw_qa")
  check_levels(options.get("levels"), "draw_qa")

  def op(example):
    subject = example.get("scene", example)
    qa = draw_qa(subject, example["draw"].number("qa"), num, **options)
    return {**example, "qa": _some(qa, "drawn")}

  op.draws, op.max_questions = True, num
  return op


def get_stored_qa(num: int | None = None, levels=None):
  """Op `stored_qa(8)`: at most num stored questions, drawn for each epoch."""
  check_levels(levels, "stored_qa")

  def op(example):
    qa = stored_qa(example["qa"], example["draw"].rng("qa"), num, levels)
    return {**example, "qa": _some(qa, "stored")}

  op.draws, op.max_questions = True, num
  return op


def _some(qa, how):
  if not qa:
    raise codec.BadInput("no_question", f"no question is {how}")
  return qa
