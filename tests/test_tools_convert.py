"""tools/convert_weights.py and tools/bench_convert.py from the command line."""

import importlib
import pathlib
import subprocess
import sys

import golden_moge
import numpy as np
import pytest
import weights_random

from hispatial_jax.moge import checkpoint
from hispatial_jax.weights import export, lazy, source

_TOOLS = pathlib.Path(__file__).parent.parent / "tools"
sys.path.insert(0, str(_TOOLS))

convert_weights = importlib.import_module("convert_weights")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
  """A checkpoint with a point map, and one without."""
  folder = tmp_path_factory.mktemp("start")
  for name, fused in (("fused.npz", True), ("plain.npz", False)):
    cfg = weights_random.config(pointmap=fused)
    params = weights_random.params(cfg)
    arrays = {n: lazy.of(x) for n, x in params.items()}
    export.save(folder / name, source.Checkpoint(arrays, cfg, "npz"))
  return folder


@pytest.mark.parametrize(
  ("first", "kinds"),
  [
    ("plain.npz", ["huggingface", "orbax", "npz"]),
    ("fused.npz", ["hispatial", "hispatial-safetensors", "orbax", "npz"]),
  ],
)
def test_all_directions_that_make_sense(first, kinds, start, tmp_path, capsys):
  src = start / first
  for kind in kinds:
    dst = tmp_path / (kind + (".npz" if kind == "npz" else ""))
    args = [str(src), str(dst), "--to", kind, "--verify"]
    assert convert_weights.main(args) == 0
    printed = capsys.readouterr().out
    assert "largest difference of the round trip: 0\n" in printed
    src = dst
  a, b = source.open(start / first), source.open(src)
  assert export.difference(a, b) == (0, "")
  assert not list(tmp_path.glob(".partial*"))


@pytest.mark.slow
def test_moge_goes_through_the_same_command(golden, tmp_path, capsys):
  theirs = {n: lazy.of(x) for n, x in golden_moge.state(golden).items()}
  config = golden_moge.config(golden)
  start = checkpoint.adopt(theirs, config, "moge-pt", "golden")
  checkpoint.save(tmp_path / "0.npz", start)
  steps = [
    ("0.npz", "1.safetensors", [], "moge-safetensors"),
    ("1.safetensors", "2", ["--to", "moge-npz"], "moge-npz"),
    ("2", "3.pt", [], "moge-pt"),
    ("3.pt", "4.npz", [], "moge-npz"),
  ]
  for src, dst, more, kind in steps:
    args = [str(tmp_path / src), str(tmp_path / dst), "--verify", *more]
    assert convert_weights.main(args) == 0
    printed = capsys.readouterr().out
    assert f"({kind}): 293,424 parameters in 197 arrays" in printed
    assert "largest difference of the round trip: 0\n" in printed
  again = checkpoint.open(tmp_path / "4.npz")
  assert export.difference(start, again) == (0, "")
  assert again.config == config
  src = tmp_path / "0.npz"
  wrong = _fails(capsys, src, tmp_path / "5.npz", "--to", "orbax")
  assert "could be moge-npz: got --to orbax" in wrong
  other = _fails(
    capsys, src, tmp_path / "5.npz", "--config-from", "moge-2-vitl"
  )
  assert "0.npz does not fit its config" in other


def test_dtype_is_converted_and_its_difference_told(start, tmp_path, capsys):
  args = [str(start / "plain.npz"), str(tmp_path / "x.npz"), "--verify"]
  assert convert_weights.main([*args, "--dtype", "bfloat16"]) == 0
  out = capsys.readouterr().out
  gap = float(out.split("round trip: ")[1].split()[0])
  assert 0 < gap < 0.01
  with np.load(tmp_path / "x.npz") as found:
    assert found["params/img/head/bias"].dtype.str == "|V2"


def _fails(capsys, *args):
  assert convert_weights.main([str(a) for a in args]) == 1
  error = capsys.readouterr().err
  assert error.startswith("convert_weights: ")
  return error


def test_bad_input_is_one_clear_error(start, tmp_path, capsys):
  fused, plain = start / "fused.npz", start / "plain.npz"
  none = _fails(capsys, start / "no.npz", tmp_path / "x.npz")
  assert none.endswith("no.npz: no such file or folder\n")
  assert none.count("\n") == 1
  assert "name one with --to" in _fails(capsys, plain, tmp_path / "out")
  wrong = _fails(capsys, plain, tmp_path / "x.npz", "--to", "huggingface")
  assert "could be npz: got --to huggingface" in wrong
  room = _fails(capsys, fused, tmp_path / "out", "--to", "huggingface")
  assert "huggingface has no room for a point map" in room
  needs = _fails(capsys, plain, tmp_path / "out", "--to", "hispatial")
  assert "hispatial needs a point map" in needs
  assert "is there already" in _fails(capsys, plain, fused)
  (tmp_path / "text.npz").write_text("hello")
  bad = _fails(capsys, tmp_path / "text.npz", tmp_path / "x.npz")
  assert "text.npz: not a whole npz file" in bad
  (tmp_path / "empty").mkdir()
  assert "no checkpoint" in _fails(
    capsys, tmp_path / "empty", tmp_path / "y.npz"
  )
  other = _fails(capsys, plain, tmp_path / "x.npz", "--config-from", "3b_224")
  assert "~shape llm/embedder/input_embedding: expected [257152,2304]" in other
  assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "text.npz"]


def test_a_failing_write_leaves_nothing(start, tmp_path, capsys):
  params = weights_random.params(weights_random.config(pointmap=False))
  params["llm/final_norm/scale"][3] = 1e9
  np.savez(tmp_path / "big.npz", **params)
  args = [tmp_path / "big.npz", tmp_path / "out.npz", "--dtype", "float16"]
  assert "llm/final_norm/scale holds numbers" in _fails(capsys, *args)
  assert [p.name for p in tmp_path.iterdir()] == ["big.npz"]


def test_config_from_a_file_gives_the_scales(start, tmp_path):
  args = [str(start / "plain.npz"), str(tmp_path / "hf"), "--to", "huggingface"]
  assert convert_weights.main(args) == 0
  config = tmp_path / "hf" / "config.json"
  text = config.read_text().replace(
    '"query_pre_attn_scalar": 8.0', '"query_pre_attn_scalar": 4.0'
  )
  (tmp_path / "other.json").write_text(text)
  args[1:] = [str(tmp_path / "b"), *args[2:]]
  args += ["--config-from", str(tmp_path / "other.json")]
  assert convert_weights.main(args) == 0
  found = source.open(tmp_path / "b").config["llm"]["query_scale"]
  assert found == pytest.approx(0.5)


@pytest.mark.slow
def test_the_bench_prints_its_figures(tmp_path):
  command = [sys.executable, str(_TOOLS / "bench_convert.py"), "--size", "toy"]
  command += ["--folder", str(tmp_path)]
  done = subprocess.run(command, capture_output=True, text=True, check=True)
  assert done.stdout.count("peak memory") == 2
  assert "npz -> huggingface -> npz: identical" in done.stdout
  assert list(tmp_path.iterdir()) == []
