"""Asked, killed, resumed, in parts, rescored: the same figures."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import evaluation_fakes as fakes
import numpy as np
import pytest

from hispatial_jax.evaluation import ask, journal, models, run
from hispatial_jax.evaluators import examples as seen

_ROOT = pathlib.Path(__file__).parent.parent


def _task(name="cvbench", limit=None):
  return run.open(name, fakes.GOLDEN / name, limit)


def _metrics(out):
  return (pathlib.Path(out) / "metrics.json").read_text()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  out = tmp_path_factory.mktemp("whole")
  run.evaluate(_task(), fakes.Slow("cvbench", size=5), out, run.Options())
  return out


def _start(out, *more):
  driver = [sys.executable, "tests/evaluation_fakes.py", fakes.GOLDEN, out]
  return subprocess.Popen(
    [*map(str, driver), *more],
    cwd=_ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def _lines(out):
  files = (out / "answers").glob("*.jsonl")
  return sum(path.read_bytes().count(b"\n") for path in files)


def test_killed_and_resumed_is_as_if_never_killed(whole, tmp_path):
  process = _start(tmp_path, "0.1")
  deadline = time.monotonic() + 60
  while _lines(tmp_path) < 4 and time.monotonic() < deadline:
    time.sleep(0.02)
  process.send_signal(signal.SIGKILL)
  process.communicate()
  done = _lines(tmp_path)
  assert 4 <= done < 16
  assert not (tmp_path / "metrics.json").exists()
  model = fakes.Slow("cvbench", size=3)
  with pytest.raises(ValueError, match=f"{done} of 16 answers: --resume"):
    run.evaluate(_task(), model, tmp_path, run.Options())
  run.evaluate(_task(), model, tmp_path, run.Options(resume=True))
  assert len(model.asked) == 16 - done
  assert _metrics(tmp_path) == _metrics(whole)
  rows = (tmp_path / "predictions.jsonl").read_text()
  assert rows == (whole / "predictions.jsonl").read_text()


def test_sigterm_leaves_a_journal_and_says_so(tmp_path):
  process = _start(tmp_path, "0.1")
  deadline = time.monotonic() + 60
  while _lines(tmp_path) < 2 and time.monotonic() < deadline:
    time.sleep(0.02)
  process.send_signal(signal.SIGTERM)
  _, errors = process.communicate(timeout=60)
  assert process.returncode
  assert "stopped by SIGTERM: the answers so far stay" in errors
  assert journal.Journal(tmp_path).read()


def test_a_run_again_asks_nothing_and_counts_once(whole):
  before, model = _metrics(whole), fakes.Slow("cvbench")
  run.evaluate(_task(), model, whole, run.Options())
  run.evaluate(_task(), model, whole, run.Options(resume=True))
  assert model.asked == []
  assert _metrics(whole) == before
  (whole / "metrics.json").unlink()
  run.score(_task(), whole)
  assert _metrics(whole) == before


@pytest.mark.parametrize("copied", [False, True])
def test_shards_merged_are_the_whole(copied, whole, tmp_path):
  outs = []
  for number in (2, 1, 3):
    outs.append(tmp_path / str(number) if copied else tmp_path / "all")
    options = run.Options(shard=(number, 3))
    model = fakes.Slow("cvbench", size=2)
    assert run.evaluate(_task(), model, outs[-1], options) is None
    assert 0 < len(model.asked) < 16
  if copied:
    run.merge(outs[:2], tmp_path / "all")
    with pytest.raises(ValueError, match=r"of 16 questions have no answer yet"):
      run.score(_task(), tmp_path / "all")
    run.merge(outs, tmp_path / "all")
  run.score(_task(), tmp_path / "all")
  assert _metrics(tmp_path / "all") == _metrics(whole)


def test_groups_stay_in_one_shard_and_whole_under_a_limit(tmp_path):
  task, seen = _task("3dsrbench"), {}
  for number in (1, 2):
    model = fakes.Slow("3dsrbench")
    out = tmp_path / str(number)
    run.evaluate(task, model, out, run.Options(shard=(number, 2)))
    seen[number] = {k.split("-")[0] for k in model.asked}
  assert not seen[1] & seen[2]
  few = _task("3dsrbench", limit=1)
  groups = {e.group for e in few.examples}
  assert len(groups) == 1 < len(few.examples)


def test_errors_are_counted_and_asked_again(tmp_path):
  failing = fakes.Slow("cvbench", fail=["1", "2"])
  found = run.evaluate(_task(), failing, tmp_path, run.Options())
  assert found["counts"]["errors"] == 2
  assert found["counts"]["questions"] == 16
  assert found["errors"][0] == {"key": "1", "error": "the endpoint said 500"}
  rows = [json.loads(x) for x in (tmp_path / "predictions.jsonl").open()]
  assert [r["correct"] for r in rows if r["error"]] == [0, 0]
  model = fakes.Slow("cvbench")
  again = run.evaluate(_task(), model, tmp_path, run.Options(resume=True))
  assert model.asked == ["1", "2"]
  assert again["counts"]["errors"] == 0


def test_a_picture_that_does_not_decode_is_an_error_of_its_question(tmp_path):
  task = _task()
  broken = b"\x89PNG\r\n\x1a\n" + b"\0" * 40 + b"IEND"
  examples = [
    dataclasses.replace(task.examples[0], image=lambda: broken),
    *task.examples[1:],
  ]
  task = dataclasses.replace(task, examples=examples)
  model = fakes.Slow("cvbench")
  found = run.evaluate(task, model, tmp_path, run.Options())
  assert [e["key"] for e in found["errors"]] == [examples[0].key]
  assert len(model.asked) == 15


def test_blind_sees_nothing_and_stands_beside(tmp_path):
  task, model = _task("qspatial"), fakes.Slow("qspatial")
  run.evaluate(task, model, tmp_path, run.Options())
  assert any(points for _, points in model.seen.values())
  dark = fakes.Slow("qspatial")
  blind = models.Blind(dark)
  run.evaluate(task, blind, tmp_path / run.BLIND, run.Options())
  assert set(dark.seen.values()) == {(0.0, False)}
  found = run.score(task, tmp_path)
  assert found["blind"]["headlines"][0]["name"] == "macro"
  with pytest.raises(ValueError, match="can't be blinded"):
    models.open(
      f"blind:predictions:{fakes.GOLDEN / 'cvbench' / 'predictions.json'}"
    )


def test_a_stream_is_journaled_as_it_comes(tmp_path):
  class Streaming(fakes.Slow):
    def stream(self, requests):
      for number in reversed(range(len(requests))):
        yield number, self.answer([requests[number]])[0]
        if len(self.asked) == 3:
          os.kill(os.getpid(), signal.SIGINT)

  model = Streaming("cvbench", size=8)
  with pytest.raises(ask.Interrupted) as stopped:
    run.evaluate(_task(), model, tmp_path, run.Options())
  assert stopped.value.code == 130
  assert set(journal.Journal(tmp_path).read()) == set(model.asked)


def test_answers_to_other_questions_are_not_scored(whole, tmp_path):
  with pytest.raises(ValueError, match="other questions: benchmark was"):
    run.score(_task("embspatial"), whole)
  with pytest.raises(ValueError, match="holds no run"):
    run.score(_task(), tmp_path)


def test_a_collective_model_s_batches_stay_what_they_were(whole, tmp_path):
  class Together(fakes.Slow):
    collective = True

    def answer(self, requests):
      self.batches = [*getattr(self, "batches", []), [r.key for r in requests]]
      return super().answer(requests)

  unbroken = Together("cvbench", size=5)
  run.evaluate(_task(), unbroken, tmp_path, run.Options())
  assert [len(batch) for batch in unbroken.batches] == [5, 5, 5, 1]
  file = tmp_path / "answers" / "p0.jsonl"
  lines = file.read_text().splitlines(keepends=True)
  file.write_text("".join(lines[:7]))
  resumed = Together("cvbench", size=5)
  run.evaluate(_task(), resumed, tmp_path, run.Options(resume=True))
  assert resumed.batches == unbroken.batches[1:]
  assert file.read_text() == "".join(lines)
  assert _metrics(tmp_path) == _metrics(whole)


def test_the_model_sees_the_boxes_and_the_points_do_not():
  task = _task("spatialrgpt")
  example = next(e for e in task.examples if e.boxes)
  drawn, plain = (seen.picture(example, drawn=d) for d in (True, False))
  changed = (drawn != plain).any(-1)
  left, top, right, _ = (int(v) for v in example.boxes[0].xyxy)
  np.testing.assert_array_equal(
    drawn[top, (left + right) // 2], example.boxes[0].rgb
  )
  assert 0 < changed.mean() < 0.5
