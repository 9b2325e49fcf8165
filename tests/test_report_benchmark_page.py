"""A benchmark's page holds what it promises, and nothing from a network."""

import math
import re

import evaluation_fakes as fakes
import numpy as np
import pytest

from hispatial_jax.evaluation import models, run, score
from hispatial_jax.report import benchmark_charts as charts
from hispatial_jax.report import benchmark_items as items
from hispatial_jax.report import benchmark_page as page


class _Model(fakes.Slow):
  def answer(self, requests):
    answers = super().answer(requests)
    return [a._replace(ended=i % 3 > 0) for i, a in enumerate(answers)]


def _evaluated(name, tmp_path, **more):
  task = run.open(name, fakes.GOLDEN / name)
  options = run.Options(points="none")
  model = _Model(name, size=8, **more)
  metrics = run.evaluate(task, model, tmp_path, options)
  _, rows = run._rows(task, tmp_path)
  return rows, metrics, (tmp_path / "report.html").read_text()


@pytest.fixture(scope="module")
def sizes(tmp_path_factory):
  """Rows, metrics and page of the miniature of SpatialRGPT-Bench."""
  return _evaluated("spatialrgpt", tmp_path_factory.mktemp("sizes"))


def test_everything_is_there(sizes):
  rows, metrics, text = sizes
  assert text.count('<article class="card') == len(rows) == 18
  wrong = sum(not r["correct"] for r in rows)
  assert text.count('<article class="card bad"') == wrong
  assert text.count("data:image/jpeg;base64,") == 18
  assert text.count("<figure><svg") == 2
  assert text.count('class="tile') == 4 + 1  # the grid's own
  for figure in metrics["published"]:
    assert items.percent(figure["percent"] / 100) in text
    assert figure["protocol"].split("&")[0] in text
  for line in metrics["headlines"]:
    assert items.percent(line["value"]) in text
  assert text.count("best constant answer") > 4
  for words in ("AutoSOTA run report", "How far off", "vertical distance data"):
    assert words in text
  counts = metrics["counts"]
  for name in ("unparsed", "cut", "errors"):
    row = f"<tr><td>{name}</td><td>{counts[name]}</td>"
    assert row in text, name
  assert "+55 %" in text  # 1.2 m read for 0.776 m
  assert "unparsed, 0 numbers and no unit" in text


def test_nothing_is_fetched_and_words_are_escaped(sizes, tmp_path):
  rows, metrics, text = sizes
  assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", text)
  assert "<script" not in text
  assert "@import" not in text
  assert "&lt;eos&gt;" in text
  assert "<eos>" not in text
  evil = [{**r, "output": "<script>x</script>"} for r in rows]
  text = page.write(tmp_path / "x.html", evil, metrics).read_text()
  assert "<script" not in text
  assert text.count("&lt;script&gt;x") == 18


def test_errors_and_rules_that_part(tmp_path):
  rows, metrics, text = _evaluated("cvbench", tmp_path, fail=("3", "4"))
  assert "the endpoint said 500" in text
  assert metrics["counts"]["errors"] == 2
  assert text.count('<article class="card') == len(rows) - 2
  names = items.rules(rows, "cvbench")
  assert names == ["robust", "official_cambrian", "lmms_eval", "reference"]
  apart = items.apart(rows, names)
  assert 0 < len(apart) < len(rows)
  assert f"{len(apart)} of {len(rows)} answers are right by one" in text
  for row in apart:
    assert f"<tr><td>{row['key']}</td>" in text
  assert "wrong by\nrobust" in text
  one = items.line(apart[0], names)["verdicts"]
  assert {0, 1} <= set(one)


def test_rules_of_a_benchmark_of_ones_own():
  rows = [
    {"correct": 1, "tokens": 1, "mine": 1, "off": 3, "flag": True},
    {"correct": 0, "tokens": 0, "mine": None, "off": 1, "flag": False},
  ]
  assert items.rules(rows, "not registered") == ["correct", "mine"]
  rows[1]["mine"] = 0
  assert items.rules(rows, "not registered") == ["mine"]
  assert items.rule(rows, "mine", "mine")["value"] == "50.0"


