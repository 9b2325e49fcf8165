"""Specs become chains of operations."""

import data_fakes
import pytest

from hispatial_jax.pp import build, questions


def test_a_chain_end_to_end_changes_nothing_in_place():
  record = data_fakes.record()
  before = record["image"].copy(), list(record["qa"])
  chain = build.build(
    "points(14)|resize(14)|jitter(0.2)|stored_qa(2)|tokenize(80)",
    tokenizer=data_fakes.Tokenizer(),
  )
  out = chain({**record, "draw": questions.Draw("r0000")})
  assert out["image"].shape == (14, 14, 3)
  assert out["points"].shape == (14, 14, 4)
  assert out["text"].shape == (2, 80)
  assert len(out["qa"]) == 2
  assert (record["image"] == before[0]).all()
  assert record["qa"] == before[1]


def test_fixed_and_drawn():
  chain = build.build(
    "resize(14)|points(14)|stored_qa(2)|drop_points|tokenize(50)",
    tokenizer=data_fakes.Tokenizer(),
  )
  assert (len(chain.fixed), len(chain.drawn)) == (2, 3)
  assert chain.max_questions == 2
  assert build.build("resize(8)").max_questions is None


def test_unknown_operations_are_listed():
  with pytest.raises(ValueError, match="did you mean 'resize'"):
    build.build("rezise(8)")


def test_unknown_options_of_draw_qa():
  pytest.importorskip("hispatial_jax.qa.generate")
  with pytest.raises(ValueError, match="did you mean 'tasks'"):
    build.build("draw_qa(8, task=['size'])")


@pytest.mark.parametrize("last", ["tokenize(64)", "tokenize(length=64)"])
def test_for_decoding(last):
  assert build.for_decoding(f"a|b(1)|{last}", 48) == "a|b(1)|prompt(48)"
  length = last.strip(")").replace("=", "(").rsplit("(", 1)[1]
  assert build.for_decoding(last) == f"prompt({length})"


def test_for_decoding_needs_a_text_operation():
  with pytest.raises(ValueError, match="does not end in"):
    build.for_decoding("a|resize(8)")
