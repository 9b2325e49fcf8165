"""Rows of record["qa"] from the questions of the released shards.

They are stored as they were released, and asked at load time: see
qa/released.py. Each function gives the rows and the notes, (reason, one line)
of what was left out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from hispatial_jax.data import plain, records
from hispatial_jax.pp import codec
from hispatial_jax.qa import released

Rows = list[dict[str, Any]]
Notes = list[tuple[str, str]]


def wild(content: Any, name: str) -> tuple[Rows, Notes]:
  """Of a dict level name -> list of items; unknown types are left out.

  Args:
    content: of the file; lists whose name contains "metadata" do not count.
    name: of the record.

  Raises:
    codec.BadInput: "qa", another form, or "too_large".
  """
  if not isinstance(content, Mapping):
    raise codec.BadInput(
      "qa", f"expected a dict of lists of questions, got {_kind(content)}"
    )
  lists = plain.plain(
    {k: v for k, v in content.items() if "metadata" not in str(k)}
  )
  notes = [
    ("qa_list", f"{name}: {key} is no list but {_kind(value)}: left out")
    for key, value in lists.items()
    if not isinstance(value, list | None)
  ]
  items = (
    item for part in lists.values() if isinstance(part, list) for item in part
  )
  return _rows("wild", items, name, notes)


def ca1m(content: Any, name: str) -> tuple[Rows, Notes]:
  """Of a list of items; unknown types are kept, without a level.

  Args:
    content: of the file.
    name: of the record.

  Raises:
    codec.BadInput: "qa", another form, or "too_large".
  """
  if not isinstance(content, list | tuple):
    raise codec.BadInput(
      "qa", f"expected a list of questions, got {_kind(content)}"
    )
  return _rows("ca1m", plain.plain(content), name, [])


def general(turns: list, name: str) -> tuple[Rows, Notes]:
  """Of the turns of a conversation: (human, gpt) pairs at even indices.

  Args:
    turns: dicts with from and value; an odd last one does not count.
    name: of the record.

  Raises:
    codec.BadInput: "no_question" without two turns, "roles" without a pair.
  """
  pairs = list(zip(turns[::2], turns[1::2], strict=False))
  if not pairs:
    raise codec.BadInput(
      "no_question", f"{len(turns)} turns: a question and an answer are needed"
    )
  rows = [
    {
      "question": _sound(question["value"]),
      "answer": _sound(answer["value"]),
      "level": released.UNKNOWN_LEVEL,
      "task": "general",
      "format": records.TURN,
      "meta": {},
    }
    for question, answer in pairs
    if _said(question, "human") and _said(answer, "gpt")
  ]
  wrong = len(pairs) - len(rows)
  text = f"{wrong} of {len(pairs)} pairs of turns are not from human, then gpt"
  if not rows:
    raise codec.BadInput("roles", text)
  return rows, [("roles", f"{name}: {text}")] if wrong else []


def _rows(kind: str, items: Iterable, name: str, notes: Notes):
  rows, unknown, other = [], Counter(), Counter()
  for item in items:
    if item is None:
      continue
    if not isinstance(item, dict):
      other[_kind(item)] += 1
      continue
    task = item.get("qa_type")
    task = _sound(task) if isinstance(task, str) else ""
    level = released.level(kind, task)
    if level == released.UNKNOWN_LEVEL:
      unknown[task] += 1
      if kind == "wild":
        continue
    rows.append(
      {
        "question": "",
        "answer": "",
        "level": level,
        "task": task,
        "format": records.RELEASED,
        "meta": item,
      }
    )
  notes = notes + [
    ("qa_item", f"{name}: {count} items are {what}, no dict: left out")
    for what, count in other.items()
  ]
  done = "left out" if kind == "wild" else "kept without a level"
  notes += [
    ("unknown_qa_type", f"{name}: {count} of qa_type {task!r:.60}: {done}")
    for task, count in unknown.items()
  ]
  if not rows:
    notes.append(("empty_qa", f"{name}: no question"))
  return rows, notes


def _said(turn: Any, role: str) -> bool:
  return (
    isinstance(turn, dict)
    and turn.get("from") == role
    and isinstance(turn.get("value"), str)
  )


def _sound(text: str) -> str:
  """The text; half characters, which no file can hold, as question marks."""
  return text.encode("utf-8", "replace").decode("utf-8")


def _kind(value: Any) -> str:
  return type(value).__name__
