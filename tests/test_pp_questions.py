"""Draws depend on the record, the epoch and the seed, and on nothing else."""

import numpy as np
import pytest

from hispatial_jax.pp import codec, questions


def test_a_draw_is_its_own():
  draws = [
    questions.Draw("a"),
    questions.Draw("b"),
    questions.Draw("a", epoch=1),
    questions.Draw("a", seed=1),
  ]
  numbers = [d.number(p) for d in draws for p in ("qa", "jitter")]
  assert len(set(numbers)) == 8
  assert all(0 <= n < 2**63 for n in numbers)
  assert questions.Draw("a").number("qa") == draws[0].number("qa")
  # The same on every machine and Python: written out.
  assert questions.Draw("toy-00000001", 2, 3).number("qa") == 775897557584348298


def test_stored_qa():
  items = [{"n": i} for i in range(5)]
  assert questions.stored_qa(items, np.random.default_rng(0)) == items
  some = questions.stored_qa(items, np.random.default_rng(0), 3)
  assert len({i["n"] for i in some}) == 3


def test_stored_qa_without_questions_is_bad():
  op = questions.get_stored_qa(2)
  with pytest.raises(codec.BadInput, match="no question"):
    op({"qa": [], "draw": questions.Draw("a")})
