"""A benchmark asked of a bad endpoint ends complete and right; stopped by a
cap or a refused key it goes on; no key is in any file."""

import importlib.util
import json
import pathlib
import signal
import subprocess
import sys
import time

import endpoint_fake
import evaluation_fakes as fakes
import pytest

pytest.importorskip("openai")

from hispatial_jax.benchmarks import base
from hispatial_jax.evaluation import client, models, run

_TOOL = pathlib.Path(__file__).parent.parent / "tools" / "evaluate.py"
_SOON = {"Retry-After": "0.02"}
_OPTIONS = run.Options(points="none", resume=True)


@pytest.fixture(scope="module")
def task():
  return run.open("cvbench", fakes.GOLDEN / "cvbench")


@pytest.fixture
def fake(task, monkeypatch):
  monkeypatch.setenv("NO_PROXY", "127.0.0.1")
  monkeypatch.setenv("OPENAI_API_KEY", endpoint_fake.KEY)
  monkeypatch.setenv("WRONG_KEY", "wrong-key-0123456789")
  said = fakes.said("cvbench")
  by_text = {base.prompt(e).strip(): said[e.key] for e in task.examples}
  assert len(by_text) == len(task.examples)
  with endpoint_fake.serving() as found:
    found.reply = by_text.__getitem__
    monkeypatch.setenv("OPENAI_BASE_URL", found.url)
    yield found


@pytest.fixture(scope="module")
def wanted(task, tmp_path_factory):
  """Figures of the same answers without any endpoint."""
  out = tmp_path_factory.mktemp("wanted")
  return run.evaluate(task, fakes.Slow("cvbench"), out, _OPTIONS)


def _open(**options):
  return models.open("openai:m", timeout_s=0.5, concurrency=4, **options)


def _lines(out):
  files = sorted((out / "answers").glob("*.jsonl"))
  return [json.loads(x) for f in files for x in f.read_text().splitlines()]


def _same(metrics, wanted):
  keys = ("counts", "aggregate", "headlines", "cuts", "errors")
  return {k: metrics[k] for k in keys} == {k: wanted[k] for k in keys}


def test_complete_and_right_whatever_happens(
  task, fake, wanted, tmp_path, caplog
):
  caplog.set_level("DEBUG")
  bad = [
    None,
    ("status", 429, _SOON, b'{"error": {"message": "slow down"}}'),
    ("hang", 30),
    ("raw", b"<html>", "text/html"),
    ("status", 502, _SOON, b"bad gateway"),
    ("close",),
  ]
  fake.behave = lambda times, text: (
    bad[len(text) % len(bad)] if times == 0 else None
  )
  metrics = run.evaluate(task, _open(), tmp_path, _OPTIONS)
  assert _same(metrics, wanted)
  assert metrics["counts"]["errors"] == 0
  assert len(fake.bodies) > len(task.examples)
  for path in tmp_path.rglob("*"):
    if path.is_file():
      assert endpoint_fake.KEY.encode() not in path.read_bytes(), path
  assert endpoint_fake.KEY not in caplog.text
  assert metrics["model"]["model"] == "m"


def test_what_fails_for_good_is_counted_and_asked_again(
  task, fake, wanted, tmp_path
):
  first = base.prompt(task.examples[0]).strip()
  fake.behave = lambda times, text: (
    ("raw", b'{"choices": []}', "application/json") if text == first else None
  )
  metrics = run.evaluate(task, _open(), tmp_path, _OPTIONS)
  assert metrics["counts"]["errors"] == 1
  assert "without choices" in metrics["errors"][0]["error"]
  assert metrics["counts"]["questions"] == len(task.examples)
  fake.behave = lambda times, text: None
  fake.bodies.clear()
  assert _same(run.evaluate(task, _open(), tmp_path, _OPTIONS), wanted)
  assert len(fake.bodies) == 1


