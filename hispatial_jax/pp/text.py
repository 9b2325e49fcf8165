"""From questions and answers to rows of tokens.

A row is bos question newline answer eos, then padding:

    text        bos  q   q   \\n  a   eos  0   0
    mask_ar      0   0   0   0   1   1    1   1     0: seen by all before it
    mask_loss    0   0   0   0   1   1    0   0     1: its loss counts
    mask_input   1   1   1   1   1   1    0   0     1: a real token

`tokenize` makes a row of each question, `prompt` a row of each question
without its answer, to be decoded. A question that is too long is an error; with
an answer that is too long it is left out and counted under `dropped`, so that
an example may come to have no row at all.
Source: golden/hispatial_data/FORMAT.md, "Text".
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

Row = dict[str, np.ndarray]


def encode_prefix(tokenizer, question: str) -> list[int]:
  """Question -> ids: bos, the stripped text without "<image>", newline."""
  text = question.strip().replace("<image>", "")
  return [tokenizer.bos_id, *tokenizer.encode(text), tokenizer.newline_id]


def encode_suffix(tokenizer, answer: str) -> list[int]:
  """Answer -> ids, never stripped, and eos."""
  return [*tokenizer.encode(answer), tokenizer.eos_id]


def rows(
  pairs: Sequence[tuple[list[int], list[int]]], length: int, *, pad_id: int = 0
) -> tuple[Row, list[int], dict[str, int]]:
  """Lays (prefix, suffix) pairs out, a row for each.

  Args:
    pairs: ids of prefix and suffix of each question; an empty suffix leaves
      the row open, to be decoded.
    length: T.
    pad_id: fills up.

  Returns:
    row: i32[R,T] each: text, mask_ar, mask_loss, mask_input.
    kept: which pairs were kept.
    dropped: reason -> number of pairs not kept ("answer_too_long").

  Raises:
    ValueError: a prefix alone does not fit; a question is never cut.
  """
  for prefix, _ in pairs:
    if len(prefix) > length:
      raise ValueError(
        f"a question of {len(prefix)} tokens does not fit in {length}"
      )
  kept = [i for i, (p, s) in enumerate(pairs) if len(p) + len(s) <= length]
  row = blank(len(kept), length, pad_id=pad_id)
  for r, number in enumerate(kept):
    prefix, suffix = pairs[number]
    middle, end = len(prefix), len(prefix) + len(suffix)
    row["text"][r, :end] = [*prefix, *suffix]
    row["mask_ar"][r, :middle] = 0
    row["mask_loss"][r, middle:end] = 1
    row["mask_input"][r, :end] = 1
  lost = len(pairs) - len(kept)
  return row, kept, {"answer_too_long": lost} if lost else {}


def blank(count: int, length: int, *, pad_id: int = 0) -> Row:
  """`count` rows i32[count,length] of padding: no token is real or counts."""
  shape = (count, length)
  return {
    "text": np.full(shape, pad_id, np.int32),
    "mask_ar": np.ones(shape, np.int32),
    "mask_loss": np.zeros(shape, np.int32),
    "mask_input": np.zeros(shape, np.int32),
  }


def get_tokenize(length: int, *, tokenizer):
  """Op `tokenize(64)`: a row for each question, T = 64 with its answer."""
  return _op(length, tokenizer, answers=True)


def get_prompt(length: int, *, tokenizer):
  """Op `prompt(64)`: a row for each question, without answer, to decode."""
  return _op(length, tokenizer, answers=False)


def _op(length, tokenizer, *, answers):
  def op(example):
    pairs = [_pair(tokenizer, qa, answers) for qa in example["qa"]]
    try:
      row, kept, dropped = rows(pairs, length, pad_id=tokenizer.pad_id)
    except ValueError as error:
      longest = max(example["qa"], key=lambda qa: len(qa["question"]))
      raise ValueError(
        f"record {example['id']!r}: {error}; give the text operation a"
        f" greater length. Its longest question: {longest['question']!r}"
      ) from None
    counts = {**example.get("dropped", {})}
    for reason, count in dropped.items():
      counts[reason] = counts.get(reason, 0) + count
    qa = [example["qa"][number] for number in kept]
    return {**example, **row, "qa": qa, "dropped": counts}

  op.draws = True
  return op


def _pair(tokenizer, qa: dict[str, Any], answers: bool):
  prefix = encode_prefix(tokenizer, qa["question"])
  return prefix, encode_suffix(tokenizer, qa["answer"]) if answers else []
