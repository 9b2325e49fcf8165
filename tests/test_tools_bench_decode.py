"""tools/bench_decode.py on a tiny model: same tokens, a table, clear errors."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

_PATH = pathlib.Path(__file__).parent.parent / "tools" / "bench_decode.py"
_TINY = "--size toy --vocab 300 --px 28 --layers 1 --batch 2 --new 4 --turns 1"


@pytest.fixture
def tool(monkeypatch):
  monkeypatch.syspath_prepend(str(_PATH.parent))
  spec = importlib.util.spec_from_file_location("bench_decode", _PATH)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def test_both_sides_make_the_same_tokens_and_are_measured(
  tool, tmp_path, capsys
):
  out = tmp_path / "out.json"
  assert tool.main([*_TINY.split(), "--json", str(out)]) == 0
  shown = capsys.readouterr().out
  assert "4 image and 12 text tokens, 4 new ones: the same" in shown
  rows = [line for line in shown.splitlines() if line.startswith("| ")]
  assert [row.split("|")[1].strip() for row in rows[1:]] == list(tool._SIDES)
  found = json.loads(out.read_text())
  for name in tool._SIDES:
    fastest = found[name]["fastest_and_slowest_seconds"][0]
    assert found[name]["tokens_per_second"] == pytest.approx(8 / fastest)
    assert found[name]["peak_bytes"] > 2**27  # a process with a library
  rates = [found[name]["tokens_per_second"] for name in tool._SIDES]
  assert found["times_as_fast"] == pytest.approx(rates[0] / rates[1])
  # The decoder: a table of 300, a layer of 128 wide, and its last norm.
  layer = 128 * (8 + 4) * 32 + 3 * 128 * 512 + 4 * 128
  assert found["decoder_bytes"] == 4 * (300 * 128 + layer + 128)
  assert found["weights_read_seconds"] > 0
  assert "reading the decoder's 1 MB once: " in shown


def test_other_tokens_are_an_error(tool):
  same = [[1, 2], [3, 4]]
  tool._check({"ours": same, "transformers": same})
  with pytest.raises(ValueError, match="1 of 2 rows have other tokens"):
    tool._check({"ours": same, "transformers": [[1, 2], [3, 5]]})


@pytest.mark.parametrize(
  ("options", "message"),
  [
    (["--size", "3b_225"], "did you mean '3b_224'"),
    (["--px", "30"], "--px 30 is not a multiple of 14"),
  ],
)
def test_bad_options_are_one_line(tool, capsys, options, message):
  assert tool.main(options) == 1
  error = capsys.readouterr().err
  assert error.count("\n") == 1
  assert message in error


def test_a_side_that_dies_says_why(tool):
  from bench_cases import turns

  code = "import sys; sys.exit('no such weights')"
  with (
    turns.Side([sys.executable, "-c", code]) as side,
    pytest.raises(RuntimeError, match="no such weights"),
  ):
    side.ask({"new": 1})


def test_help():
  run = [sys.executable, str(_PATH), "--help"]
  shown = subprocess.run(run, capture_output=True, text=True, check=True).stdout
  assert "--vocab" in shown