def test_stopped_runs_go_on(task, fake, wanted, tmp_path):
  with pytest.raises(client.Stopped, match="max_requests=5"):
    run.evaluate(task, _open(max_requests=5), tmp_path, _OPTIONS)
  came = len(fake.bodies)
  assert 2 <= came <= 5
  assert sum("text" in line for line in _lines(tmp_path)) == came
  with pytest.raises(client.Stopped, match="refused the key"):
    run.evaluate(task, _open(key_env="WRONG_KEY"), tmp_path, _OPTIONS)
  assert len(_lines(tmp_path)) == came
  assert _same(run.evaluate(task, _open(), tmp_path, _OPTIONS), wanted)
  assert len(fake.bodies) == len(task.examples)


def test_other_settings_do_not_mix(task, fake, tmp_path):
  with pytest.raises(client.Stopped):
    run.evaluate(task, _open(max_requests=3), tmp_path, _OPTIONS)
  with pytest.raises(
    ValueError, match=r"model\.generation\.max_tokens was 100"
  ):
    run.evaluate(task, _open(max_new_tokens=7), tmp_path, _OPTIONS)


def test_a_hanging_endpoint_does_not_hold_a_signal_up(
  fake, wanted, task, tmp_path
):
  keys = [base.prompt(e).strip() for e in task.examples[:3]]
  fake.behave = lambda times, text: None if text in keys else ("hang", 60)
  argv = ["--benchmark", "cvbench", "--data", str(fakes.GOLDEN / "cvbench")]
  argv += ["--out", str(tmp_path), "--model", "openai:m", "--points", "none"]
  tool = subprocess.Popen([sys.executable, str(_TOOL), *argv])
  end = time.monotonic() + 60
  while len(_lines(tmp_path)) < 3 and time.monotonic() < end:
    time.sleep(0.05)
  begin = time.monotonic()
  tool.send_signal(signal.SIGTERM)
  assert tool.wait(30) == 128 + signal.SIGTERM
  assert time.monotonic() - begin < 10
  assert len(_lines(tmp_path)) == 3
  fake.behave = lambda times, text: None
  same = models.open("openai:m")
  assert _same(run.evaluate(task, same, tmp_path, _OPTIONS), wanted)


def _tool():
  spec = importlib.util.spec_from_file_location("evaluate", _TOOL)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def test_the_tool_with_a_judge(fake, tmp_path, capsys):
  answers = fake.reply
  fake.reply = lambda text: (
    '{"score": 1}' if text.startswith('{"question"') else answers(text)
  )
  argv = ["--benchmark", "cvbench", "--data", str(fakes.GOLDEN / "cvbench")]
  argv += ["--out", str(tmp_path)]
  model = ["--model", "openai:m", "--option", "concurrency=3"]
  model += ["--option", f"base_url={fake.url}"]
  judge = ["--judge", "a-judge", "--judge-option", "max_requests=900"]
  assert _tool().main([*argv, *model, *judge]) == 0
  said = capsys.readouterr().out
  assert "judge a-judge: 100.0 % right" in said
  assert "spent: requests 16" in said
  text = (tmp_path / "metrics.json").read_text()
  assert json.loads(text)["judge"]["share"] < 1
  assert "A judge's opinion" in (tmp_path / "report.html").read_text()
  for path in tmp_path.rglob("*"):
    if path.is_file():
      assert endpoint_fake.KEY.encode() not in path.read_bytes(), path
  # Scored again without anyone to ask: the same, the verdicts too.
  fake.bodies.clear()
  assert _tool().main([*argv, "--rescore"]) == 0
  assert (tmp_path / "metrics.json").read_text() == text
  assert not fake.bodies
  assert _tool().main([*argv, *model, "--option", "colour"]) == 2
  assert "expected KEY=VALUE" in capsys.readouterr().err
  assert _tool().main([*argv, *model, "--option", "api_key='x'"]) == 2
  assert "no option api_key" in capsys.readouterr().err
