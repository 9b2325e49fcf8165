"""tools/bench_train.py on a tiny model: same losses, a table, clear errors."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

_PATH = pathlib.Path(__file__).parent.parent / "tools" / "bench_train.py"
_TINY = "--size toy --vocab 300 --px 28 --layers 1 --batch 2 --length 8"


@pytest.fixture
def tool(monkeypatch):
  monkeypatch.syspath_prepend(str(_PATH.parent))
  for name in ("JAX_PLATFORMS", "TF_CPP_MIN_LOG_LEVEL"):
    monkeypatch.setenv(name, "cpu" if name == "JAX_PLATFORMS" else "2")
  monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
  monkeypatch.delenv("BIG_VISION_DIR", raising=False)
  spec = importlib.util.spec_from_file_location("bench_train", _PATH)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def test_both_sides_take_the_same_steps_and_are_measured(
  tool, tmp_path, capsys
):
  out = tmp_path / "out.json"
  assert tool.main([*_TINY.split(), "--turns", "1", "--json", str(out)]) == 0
  shown = capsys.readouterr().out
  assert "4 image and 8 text tokens; first losses" in shown
  found = json.loads(out.read_text())
  mine, theirs = found["losses"].values()
  assert mine == pytest.approx(theirs, rel=1e-4)
  # An update between them: not the forward pass alone is the same.
  assert mine[1] < mine[0] - 0.01
  for name in tool._SIDES:
    rate = found[name]["examples_per_second"]
    assert rate == pytest.approx(2 / found[name]["step_seconds"])
    assert f"| {name} | {1e3 * found[name]['step_seconds']:.0f} |" in shown
    assert found[name]["peak_bytes"] > 2**27  # a process with a library


def test_other_losses_are_an_error(tool):
  tool.check({"ours": [2.0], "PyTorch": [2.0001]}, 1e-4)
  for wrong in (2.001, float("nan")):
    with pytest.raises(ValueError, match="these are not the same steps"):
      tool.check({"ours": [wrong], "PyTorch": [2.0]}, 1e-4)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    (["--size", "31m"], "--size 31m (did you mean '30m'?)"),
    (["--px", "30"], "--px 30 is not a multiple of 14"),
    (["--pod", "v5e:4x4", "--batch", "63"], "must be a multiple of the 16"),
    (["--pod", "v4e:4x4"], "did you mean v6e"),
    (["--pod", "v5e:2x2", "--size", "66m"], "big_vision has 3b_448"),
    (["--pod", "v5e:2x2"], "BIG_VISION_DIR=: expected a checkout"),
  ],
)
def test_bad_options_are_one_line(tool, capsys, options, message):
  assert tool.main(options) == 1
  error = capsys.readouterr().err
  assert error.count("\n") == 1
  assert message in error


def test_shares_are_of_theirs(tool):
  from bench_cases import pods

  keys = "arguments temporaries temporaries_assigned flops hbm_bytes bytes"
  theirs = dict.fromkeys(keys.split(), 4 * 2**30)
  mine = theirs | {"temporaries": 2**30, "temporaries_assigned": None}
  shown = pods.table({"big_vision": theirs, "ours": mine})
  assert "GiB | 4.00 | 1.00 | 0.25 |" in shown
  assert "as laid out" not in shown


def test_figures_of_a_program(tool):
  import jax
  from bench_cases import pods

  square = jax.ShapeDtypeStruct((256, 256), "float32")
  figures = pods._figures(jax.jit(lambda x: x @ x).lower(square))
  assert figures["arguments"] == 4 * 256**2
  assert figures["flops"] == 2 * 256**3
  # The compiler of CPUs does not say how it lays them out.
  assert figures["temporaries_assigned"] is None


def test_help():
  run = [sys.executable, str(_PATH), "--help"]
  shown = subprocess.run(run, capture_output=True, text=True, check=True).stdout
  assert "--pod" in shown
