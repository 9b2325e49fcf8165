"""Draws depend on the record, the epoch and the seed, and on nothing else."""

import boxes_for_qa
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


def test_stored_questions_of_some_levels():
  items = [{"level": level} for level in (0, 1, 2, 3, -1)]
  rng = np.random.default_rng(0)
  some = questions.stored_qa(items, rng, levels=(0, 2))
  assert [item["level"] for item in some] == [0, 2, -1]
  op = questions.get_stored_qa(9, levels=(3,))
  some = op({"qa": items, "draw": questions.Draw("a")})["qa"]
  assert sorted(item["level"] for item in some) == [-1, 3]
  with pytest.raises(codec.BadInput, match="no question"):
    op({"qa": items[:3], "draw": questions.Draw("a")})


def test_drawn_questions_of_some_levels():
  record = boxes_for_qa.make(0)
  for levels in ((0,), (1, 3), (2,)):
    op = questions.get_draw_qa(12, levels=levels)
    qa = op({**record, "draw": questions.Draw(record["id"])})["qa"]
    assert {item["level"] for item in qa} == set(levels)
  found = questions.draw_qa(record, 0, 4, levels=(0, 1), tasks=["distance"])
  assert found == []


@pytest.mark.parametrize("levels", [(4,), (), 2, ["0"]])
def test_levels_that_are_none(levels):
  for make in (questions.get_stored_qa, questions.get_draw_qa):
    with pytest.raises(ValueError, match=r"expected some of \(0, 1, 2, 3\)"):
      make(3, levels=levels)
