"""Evaluators by name, and their figures in the run's own file."""

import sys
import types

import ml_collections
import pytest

from hispatial_jax.core import config, metrics
from hispatial_jax.evaluators import build


class _Evaluator:
  def __init__(self, fns, *, tokenizer, split):
    self.made_of = fns, tokenizer, split

  def run(self, params):
    yield "accuracy", params
    yield "accuracy/level1", 0.25


@pytest.fixture
def made(monkeypatch):
  """({name: (evaluator, every)}, what of the config nobody read)."""
  module = types.SimpleNamespace(Evaluator=_Evaluator)
  monkeypatch.setitem(sys.modules, "hispatial_jax.evaluators.fake", module)
  answers = {"type": "fake", "every": 50, "split": "val"}
  cfg = config.Watched(ml_collections.ConfigDict({"answers": answers}))
  return build.evaluators(cfg, {"loss": None}, "words"), cfg.unread()


def test_options_go_to_the_evaluator_and_all_are_read(made):
  evals, unread = made
  evaluator, every = evals["answers"]
  assert every == 50
  assert evaluator.made_of == ({"loss": None}, "words", "val")
  assert unread == []


def test_figures_by_level_are_kept_under_the_evaluators_name(made, tmp_path):
  evaluator, _ = made[0]["answers"]
  found = build.run("answers", evaluator, 0.5)
  writer = metrics.Writer(tmp_path, tensorboard=False)
  writer.write(50, found)
  assert metrics.read(tmp_path) == [
    {"step": 50, "answers/accuracy": 0.5, "answers/accuracy/level1": 0.25}
  ]
  assert metrics.headline(found) == found
