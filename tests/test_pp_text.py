"""Rows of tokens and their masks, written out."""

import json

import data_fakes
import numpy as np
import pytest

from hispatial_jax.core import tokenizer
from hispatial_jax.pp import text

_TWO = [([2, 10, 4], [20, 1]), ([2, 11, 12, 4], [21, 22, 1])]


def test_rows_exact():
  row, kept, _ = text.rows(_TWO, 7)
  assert row["text"].tolist() == [
    [2, 10, 4, 20, 1, 0, 0],
    [2, 11, 12, 4, 21, 22, 1],
  ]
  assert row["mask_ar"].tolist() == [
    [0, 0, 0, 1, 1, 1, 1],
    [0, 0, 0, 0, 1, 1, 1],
  ]
  assert row["mask_loss"].tolist() == [
    [0, 0, 0, 1, 1, 0, 0],
    [0, 0, 0, 0, 1, 1, 1],
  ]
  assert row["mask_input"].tolist() == [
    [1, 1, 1, 1, 1, 0, 0],
    [1, 1, 1, 1, 1, 1, 1],
  ]
  assert all(v.dtype == np.int32 for v in row.values())
  assert kept == [0, 1]


def test_prompts_have_no_answer():
  row, _, _ = text.rows([(p, []) for p, _ in _TWO], 5)
  assert row["text"].tolist() == [[2, 10, 4, 0, 0], [2, 11, 12, 4, 0]]
  assert row["mask_input"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]]
  assert row["mask_ar"].tolist() == [[0, 0, 0, 1, 1], [0, 0, 0, 0, 1]]
  assert not row["mask_loss"].any()


def test_an_answer_that_does_not_fit_is_a_counted_drop():
  _, kept, dropped = text.rows(_TWO, 6)
  assert (kept, dropped) == ([0], {"answer_too_long": 1})


def test_a_question_is_never_cut():
  with pytest.raises(ValueError, match="4 tokens does not fit in 3"):
    text.rows(_TWO, 3)
  op = text.get_tokenize(8, tokenizer=data_fakes.Tokenizer())
  with pytest.raises(ValueError, match=r"'r1'.*greater length.*how far"):
    op({"id": "r1", "qa": [{"question": "how far is it?", "answer": "1"}]})


def test_nothing_fits():
  op = text.get_tokenize(8, tokenizer=data_fakes.Tokenizer())
  out = op({"id": "r1", "qa": [{"question": "why", "answer": "a long story"}]})
  assert out["qa"] == []
  assert out["text"].shape == (0, 8)
  assert out["dropped"] == {"answer_too_long": 1}


def test_text_is_the_references(golden, tmp_path):
  import base64

  path = golden / "hispatial_data" / "text_and_collate.json"
  reference = json.loads(path.read_text())
  model = tmp_path / "tiny.model"
  model.write_bytes(base64.b64decode(reference["spm_model_base64"]))
  words = tokenizer.load(model)
  for case in reference["text_cases"]:
    prefix = text.encode_prefix(words, case["prefix_raw"])
    suffix = text.encode_suffix(words, case["suffix"])
    assert prefix == case["inference_input_ids"], case["prefix_raw"]
    assert prefix + suffix == case["input_ids"], case["prefix_raw"]
