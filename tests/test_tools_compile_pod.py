"""tools/compile_pod.py: the trained program itself, its figures, its errors."""

import importlib.util
import json
import pathlib

import jax
import pytest

from hispatial_jax.core import chips

_ROOT = pathlib.Path(__file__).parent.parent
_RECIPE = """
import pathlib, sys
sys.path.insert(0, {tests!r})
import train_config

def get_config(arg=""):
  config = train_config.get_config(arg).unlock()
  config.model.llm.vocab_size = 64
  config.model.dtype = "bfloat16"
  config.optim.frozen_dtype = "bfloat16"
  config.data.mixture = {{
    "a": {{"pp": "decode|tokenize(12)"}}, "b": {{"pp": "tokenize(8)"}},
  }}
  return config.lock()
"""


@pytest.fixture
def tool(monkeypatch):
  monkeypatch.syspath_prepend(str(_ROOT / "tools"))
  path = _ROOT / "tools" / "compile_pod.py"
  spec = importlib.util.spec_from_file_location("compile_pod", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.fixture
def recipe(tmp_path):
  path = tmp_path / "recipe.py"
  path.write_text(_RECIPE.format(tests=str(_ROOT / "tests")))
  return str(path)


@pytest.fixture
def on_cpu(tool, monkeypatch):
  """The one device here stands for a chip of a topology."""
  monkeypatch.setattr(tool, "_devices", lambda topology: jax.devices()[:1])
  monkeypatch.setattr(tool.importlib.metadata, "version", lambda name: "0.0")
  return tool


def test_figures_of_a_train_step(on_cpu, recipe, tmp_path, capsys):
  saved, text = tmp_path / "out.json", tmp_path / "out.hlo"
  arguments = ["--config", recipe, "--topology", "v5e:1x1", "--json", saved]
  arguments += ["--hlo", text, "--set", "batch_size=4"]
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
  assert found["longest"] in found["least_seconds"]
  assert "| together |" in out
  assert "(the longest)" in out
  assert text.read_text().startswith("HloModule")


def test_figures_of_decoding(on_cpu, recipe, capsys):
  arguments = ["--config", recipe, "--topology", "v5e:1x1", "--what", "decode"]
  assert on_cpu.main(arguments) == 0
  out = capsys.readouterr().out
  assert out.startswith("decode: ")
  assert "hardware TFLOP" in out
  assert "model TFLOP" not in out


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["--topology", "v5f:4x4"], "expected one of v5e, v5p, v6e"),
    (["--topology", "v5e:4x4"], "batch_size=8 must be a multiple of the 16"),
    (["--topology", "v5e:2x2", "--set", "batch=3"], "batch: unknown key"),
    (["--topology", "v5e:2x2", "--config", "no.py"], "no config file no.py"),
  ],
)
def test_bad_input_is_one_line(tool, recipe, arguments, message, capsys):
  assert tool.main(["--config", recipe, *arguments]) == 1
  error = capsys.readouterr().err
  assert error.startswith("compile_pod: ")
  assert message in error


def test_what_does_not_fit_is_told_in_bytes(tool):
  message = (
    "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in "
    "memory space hbm. Used 20.09G of 15.75G hbm. Exceeded hbm capacity by "
    "4.35G.\n\nTotal hbm usage >= 20.34G:\n    reserved 258.00M\n"
  )
  line = tool.report.out_of_memory(message)
  assert "20.09G of a chip's 15.75G" in line
  assert "\n" not in line
  assert tool.report.out_of_memory("other\nlines") == "other"


def test_the_compilers_buffer_assignment(tool, tmp_path):
  assert tool.report.assignment(tmp_path) == (None, [])
  stem = tmp_path / "module_0000.jit_update.after_optimizations"
  pathlib.Path(f"{stem}-memory-usage-report.txt").write_text(
    "Memory Space: default (color=0)\nTotal bytes: 4796805632 (4.47GiB)\n"
    "  cumulative_size;       size;       offset; used_by_n_values; shapes\n"
    "  526.50MiB( 16%);  526.50MiB;     23281664;  5; 5xbf16[26,4,1151,2304]\n"
    "    1.29GiB( 39%);  263.25MiB;   1585610752;    6; 5xf32[26,2,2304,576]\n"
  )
  pathlib.Path(f"{stem}-buffer-assignment.txt").write_text(
    "BufferAssignment:\nallocation 1: size 268435456, parameter 0, shape\n"
    "allocation 416: size 2686566912, preallocated-temp:\n"
    "allocation 420: size 117440512, color 1, preallocated-temp:\n"
  )
  size, largest = tool.report.assignment(tmp_path)
  assert size == 2686566912
  assert largest[0] == "526.50MiB: 5xbf16[26,4,1151,2304]"
  assert len(largest) == 2


def test_chips_are_their_makers():
  v5e = chips.CHIPS["v5e"]
  assert (v5e.hbm, v5e.flops, v5e.hbm_speed) == (16 * 2**30, 197e12, 819e9)
