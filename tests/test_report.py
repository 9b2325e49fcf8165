"""The page holds what it promises, opens without a network, and says what is
missing."""

import json
import random
import re

import numpy as np
import pytest

from hispatial_jax import report
from hispatial_jax.benchmarks import by_level
from hispatial_jax.report import curves, page, pictures

_TRUTHS = {
  ("pixel_xyz", 0): ("the xyz of <loc0512><loc0256><loc0512><loc0256>?",
                     "0.10m 0.20m 2.00m", "0.40m 0.20m 2.00m"),
  ("size", 1): ("How wide is the <b>red</b> chair?", "0.50m", "0.55 m"),
  ("left_right", 2): ("Is it left?", "Yes", "perhaps"),
  ("counting", 3): ("How many chairs are there?", "4.", "4."),
}  # fmt: skip


def _rows(images=10):
  out, constants = [], {}
  for i in range(images):
    for (task, level), (question, truth, said) in _TRUTHS.items():
      qa = {"question": question, "answer": truth, "task": task}
      qa |= {"level": level, "format": "text"}
      constants[task, "text"] = "1 m"
      answer = truth if i % 3 == 1 else said
      more = {"id": f"toy-{i}", "index": i, "logp": -1.0, "ended": True}
      out.append(by_level.row(qa, answer, constants, **more))
  return out


def _record(number):
  rng = np.random.default_rng(number)
  depth = np.full((24, 24), 2.0, np.float32)
  depth[:4] = np.nan
  return {
    "image": rng.integers(0, 256, (24, 24, 3), np.uint8),
    "depth_m": depth,
    "intrinsics": np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]], np.float32),
  }


@pytest.fixture
def run(tmp_path):
  rows = _rows()
  (tmp_path / "eval").mkdir()
  result = {"questions": len(rows), "table": by_level.table(rows), "data": {}}
  (tmp_path / "eval/metrics.json").write_text(json.dumps(result))
  lines = "\n".join(json.dumps(row) for row in rows)
  (tmp_path / "eval/predictions.jsonl").write_text(lines + "\n")
  rng = random.Random(0)
  with (tmp_path / "metrics.jsonl").open("w") as f:
    for step in range(10, 210, 10):
      line = {"step": step, "train/loss": 2 - step / 200 + rng.random() / 9}
      if step % 100 == 0:
        line |= {"val/loss": 1.5, "val/token_accuracy/level0": 0.5}
        line |= {"answers/accuracy/level2": 0.4}
      f.write(json.dumps(line) + "\n")
  (tmp_path / "config.json").write_text('{"total_steps": 200}')
  return tmp_path


def test_one_page_with_everything(run):
  out = report.write(run, records=_record)
  assert out == run / "report.html"
  text = out.read_text()
  own = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
  assert own.count('<article class="card') == 12
  assert own.count("data:image/jpeg;base64,") == 24
  assert own.count("<svg") == 3
  assert own.count('class="tile') == 4 + 1
  assert 'id="cloud"' in own
  for name in ("mean of tasks, levels 0-2", "pixel xyz", "counting"):
    assert name in own
  assert "unparsed" in own
  assert "30 cm off" in own


def test_nothing_is_fetched(run):
  text = report.write(run, records=_record).read_text()
  own = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
  assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", own)
  assert "@import" not in own
  assert not re.search(r"<script[^>]+src", text)


def test_questions_are_escaped(run):
  text = report.write(run, records=_record).read_text()
  assert "&lt;b&gt;red&lt;/b&gt;" in text
  assert "the <b>red</b> chair" not in text


def test_without_an_evaluation_the_curves_remain(run, tmp_path):
  for path in (run / "eval").iterdir():
    path.unlink()
  text = report.write(run).read_text()
  assert "Not evaluated yet" in text
  assert "<svg" in text
  assert "<table>" not in text
  with pytest.raises(FileNotFoundError, match="nothing to report"):
    report.write(tmp_path / "eval")


def test_pictures_are_spread_and_not_picked_by_verdict():
  rows = _rows(12)
  chosen = page.choose(rows, 12)
  assert [row["level"] for row in chosen] == [0] * 3 + [1] * 3 + [2] * 3 + [
    3
  ] * 3
  assert len({row["index"] for row in chosen}) == 12
  flipped = [{**row, "correct": not row["correct"]} for row in rows]
  again = page.choose(flipped, 12)
  key = lambda row: (row["index"], row["task"])  # noqa: E731
  assert list(map(key, again)) == list(map(key, chosen))
  assert len(page.choose(rows[:4], 12)) == 4
  assert page.choose([], 12) == []


def test_depth_colours():
  depth = np.array([[1.0, 2.0, 4.0], [np.nan, 0.0, np.inf]], np.float32)
  rgb, near, far = pictures.depth_rgb(depth)
  assert (rgb[1] == 128).all()
  assert rgb[0, 0, 0] > rgb[0, 0, 2]  # near is red
  assert rgb[0, 2, 2] > rgb[0, 2, 1]  # far is blue
  assert 1 <= near < far <= 4
  assert pictures.depth_rgb(depth * np.nan)[1:] == (0.0, 0.0)


def test_location_tokens_become_marks():
  text = "pixel in <loc0512><loc0256><loc0512><loc0256> or <loc0000><loc1023>"
  first, second = pictures.marks(text)
  assert first == {"x": 25.0, "y": 50.0}
  assert second["y"] == 0
  assert pictures.words(text) == "pixel ① or ②"


def test_smoothing_starts_where_the_data_starts():
  assert curves.smooth([(1, 3.0), (2, 3.0)]) == [
    (1, pytest.approx(3.0)),
    (2, pytest.approx(3.0)),
  ]


def test_curves_take_the_colours_of_the_page(run):
  lines = [{"step": s, "train/loss": 1.0} for s in (1, 2)]
  svg = curves.loss(lines)
  assert "var(--ink)" in svg
  assert "#0001" not in svg
  assert curves.loss([{"step": 1}]) == ""
  assert curves.accuracy(lines, "accuracy", {}) == ""
