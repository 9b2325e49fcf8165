"""From questions and answers to rows of tokens.

A row is bos question newline answer eos, then padding:

    text        bos  q   q   \\n  a   eos  0   0
    mask_ar      0   0   0   0   1   1    1   1     0: seen by all before it
    mask_loss    0   0   0   0   1   1    0   0     1: its loss counts
    mask_input   1   1   1   1   1   1    0   0     1: a real token
    segments     1   1   1   1   1   1    0   0     only when packed

`pack` puts several questions of one image in a row, numbered in `segments`;
the model lets them not see each other. `tokenize` makes a row of each
question, `prompt` a row of each question without its answer, to be decoded.
Source: golden/hispatial_data/FORMAT.md, "Text".
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hispatial_jax.pp import codec

Row = dict[str, np.ndarray]


def encode_prefix(tokenizer, question: str) -> list[int]:
  """Question -> ids: bos, the stripped text without "<image>", newline."""
  text = question.strip().replace("<image>", "")
  return [tokenizer.bos_id, *tokenizer.encode(text), tokenizer.newline_id]


def encode_suffix(tokenizer, answer: str) -> list[int]:
  """Answer -> ids, never stripped, and eos."""
  return [*tokenizer.encode(answer), tokenizer.eos_id]


def rows(
  pairs: Sequence[tuple[list[int], list[int]]],
  length: int,
  *,
  packed: bool,
  pad_id: int = 0,
) -> tuple[Row, list[int], dict[str, int]]:
  """Lays (prefix, suffix) pairs out in rows.

  Args:
    pairs: ids of prefix and suffix of each question; an empty suffix leaves
      the row open, to be decoded.
    length: T.
    packed: all in one row, as many as fit in order, else a row for each.
    pad_id: fills up.

  Returns:
    row: i32[R,T] each: text, mask_ar, mask_loss, mask_input, and segments
      when packed. R = 1 when packed; 0 if nothing fits.
    kept: which pairs were kept.
    dropped: reason -> number of pairs not kept: "answer_too_long" for alone
      in a row, "row_full" for what other questions left.

  Raises:
    ValueError: a prefix alone does not fit; a question is never cut.
  """
  kept, dropped, at, places = [], {}, 0, []
  for number, (prefix, suffix) in enumerate(pairs):
    if len(prefix) > length:
      raise ValueError(
        f"a question of {len(prefix)} tokens does not fit in {length}"
      )
    need = len(prefix) + len(suffix)
    if need > length - at:
      reason = "answer_too_long" if need > length else "row_full"
      dropped[reason] = dropped.get(reason, 0) + 1
      continue
    places.append((0 if packed else len(kept), at))
    kept.append(number)
    at += need if packed else 0
  count = min(len(kept), 1) if packed else len(kept)
  row = _blank(count, length, pad_id, packed)
  for segment, ((r, start), number) in enumerate(
    zip(places, kept, strict=True), 1
  ):
    _write(row, r, start, *pairs[number], segment)
  return row, kept, dropped


def _blank(count: int, length: int, pad_id: int, packed: bool) -> Row:
  shape = (count, length)
  row = {
    "text": np.full(shape, pad_id, np.int32),
    "mask_ar": np.ones(shape, np.int32),
    "mask_loss": np.zeros(shape, np.int32),
    "mask_input": np.zeros(shape, np.int32),
  }
  if packed:
    row["segments"] = np.zeros(shape, np.int32)
  return row


def _write(row: Row, r: int, start: int, prefix, suffix, segment: int):
  middle = start + len(prefix)
  end = middle + len(suffix)
  row["text"][r, start:middle] = prefix
  row["text"][r, middle:end] = suffix
  row["mask_ar"][r, start:middle] = 0
  row["mask_loss"][r, middle:end] = 1
  row["mask_input"][r, start:end] = 1
  if "segments" in row:
    row["segments"][r, start:end] = segment


def get_tokenize(length: int, *, tokenizer):
  """Op `tokenize(64)`: a row for each question, T = 64 with its answer."""
  return _op(length, tokenizer, packed=False, answers=True)


def get_pack(length: int, *, tokenizer):
  """Op `pack(320)`: all questions of the image in one row of T = 320."""
  return _op(length, tokenizer, packed=True, answers=True)


def get_prompt(length: int, *, tokenizer):
  """Op `prompt(64)`: a row for each question, without answer, to decode."""
  return _op(length, tokenizer, packed=False, answers=False)


def _op(length, tokenizer, *, packed, answers):
  def op(example):
    pairs = [_pair(tokenizer, qa, answers) for qa in example["qa"]]
    try:
      row, kept, dropped = rows(
        pairs, length, packed=packed, pad_id=tokenizer.pad_id
      )
    except ValueError as error:
      longest = max(example["qa"], key=lambda qa: len(qa["question"]))
      raise ValueError(
        f"record {example['id']!r}: {error}; give the text operation a"
        f" greater length. Its longest question: {longest['question']!r}"
      ) from None
    if not kept:
      raise codec.BadInput("no_question", "no question and answer fits a row")
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
