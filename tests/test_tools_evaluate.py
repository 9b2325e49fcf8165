"""tools/evaluate.py and tools/write_report.py on real records, end to end."""

import importlib.util
import json
import pathlib

import pytest
import tiny

_ROOT = pathlib.Path(__file__).parent.parent


def _tool(name):
  path = _ROOT / "tools" / f"{name}.py"
  spec = importlib.util.spec_from_file_location(name, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  root = tiny.save(tmp_path_factory.mktemp("run"))
  build = ["toyworld", "--out", str(root / "data"), "--train", "6"]
  build += ["--val", "3", "--size", "56", "--workers", "1"]
  assert _tool("build_records").main(build) == 0
  tiny.save_recipe(
    root / "config.py",
    tokenizer=root / "tokenizer.model",
    data=root / "data",
  )
  return root


def _argv(run, out, **changed):
  options = {
    "--config": run / "config.py",
    "--checkpoint": run,
    "--benchmark": "by_level",
    "--out": out,
    "--max-new-tokens": 4,
    "--batch-size": 4,
    **changed,
  }
  return [str(x) for pair in options.items() for x in pair]


@pytest.mark.slow
def test_scores_and_report(run, tmp_path, capsys):
  out = run / "eval"
  assert _tool("evaluate").main(_argv(run, out)) == 0
  shown = capsys.readouterr().out
  assert "mean of tasks, all levels" in shown
  rows = [json.loads(line) for line in (out / "predictions.jsonl").open()]
  metrics = json.loads((out / "metrics.json").read_text())
  assert metrics["questions"] == len(rows) == 9
  assert {row["index"] for row in rows} == {0, 1, 2}
  assert metrics["figures"]["n"] == 9
  few = _argv(run, tmp_path, **{"--limit": 1, "--batch-size": 2})
  assert _tool("evaluate").main(few) == 0
  first = [json.loads(x) for x in (tmp_path / "predictions.jsonl").open()]
  same = ("id", "question", "answer", "truth", "correct")
  pick = lambda some: [[row[k] for k in same] for row in some]  # noqa: E731
  assert pick(first) == pick(rows[:3])
  photo = run / "photo.jpg"
  assert _tool("write_report").main([str(run), "--photo", str(photo)]) == 0
  text = (run / "report.html").read_text()
  assert text.count('<article class="card') == 9
  assert photo.exists()
  assert (run / "photo.depth.png").exists()
  assert (run / "photo.camera.json").exists()


def test_bad_arguments_are_one_line(run, tmp_path, capsys):
  tool = _tool("evaluate")
  cases = {
    "there are by_level, toy": {"--benchmark": "cvbench"},
    "no config file": {"--config": "none.py"},
    "no checkpoint at": {"--checkpoint": tmp_path},
    "unknown key": {"--set": "batch_sise=2"},
  }
  for says, changed in cases.items():
    assert tool.main(_argv(run, tmp_path / "out", **changed)) == 2
    assert says in capsys.readouterr().err
  assert _tool("write_report").main([str(tmp_path / "nowhere")]) == 2
  assert "no folder" in capsys.readouterr().err


def test_a_checkpoint_of_another_config_lists_all_names(run, tmp_path, capsys):
  text = (run / "config.py").read_text()
  other = tmp_path / "config.py"
  other.write_text(
    text.replace(
      "  return config.lock()",
      "  config.model.img.mlp_dim = 48\n  return config.lock()",
    )
  )
  argv = _argv(run, tmp_path / "out", **{"--config": other})
  assert _tool("evaluate").main(argv) == 2
  err = capsys.readouterr().err
  assert err.count("MlpBlock_0") >= 3
