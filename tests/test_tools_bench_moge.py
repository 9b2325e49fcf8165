"""tools/bench_moge.py on a tiny model: the table, FLOPs, clear errors."""

import importlib.util
import pathlib
import sys

import golden_moge
import jax
import jax.numpy as jnp
import numpy as np
import pytest

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


def test_flops_count_loops_as_often_as_they_run(tool):
  from bench_cases import moge_tpu

  def function(x, kernel):
    def step(x, _):
      y = jax.lax.platform_dependent(
        x, cpu=lambda x: x, default=lambda x: x @ x
      )
      return x @ x + y, None

    x, _ = jax.lax.scan(step, x, None, length=5)
    image = x.reshape(1, 4, 4, 1)
    return jax.lax.conv_general_dilated(
      image, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )

  jaxpr = jax.make_jaxpr(function)(jnp.ones((4, 4)), jnp.ones((3, 3, 1, 7)))
  found = moge_tpu.count_flops(jaxpr.jaxpr)
  assert found == 5 * 2 * (2 * 4 * 4 * 4) + 2 * 16 * 9 * 7


def test_without_a_tpu_compiler_the_way_to_one_is_told(
  tool, capsys, monkeypatch
):
  from jax.experimental import topologies

  def fail(*args, **options):
    raise RuntimeError("no libtpu\nmore")

  monkeypatch.setattr(topologies, "get_topology_desc", fail)
  assert tool.main(["--tpu"]) == 1
  error = capsys.readouterr().err
  assert "no TPU compiler (no libtpu)" in error
  assert "hispatial_jax[tpu]" in error
  assert "bench_cases" in sys.modules