def test_blind_run_judge_and_levels_are_shown(sizes, tmp_path):
  rows, metrics, _ = sizes
  judge = {
    "model": "a judge", "version": "1", "items": 18, "judged": 17, "failed": 1,
    "accuracy": 0.5, "ours": 0.6, "share": 0.9, "kappa": 0.75,
  }  # fmt: skip
  cell = {"n": 9, "correct": 3, "accuracy": 1 / 3, "interval": [0.1, 0.6],
          "unparsed": 0, "errors": 0}  # fmt: skip
  more = {
    **metrics,
    "judge": judge,
    "blind": {"headlines": metrics["headlines"][:1], "counts": {}},
    "cuts": {"level": {"0": cell, "2": cell}, "depth range": {"0-1 m": cell}},
    "model": {"kind": "endpoint", "model": "a model", "blind": True},
  }
  text = page.write(tmp_path / "x.html", rows, more).read_text()
  assert "<h1>spatialrgpt: a model, blind</h1>" in text
  assert "17 of 18" in text
  assert "0.75" in text
  assert "blind run" in text
  assert "2 relations" in text
  assert "depth range" not in text  # one value is no cut
  assert text.count('<div class="none">no picture') == 18


def test_an_empty_run_has_a_page(sizes, tmp_path):
  rows, metrics, _ = sizes
  none = [
    {**r, "error": "dead", "correct": 0, "success": 0, "declared": None,
     "logp": None} for r in rows
  ]  # fmt: skip
  less = {
    **metrics,
    "headlines": [{**h, "value": None, "interval": None}
                  for h in metrics["headlines"]],
    "calibration": None,
    "counts": score.counts(none),
    "errors": [{"key": r["key"], "error": "dead"} for r in none[:5]],
  }  # fmt: skip
  text = page.write(tmp_path / "x.html", none, less).read_text()
  assert "<svg" not in text
  assert "<article" not in text
  assert "18 questions ended in an error" in text
  assert "The errors, the first\n5" in text


def test_cards_are_the_same_every_time_and_spread_over_pictures():
  rows = [{"key": str(i), "group": str(i // 3)} for i in range(60)]
  chosen = items.choose(rows, 12)
  assert chosen == items.choose(rows, 12)
  assert len({r["group"] for r in chosen}) == 12
  assert [r["key"] for r in chosen] != [str(i) for i in range(12)]
  assert items.choose(rows[:5], 12) == rows[:5]
  assert len(items.some(rows, 7)) == 7


def _circles(svg):
  found = re.findall(r'<circle class="(\w+)" cx="([\d.]+)" cy="([\d.]+)"', svg)
  return [(kind, float(x), float(y)) for kind, x, y in found]


def test_scatter_is_log_log_with_its_band():
  svg = charts.scatter([(1.0, 1.0, True), (4.0, 1.0, False), (2.0, 2.0, True)])
  one, off, two = _circles(svg)
  assert (one[0], off[0]) == ("good", "bad")
  assert off[2] == one[2]  # the same answer
  # On the diagonal; 2 lies half way between 1 and 4.
  assert one[1] + one[2] == pytest.approx(two[1] + two[2], abs=0.2)
  assert two[1] == pytest.approx((one[1] + off[1]) / 2, abs=0.2)
  band = re.search(r'class="band" points="([^"]+)"', svg)[1]
  ys = [float(pair.split(",")[1]) for pair in band.split()]
  scale = (off[1] - one[1]) / math.log(4)
  assert ys[0] == pytest.approx(330 - scale * math.log(1.25), abs=0.3)
  assert ys[3] == pytest.approx(330 - scale * math.log(0.75), abs=0.3)
  assert charts.scatter([]) == ""
  many = [(float(v), float(v), True) for v in np.linspace(1, 9, 4000)]
  assert len(_circles(charts.scatter(many))) == 2500
  inside = charts.scatter([*many, (1e-6, 1e6, False)])
  assert all(0 < x < 440 and 0 < y < 400 for _, x, y in _circles(inside))


def test_reliability_draws_the_bins():
  bins = [
    {"low": 0.0, "high": 0.5, "n": 4, "mean_p": 0.25, "accuracy": 0.5},
    {"low": 0.5, "high": 1.0, "n": 0, "mean_p": None, "accuracy": None},
  ]
  svg = charts.reliability({"bins": bins})
  ((kind, x, y),) = _circles(svg)
  assert kind == "dot"
  assert (x - 52) / 330 == pytest.approx(0.25, abs=1e-3)
  assert (364 - y) / 330 == pytest.approx(0.5, abs=1e-3)
  assert charts.reliability({"bins": bins[1:]}) == ""


def test_models_have_short_names():
  assert page.model_name({"kind": "fake"}) == "fake"
  assert models.Answer().ended is None
  assert items.say([0.25, 1, -3.0]) == "(0.25, 1, -3)"
  assert items.say(None) == "unparsed"
