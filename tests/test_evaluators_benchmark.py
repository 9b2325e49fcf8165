"""A benchmark in the training loop: a fixed part, by the trained parameters."""

import functools
import json
import random

import evaluation_fakes as fakes
import numpy as np
import pytest
import tiny

from hispatial_jax.benchmarks import registry
from hispatial_jax.evaluators import benchmark

_WORDS = tiny.words()


def _fns(said: str, seen: list):
  """Always answers `said`; notes parameters and batches."""

  def generate(params, batch, max_new_tokens):
    seen.append((params, batch))
    count = len(batch["text"])
    ids = [*_WORDS.encode(said), _WORDS.eos_id]
    tokens = np.zeros((count, max(max_new_tokens, len(ids))), np.int32)
    tokens[:, : len(ids)] = ids
    return {"tokens": tokens, "logp": np.zeros(tokens.shape, np.float32)}

  return {"generate": generate}


def _make(name, said="(A)", seen=None, **options):
  options = {"size": 28, "batch_size": 4, "sample": 0, **options}
  fns = _fns(said, [] if seen is None else seen)
  data = fakes.GOLDEN / name
  return benchmark.Evaluator(
    fns, tokenizer=_WORDS, name=name, data=data, **options
  )


def test_figures_are_those_of_the_benchmark():
  seen = []
  evaluator = _make("cvbench", seen=seen)
  found = dict(evaluator.run("params"))
  bench = registry.get("cvbench")
  examples = bench.load(fakes.GOLDEN / "cvbench")
  right = [bench.score(e, "(A)")["correct"] for e in examples]
  assert found["accuracy"] == np.mean(right)
  assert found["n"] == 16
  assert found["unparsed"] == found["errors"] == 0
  wanted = bench.aggregate(examples, [bench.score(e, "(A)") for e in examples])[
    "robust"
  ]
  assert found["overall"] == pytest.approx(wanted["overall"])
  assert found["2D_Relation"] == pytest.approx(wanted["2D_Relation_micro"])
  assert found["constant/overall"] >= found["overall"]
  assert "overall/lmms_eval" in found
  assert len(seen) == 4
  assert {id(params) for params, _ in seen} == {id("params")}
  assert [row["key"] for row in evaluator.rows] == [e.key for e in examples]
  json.dumps(evaluator.rows)


def test_the_sample_is_told_by_keys_alone():
  found = registry.get("3dsrbench").load(fakes.GOLDEN / "3dsrbench")
  some = benchmark.fixed_sample(found, 5)
  assert 5 <= len(some) < len(found)
  groups = {e.group for e in some}
  assert {e.key for e in found if e.group in groups} == {e.key for e in some}
  mixed = random.Random(0).sample(found, len(found))
  again = benchmark.fixed_sample(mixed, 5)
  assert {e.key for e in again} == {e.key for e in some}
  assert benchmark.fixed_sample(found, 0) == found


def test_what_cannot_be_read_is_an_error_and_stays_in_the_denominator():
  seen = []
  found = dict(_make("qspatial", "1 m", seen).run(None))
  assert found["errors"] == pytest.approx(1 / 17)
  assert found["n"] == 17
  known = [batch["points"][..., 3].max() for _, batch in seen]
  assert max(known) == 1
  seen.clear()
  dict(_make("qspatial", "1 m", seen, points="none").run(None))
  assert all(batch["points"][..., 3].max() == 0 for _, batch in seen)


def test_a_wrong_option_is_said_at_the_start():
  make = functools.partial(_make, "cvbench")
  with pytest.raises(ValueError, match="'measured' or 'none'"):
    make(points="moge")
  with pytest.raises(ValueError, match="prompt variant"):
    make(prompt="nope")
  with pytest.raises(ValueError, match="size"):
    make(batch_size=0)
