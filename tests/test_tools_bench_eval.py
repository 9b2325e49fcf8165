"""tools/bench_eval.py runs to its end; its figures are not judged here."""

import importlib.util
import json
import pathlib

import tiny

_PATH = pathlib.Path(__file__).parent.parent / "tools" / "bench_eval.py"


def _main(*argv):
  spec = importlib.util.spec_from_file_location("bench_eval", _PATH)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.main([str(x) for x in argv])


def test_rates_are_of_the_same_questions(tmp_path, capsys):
  argv = ["--checkpoint", tiny.save(tmp_path), "--questions", 8, "--new", 2]
  argv += ["--repeats", 1, "--batch", "1,4", "--json", tmp_path / "out.json"]
  assert _main(*argv) == 0
  figures = json.loads((tmp_path / "out.json").read_text())
  assert set(figures["questions_per_second"]) == {"1", "4"}
  shown = capsys.readouterr().out
  assert shown.count("questions/s") == 2
  assert " 1.0 x" in shown
  assert _main("--batch", "many") == 2
  assert "bench_eval.py: error" in capsys.readouterr().err
