"""Judged answers over padded batches: exact, whatever the batch size."""

import functools
import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from hispatial_jax.benchmarks import by_level as benchmark
from hispatial_jax.data import pipeline
from hispatial_jax.evaluators import by_level, rows


class _Words:
  """Ids 10, 11, ... stand for whole answers."""

  answers = ("1.00 m", "2.00 m", "Yes", "No", "(A)", "well")

  def decode(self, ids):
    return " ".join(self.answers[i - 10] for i in ids if i >= 10)


def _questions(n):
  out = []
  for i in range(n):
    kind = i % 3
    out.append(
      {
        "question": "Which?\n(A). left\n(B). right" if kind == 2 else "How?",
        "answer": ("1.00 m", "Yes", "(A)")[kind],
        "level": (1, 2, 2)[kind],
        "task": ("size", "left", "nearer")[kind],
        "format": ("text", "yes_no", "mcq")[kind],
        "meta": {},
        "said": (10 + i % 2, 12 + i % 2, 14 + i % 2)[kind],
      }
    )
  return out


def _batches(questions, batch_size):
  for start in range(0, len(questions), batch_size):
    some = questions[start : start + batch_size]
    pad = batch_size - len(some)
    said = np.array([[2, q["said"], 4, 0] for q in some + some[-1:] * pad])
    yield {
      "image": np.zeros((batch_size, 2, 2, 3), np.float32),
      "text": said.astype(np.int32),
      "mask_ar": np.tile(np.array([0, 0, 0, 1], np.int32), (batch_size, 1)),
      "mask_input": np.tile(np.array([1, 1, 1, 0], np.int32), (batch_size, 1)),
      "_mask": np.arange(batch_size) < len(some),
      "qa": some + [None] * pad,
      "ids": [f"i{(start + k) // 4}" for k in range(len(some))] + [None] * pad,
      "index": [(start + k) // 4 for k in range(len(some))] + [None] * pad,
    }


def _generate(params, batch, max_new_tokens):
  """Says what its prompt's second token names, then eos."""
  tokens = np.zeros((len(batch["text"]), max_new_tokens), np.int32)
  tokens[:, 0], tokens[:, 1] = batch["text"][:, 1], 1
  return {"tokens": tokens, "logp": np.full(tokens.shape, -0.5, np.float32)}


def _evaluate(n, batch_size, **options):
  questions = _questions(n)
  evaluator = by_level.Evaluator(
    {"generate": _generate},
    tokenizer=_Words(),
    max_new_tokens=4,
    batches=functools.partial(_batches, questions, batch_size),
    constants=benchmark.constant_answers(questions),
    **options,
  )
  return dict(evaluator.run(None)), evaluator


@pytest.mark.parametrize("batch_size", [1, 4, 7, 64])
def test_counts_do_not_depend_on_the_batch_size(batch_size):
  figures, evaluator = _evaluate(23, batch_size)
  reference, by_ones = _evaluate(23, 23)
  assert figures == reference
  assert evaluator.rows == by_ones.rows
  # Every even question is answered right: 12 of 23.
  assert sum(row["correct"] for row in evaluator.rows) == 12
  assert figures["n"] == 23
  assert figures["accuracy"] == 12 / 23
  assert figures["accuracy/level1"] == 4 / 8
  assert figures["constant/left"] == 1.0
  assert figures["unparsed"] == sum(i % 6 == 5 for i in range(23)) / 23


def test_rows_hold_what_was_said():
  _, evaluator = _evaluate(5, 4)
  first = evaluator.rows[0]
  assert first["answer"] == "1.00 m"
  assert first["id"] == "i0"
  assert first["logp"] == -2.0
  assert first["ended"] is True
  assert evaluator.rows[4]["id"] == "i1"


def test_a_subset_for_the_loop():
  done = []
  figures, _ = _evaluate(23, 4, max_batches=2, on_batch=done.append)
  assert figures["n"] == 8
  assert done == [4, 8]


def test_constants_of_another_split_are_read_once(monkeypatch):
  asked = []

  def eval_batches(cfg, *, tokenizer, batch_size, mode, **processes):
    asked.append((cfg["split"], mode))
    return list(_batches(_questions(9), batch_size))

  monkeypatch.setattr(pipeline, "eval_batches", eval_batches)
  evaluator = by_level.Evaluator(
    {"generate": _generate},
    tokenizer=_Words(),
    constant_split="train",
    dir="records",
    split="val",
    pp="decode",
  )
  first = dict(evaluator.run(None))
  assert first["constant"] == 1.0
  assert dict(evaluator.run(None)) == first
  # What is evaluated is opened at once, the constants where they are needed.
  assert asked == [("val", "generate"), ("train", "generate")]


def test_an_empty_evaluation_is_an_error():
  evaluator = by_level.Evaluator(
    {"generate": _generate}, tokenizer=_Words(), batches=list
  )
  with pytest.raises(ValueError, match="no answers"):
    dict(evaluator.run(None))


def test_prompts_have_lost_their_answers():
  batch = {
    "text": np.array([[2, 7, 4, 9, 1, 0], [2, 7, 8, 4, 9, 1]], np.int32),
    "mask_ar": np.array([[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1]], np.int32),
    "mask_input": np.array([[1, 1, 1, 1, 1, 0], [1] * 6], np.int32),
    "mask_loss": np.array([[0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 1, 1]], np.int32),
    "_mask": np.ones(2, bool),
  }
  out = rows.prompts(batch, 5)
  assert out["text"].tolist() == [[2, 7, 4, 0, 0], [2, 7, 8, 4, 0]]
  assert out["mask_input"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]]
  assert out["mask_ar"].tolist() == [[0, 0, 0, 1, 1], [0, 0, 0, 0, 1]]
  assert "mask_loss" not in out
  assert rows.bucket(batch) == 16
  assert rows.prompts(batch, 8)["mask_ar"][0].tolist() == [0] * 3 + [1] * 5
  again = rows.prompts(rows.prompts(batch))
  np.testing.assert_array_equal(again["text"], rows.prompts(batch)["text"])


