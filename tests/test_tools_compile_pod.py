"""tools/compile_pod.py: the trained program itself, its figures, its errors."""

import importlib.util
import json
import pathlib

import jax
import pytest

from hispatial_jax.core import chips

_ROOT = pathlib.Path(__file__).parent.parent
_RECIPE = str(_ROOT / "tests" / "pod_config.py")
_CHIP = ["--topology", "v5e:1x1"]


@pytest.fixture
def tool(monkeypatch):
  monkeypatch.syspath_prepend(str(_ROOT / "tools"))
  path = _ROOT / "tools" / "compile_pod.py"
  spec = importlib.util.spec_from_file_location("compile_pod", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.fixture
def on_cpu(tool, monkeypatch):
  """The one device here stands for a chip of a topology."""
  monkeypatch.setattr(tool, "_devices", lambda *topology: jax.devices()[:1])
  monkeypatch.setattr(tool.topology, "version", lambda: "0.0")
  return tool


def test_figures_of_a_train_step(on_cpu, tmp_path, capsys):
  saved, text = tmp_path / "out.json", tmp_path / "out.hlo"
  arguments = ["--config", _RECIPE, *_CHIP, "--json", saved, "--hlo", text]
  arguments += ["--set", "batch_size=4"]
  assert on_cpu.main([str(a) for a in arguments]) == 0
  out = capsys.readouterr().out
  found = json.loads(saved.read_text())
  assert (found["batch_size"], found["text_length"]) == (4, 12)
  sizes = found["bytes"]
  trained = sizes["parameters, trained"]
  # Two moments of each in float32, and two counts of steps.
  assert sizes["optimizer"] == 2 * trained + 2 * 4
  assert 0 < sizes["parameters, frozen"] < trained
  # rows x (pixels x 7 + 4 rows of text + a flag)
  assert sizes["batch"] == 4 * (28 * 28 * 7 * 4 + 4 * 12 * 4 + 1)
  whole = sum(n for k, n in sizes.items() if k not in ("together", "HBM"))
  assert sizes["together"] == whole
  # One layer, no remat: what is computed is what must be, and little more.
  assert 0.95 < found["hardware_over_model"] < 1.2
  assert found["least_step_seconds"] == max(found["least_seconds"].values())
  assert "| together |" in out
  assert "(the longest)" in out
  assert f"\n{found['longest']}: " in out
  assert text.read_text().startswith("HloModule")


def test_figures_of_answers_and_of_their_loss(on_cpu, tmp_path, capsys):
  found = {}
  for what in ("decode", "evaluate"):
    saved = tmp_path / f"{what}.json"
    arguments = ["--config", _RECIPE, *_CHIP, "--what", what, "--json"]
    assert on_cpu.main([*arguments, str(saved)]) == 0
    assert capsys.readouterr().out.startswith(f"{what}: ")
    found[what] = json.loads(saved.read_text())
  # Answers are served in bfloat16; the loss is that of the parameters trained.
  held, served = (
    found[w]["bytes"]["parameters"] for w in ("evaluate", "decode")
  )
  assert served < held < 2 * served
  assert "model_flops" not in found["decode"]
  # The forward pass alone, of a hand count of it.
  assert 0.95 < found["evaluate"]["hardware_over_model"] < 1.2


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--topology", "v5f:4x4"], "expected one of v5e, v5p, v6e"),
    (["--topology", "v5e:2x2", "--set", "batch=3"], "batch: unknown key"),
    (["--topology", "v5e:2x2", "--config", "no.py"], "no config file no.py"),
    (["--topology", "v5e:4x4"], "batch_size=8 must be a multiple of the 16"),
    (
      ["--topology", "v5e:4x4", "--json", "no.json", "--search", "row=1"],
      "row (did you mean 'rows'?)",
    ),
  ],
)
def test_bad_input_is_one_line(on_cpu, arguments, message, capsys, monkeypatch):
  monkeypatch.setattr(on_cpu, "_devices", lambda *topology: jax.devices() * 16)
  assert on_cpu.main(["--config", _RECIPE, *arguments]) == 1
  error = capsys.readouterr().err
  assert error.startswith("compile_pod: ")
  assert message in error


# Stands for Python: fits without remat, does not with, crashes at 8 rows.
_STUB = """#!/bin/sh
case "$*" in
  *batch_size=32*) kill -9 $$ ;;
  *remat=none*) ;;
  *) echo noise >&2; echo "compile_pod: does not fit" >&2; exit 1 ;;
esac
while [ "$1" != --json ]; do shift; done
echo '{"bytes": {"together": 1, "HBM": 16}, "examples": 16, "longest": "HBM",
"least_step_seconds": 0.1, "advice": "HBM: little"}' > "$2"
"""


def test_each_is_compiled_by_a_process_of_its_own(
  on_cpu, tmp_path, capsys, monkeypatch
):
  stub, saved = tmp_path / "python", tmp_path / "found.json"
  stub.write_text(_STUB)
  stub.chmod(0o755)
  monkeypatch.setattr(on_cpu.sys, "executable", str(stub))
  arguments = ["--config", _RECIPE, "--topology", "v5e:2x2", "--json"]
  arguments += [str(saved), "--reserve", "0", "--search", "data=1", "tensor=1"]
  arguments += ["rows=4,8", "remat=none,nothing_saveable"]
  assert on_cpu.main(arguments) == 0
  out = capsys.readouterr().out
  errors = [row.get("error") for row in json.loads(saved.read_text())]
  crash = "killed by signal 9 (it said nothing)"
  assert errors == [None, crash, "does not fit"]
  assert "best: --set batch_size=16 mesh.dcn=1 mesh.data=1 mesh.fsdp=4" in out
  assert len(saved.with_suffix(".jsonl").read_text().splitlines()) == 1 + 3


@pytest.mark.slow
@pytest.mark.skipif(
  importlib.util.find_spec("libtpu") is None, reason="needs libtpu"
)
def test_a_search_for_a_tpu(tool, tmp_path, capsys):
  saved = tmp_path / "found.json"
  arguments = ["--config", _RECIPE, "--topology", "v5e:2x2", "--json"]
  # Three examples cannot be cut in two microbatches.
  search = ["--search", "data=1", "tensor=1", "rows=3,4", "accumulate=2"]
  several = ["remat=none,nothing_saveable"]
  assert tool.main([*arguments, str(saved), *search, *several]) == 0
  out = capsys.readouterr().out
  found = json.loads(saved.read_text())
  assert [row["set"][0] for row in found] == ["batch_size=16"] * 2
  assert all(0 < row["least_step_seconds"] < 1e-3 for row in found), out
  assert [row["set"][-2][16:] for row in found] == ["none", "nothing_saveable"]
  assert "best: --set batch_size=16 mesh.dcn=1 mesh.data=1 mesh.fsdp=4" in out


def test_chips_are_their_makers():
  v5e = chips.CHIPS["v5e"]
  assert (v5e.hbm, v5e.flops, v5e.hbm_speed) == (16 * 2**30, 197e12, 819e9)
