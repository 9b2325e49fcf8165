"""Our checkpoint on a benchmark: batches, devices, processes, inputs."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import evaluation_fakes as fakes
import numpy as np
import pytest
import tiny

from hispatial_jax.evaluation import checkpoint, models, run
from hispatial_jax.evaluators import decoding, examples

_ROOT = pathlib.Path(__file__).parent.parent
_QSPATIAL = fakes.GOLDEN / "qspatial"
_FAST = {"max_new_tokens": 6}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
  return tiny.save(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def one(saved, tmp_path_factory):
  """The run that all others must equal: one device, one process."""
  out = tmp_path_factory.mktemp("one")
  model = models.open(f"checkpoint:{saved}", batch_size=8, **_FAST)
  task = run.open("qspatial", _QSPATIAL)
  return out, run.evaluate(task, model, out, run.Options())


def _verdicts(out):
  rows = [json.loads(x) for x in (out / "predictions.jsonl").open()]
  keep = ("key", "output", "declared", "correct", "tokens", "ended", "points")
  return [[row[k] for k in keep] for row in rows]


def _counts(out):
  return json.loads((out / "metrics.json").read_text())["counts"]


def _start(saved, out, *more, **environment):
  argv = [sys.executable, "tools/evaluate.py", "--benchmark", "qspatial"]
  argv += ["--data", _QSPATIAL, "--model", f"checkpoint:{saved}", "--out", out]
  argv += ["--max-new-tokens", "6", *more]
  return subprocess.Popen(
    list(map(str, argv)),
    cwd=_ROOT,
    env={**os.environ, "JAX_NUMPY_DTYPE_PROMOTION": "strict", **environment},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


@pytest.mark.slow
def test_batch_size_devices_and_processes_change_no_verdict(
  saved, one, tmp_path
):
  with socket.socket() as probe:
    probe.bind(("localhost", 0))
    port = probe.getsockname()[1]
  flags = os.environ["XLA_FLAGS"]
  flags += " --xla_force_host_platform_device_count=8"
  eight = {"XLA_FLAGS": flags}
  pair = ["--coordinator", f"localhost:{port}", "--num-processes", 2]
  pair += ["--batch-size", 6, "--process-id"]
  started = [
    _start(saved, tmp_path / "eight", "--batch-size", 3, **eight),
    _start(saved, tmp_path / "two", *pair, 0),
    _start(saved, tmp_path / "two", *pair, 1),
  ]
  try:
    for process in started:
      _, errors = process.communicate(timeout=300)
      assert process.returncode == 0, errors
  finally:
    for process in started:
      process.kill()
  model = models.open(f"checkpoint:{saved}", batch_size=1, **_FAST)
  task = run.open("qspatial", _QSPATIAL)
  run.evaluate(task, model, tmp_path / "single", run.Options())
  for name in ("eight", "two", "single"):
    assert _verdicts(tmp_path / name) == _verdicts(one[0]), name
    assert _counts(tmp_path / name) == one[1]["counts"], name
  files = sorted(p.name for p in (tmp_path / "two" / "answers").iterdir())
  assert files == ["p0.jsonl", "p1.jsonl"]
  assert len((tmp_path / "two" / "answers" / "p1.jsonl").read_text()) > 100


def test_what_is_said_of_a_run(one):
  _, found = one
  assert found["model"]["kind"] == "checkpoint"
  assert len(found["model"]["sha256"]) == 64
  assert found["counts"]["errors"] == 1  # the frame without depth
  assert found["counts"]["cut"] > 0
  assert found["calibration"]["n"] == 16
  assert "depth range" in found["cuts"]


def test_resumed_batches_are_those_of_an_unbroken_run(saved, one, tmp_path):
  out, wanted = one
  (tmp_path / "answers").mkdir()
  for name in ("run.json", "answers/p0.jsonl"):
    (tmp_path / name).write_bytes(
      (out / name).read_bytes()[: 900 if "/" in name else None]
    )
  task = run.open("qspatial", _QSPATIAL)
  model = models.open(f"checkpoint:{saved}", batch_size=8, **_FAST)
  found = run.evaluate(task, model, tmp_path, run.Options(resume=True))
  assert found == wanted


def test_tokens_of_the_prompt():
  decoder = decoding.Decoder(None, tiny.words(), size=28, rows=2)
  words, rgb = tiny.words(), np.zeros((20, 30, 3), np.uint8)
  plain = decoder.look(" How wide?", rgb).ids
  assert plain == [2, *words.encode(" How wide?"), words.newline_id]
  line = decoder.look("<image>\nHow wide?", rgb).ids
  assert line == [2, *words.encode("\nHow wide?"), words.newline_id]
  assert line[1] == words.newline_id
  with pytest.raises(ValueError, match="at most 1024"):
    decoder.look("a" * 5000, rgb)
  too_long = models.Request("k", "a" * 5000, rgb)
  model = checkpoint.Checkpoint(None, decoder, None, {})
  assert "at most 1024" in model.prepare(too_long).error


def test_padding_is_masked_and_dropped():
  seen = []

  def generate(params, batch, max_new_tokens):
    seen.append(batch)
    tokens = np.tile([5, 1, 0], (3, 1))
    return {"tokens": tokens, "logp": np.full((3, 3), -0.5, np.float32)}

  decoder = decoding.Decoder(generate, tiny.words(), size=28, rows=3)
  rgb = np.full((20, 30, 3), 255, np.uint8)
  found = decoder.decode(None, [decoder.look("How wide?", rgb)])
  assert [x[1:] for x in found] == [(-1.0, 2, True)]
  assert decoder.decode(None, []) == []
  first, empty = seen
  np.testing.assert_array_equal(first["_mask"], [True, False, False])
  assert not empty["_mask"].any()
  assert (first["image"] == 1).all()
  assert first["text"].shape == empty["text"].shape == (3, 16)


def test_measured_points_are_the_reference_s():
  """Same values as the published unprojection, through the model's inputs."""
  expected = json.loads((_QSPATIAL / "expected_xyz.json").read_text())
  decoder = decoding.Decoder(None, tiny.words(), size=448, rows=1)
  compared = 0
  for example in run.open("qspatial", _QSPATIAL).examples:
    if example.depth:
      scene, _, frame = example.depth.depth.split("/")[1:]
      wanted = expected[f"{scene}/{frame.removesuffix('.png')}"]
      depth, matrix = examples.measured(example)
      seen = decoder.look("?", examples.picture(example), depth, matrix)
      assert seen.points[..., 3].sum() == wanted["model_input_valid"]
      for at in wanted["samples"]:
        point = [at[k] for k in ("x", "y", "z", "mask")]
        got = seen.points[at["row"], at["col"]]
        np.testing.assert_allclose(got, point, rtol=1e-5, atol=1e-6)
        compared += 1
  assert compared >= 24


@pytest.mark.parametrize("hidden", ["", "zeros", "relative"])
def test_a_model_gets_the_points_it_was_trained_on(hidden):
  options = {hidden: True} if hidden else {}
  decoder = decoding.Decoder(None, tiny.words(), size=28, rows=1, **options)
  rgb = np.zeros((28, 28, 3), np.uint8)
  depth = np.linspace(1, 5, 28 * 28, dtype=np.float32).reshape(28, 28)
  camera = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]], np.float32)
  points = decoder.look("?", rgb, depth, camera).points
  highest = {"": 5.0, "zeros": 0.0, "relative": 1.0}[hidden]
  assert points[..., 2].max() == pytest.approx(highest)
  assert points[..., 3].all() == (hidden != "zeros")