def test_two_questions_in_a_row_cannot_be_decoded():
  batch = {
    "text": np.array([[2, 7, 9, 1, 2, 8]], np.int32),
    "mask_ar": np.array([[0, 0, 1, 1, 0, 0]], np.int32),
    "mask_input": np.ones((1, 6), np.int32),
  }
  with pytest.raises(ValueError, match="one question a row"):
    rows.prompts(batch)


_TWO = """
import sys, json, functools, jax
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
import test_evaluators_by_level as t
me, out = jax.process_index(), sys.argv[3]
mine = lambda: t._share(t._batches(t._questions(23), 4), me, 2)
evaluator = t.by_level.Evaluator(
  {"generate": t._generate}, tokenizer=t._Words(), max_new_tokens=4,
  batches=mine, constants=t.benchmark.constant_answers(t._questions(23)))
figures = dict(evaluator.run(None))
json.dump([figures, evaluator.rows], open(f"{out}/{me}.json", "w"))
"""


def _share(batches, process, count):
  """Every count-th batch; the last round is filled up with padding."""
  batches = list(batches)
  for start in range(0, len(batches), count):
    at = start + process
    batch = batches[min(at, len(batches) - 1)]
    if at >= len(batches):
      none = [None] * len(batch["qa"])
      batch = {**batch, "_mask": batch["_mask"] & False}
      batch |= {"qa": none, "ids": none, "index": none}
    yield batch


def test_two_processes_count_as_one(tmp_path):
  with socket.socket() as s:
    s.bind(("localhost", 0))
    address = f"localhost:{s.getsockname()[1]}"
  here = str(pathlib.Path(__file__).parent)
  env = {**os.environ, "PYTHONPATH": here, "JAX_PLATFORMS": "cpu"}
  both = [
    subprocess.Popen(
      [sys.executable, "-c", _TWO, address, str(i), str(tmp_path)], env=env
    )
    for i in range(2)
  ]
  try:
    assert [p.wait(timeout=120) for p in both] == [0, 0]
  finally:
    for process in both:
      process.kill()
  figures, one = _evaluate(23, 4)
  for i in range(2):
    got, rows_ = json.loads((tmp_path / f"{i}.json").read_text())
    assert got == figures
    assert rows_ == one.rows
