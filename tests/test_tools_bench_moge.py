"""tools/bench_moge.py on a tiny model: the tables, clear errors."""

import importlib.util
import pathlib
import sys

import golden_moge
import jax
import numpy as np
import pytest

from hispatial_jax.dry_run import topology
from hispatial_jax.moge import variants

_ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture
def tool(golden, monkeypatch):
  monkeypatch.syspath_prepend(str(_ROOT / "tools"))
  monkeypatch.delenv("MOGE_DIR", raising=False)
  config = golden_moge.config(golden)
  monkeypatch.setattr(variants, "config", lambda name: dict(config))
  spec = importlib.util.spec_from_file_location(
    "bench_moge", _ROOT / "tools" / "bench_moge.py"
  )
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  peak = {"bytes": 3 * 2**30, "of": "of the process"}
  monkeypatch.setattr(module, "_run_peak", lambda args, name: peak)
  return module


@pytest.mark.slow
def test_a_table_of_all_stages(tool, capsys):
  assert tool.main(["--size", "56", "--batch", "2", "--runs", "2"]) == 0
  out = capsys.readouterr().out
  assert "ours alone" in out
  rows = [line.split("|") for line in out.splitlines() if line[:1] == "|"]
  found = {row[1].strip(): row for row in rows[2:]}
  assert list(found) == [
    "encoder",
    "neck and heads",
    "forward",
    "solve",
    "infer",
    "encode record",
  ]
  for stage, row in found.items():
    count, seconds, rate = map(float, row[2:5])
    assert count == {"solve": 16, "encode record": 1}.get(stage, 2)
    assert abs(seconds * rate - count) < 0.2 * count
  assert "peak memory, ours: 3.00 GiB (of the process)" in out


def test_a_checkout_that_is_none_is_one_line(tool, capsys, monkeypatch):
  monkeypatch.setenv("MOGE_DIR", "/nowhere")
  assert tool.main(["--size", "56"]) == 1
  error = capsys.readouterr().err
  assert error.count("\n") == 1
  assert "MOGE_DIR=/nowhere" in error


def test_pictures_are_the_same_for_both_and_differ_from_each_other(tool):
  from bench_cases import moge

  args = tool._parse(["--size", "40", "--batch", "6"])
  one, two = moge.images(args), moge.images(args)
  assert one.shape == (6, 40, 40, 3)
  np.testing.assert_array_equal(one, two)
  assert (one[0] != one[1]).any()


def test_what_a_tpu_would_need(tool, capsys, monkeypatch):
  # The device here stands for a chip.
  monkeypatch.setattr(topology, "prepare", lambda dump: None)
  monkeypatch.setattr(topology, "devices", lambda name: jax.devices())
  monkeypatch.setattr(topology, "version", lambda: "0.0")
  assert tool.main(["--tpu", "--size", "56", "--tokens", "16"]) == 0
  out = capsys.readouterr().out
  assert out.startswith("moge\none chip of v5e:2x2 as dcn=1 x data=1")
  assert "dtype float32" in out
  assert "| model TFLOP (network " in out
  assert "(the longest)" in out


def test_without_a_tpu_compiler_the_way_to_one_is_told(
  tool, capsys, monkeypatch
):
  from jax.experimental import topologies

  def fail(*args, **options):
    raise RuntimeError("no libtpu\nmore")

  monkeypatch.setattr(topologies, "get_topology_desc", fail)
  monkeypatch.setattr(topology, "prepare", lambda dump: None)
  assert tool.main(["--tpu"]) == 1
  error = capsys.readouterr().err
  assert "no compiler for v5e:2x2 (no libtpu)" in error
  assert "hispatial_jax[tpu]" in error
  assert "bench_cases" in sys.modules
