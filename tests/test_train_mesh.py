"""Eight devices and two processes compute what one device computes."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from hispatial_jax.core import metrics, rundir, tokenizer

_ROOT = pathlib.Path(__file__).parent.parent
# Constraints in the lowered update besides those of gradients and batch.
_CONSTRAINTS = {
  # Image, points, and the input of either transformer.
  "model": 4,
  # Patches of the point map, its sum and its first sum; the sum's gradient.
  "pointmap": 4,
  # Tokens on their way to the table, its rows, and the rows' gradient.
  "embedding": 3,
  # The table, activations, a chunk's three inputs, its logits and theirs and
  # the activations' gradients, the table's gradient and its first value.
  "loss": 10,
}
# And those along mesh axis tensor, where it has several devices.
_TENSOR = {
  # Queries, keys, values, both halves of the MLP; and their gradients.
  "layers": 2 * 5,
  # Likewise of the frozen tower, whose MLP has one; it has no gradients.
  "image tower": 4,
}


def _start(script, *args, **environment):
  env = {**os.environ, "JAX_NUMPY_DTYPE_PROMOTION": "strict"}
  return subprocess.Popen(
    [sys.executable, _ROOT / "tests" / script, *map(str, args)],
    cwd=_ROOT,
    env=env | environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def _finish(*started, timeout=300):
  """[(exit code, stdout, stderr)]; kills what does not end."""
  out = []
  try:
    for process in started:
      text, errors = process.communicate(timeout=timeout)
      out.append((process.returncode, text, errors))
  finally:
    for process in started:
      process.kill()
  return out


@pytest.fixture(scope="module")
def words(tmp_path_factory):
  path = tmp_path_factory.mktemp("words") / "tokenizer.model"
  tokenizer.train_small(["how far is the red chair? 1.25 m"] * 50, path=path)
  return path


@pytest.mark.slow
def test_eight_devices_equal_one(words):
  flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
  eight = {"XLA_FLAGS": flags}
  # Heads that two devices can share, one at a time.
  heads = ("model.llm.num_kv_heads=2", "model.llm.attn_by_head=True")
  tool = ("train_mesh_driver.py", words)
  runs = {
    "one": _start(*tool, "1x1x1x1", 1, *heads),
    "data": _start(*tool, "1x8x1x1", 1, *heads, **eight),
    "fsdp": _start(*tool, "1x2x4x1", 2, *heads, **eight),
    "tensor": _start(*tool, "2x1x2x2", 1, *heads, **eight),
  }
  found = dict(zip(runs, _finish(*runs.values()), strict=True))
  for name, (code, _, errors) in found.items():
    assert code == 0, f"{name}: {errors}"
  found = {name: json.loads(out) for name, (_, out, _) in found.items()}
  assert [found[name]["devices"] for name in runs] == [1, 8, 8, 8]
  assert [found[name]["sharded"] for name in runs] == [0, 0, 8, 14]
  for name, run in found.items():
    # Sums over devices in another order.
    np.testing.assert_allclose(
      run["losses"], found["one"]["losses"], atol=1e-5, err_msg=name
    )
    np.testing.assert_allclose(
      run["moments"], found["one"]["moments"], rtol=1e-3, err_msg=name
    )
    wanted = run["trainable"] + run["batch"] + sum(_CONSTRAINTS.values())
    wanted += sum(_TENSOR.values()) if name == "tensor" else 0
    assert run["constraints"] == wanted, name


def _pair(words, workdir, *flags, of_one=()):
  """Starts two processes of one run; of_one: environment of the second."""
  with socket.socket() as probe:
    probe.bind(("localhost", 0))
    port = probe.getsockname()[1]
  shared = [
    *("--config", f"tests/train_config.py:tokenizer={words},steps=400"),
    *("--workdir", workdir, "--coordinator", f"localhost:{port}"),
    *("--num_processes", 2, *flags, "--process_id"),
  ]
  return [
    _start("train_driver.py", *shared, 0),
    _start("train_driver.py", *shared, 1, **dict(of_one)),
  ]


def _alone(words, workdir):
  """Starts the same run in one process, of six steps."""
  config = f"tests/train_config.py:tokenizer={words}"
  flags = ("--config", config, "--workdir", workdir)
  return _start("train_driver.py", *flags)


@pytest.fixture(scope="module")
def alone(words, tmp_path_factory):
  """Losses of the undisturbed run of one process."""
  folder = tmp_path_factory.mktemp("alone")
  ((code, _, errors),) = _finish(_alone(words, folder))
  assert code == 0, errors
  return _losses(folder)


def _losses(folder):
  """Of the steps 1, 2, ...; where a step was taken twice, the last."""
  found = {row["step"]: row["train/loss"] for row in metrics.read(folder)}
  return [found[step] for step in sorted(found)]


@pytest.mark.slow
def test_two_processes_equal_one(words, alone, tmp_path, monkeypatch):
  # Of two devices each, which share their rows.
  flags = os.environ["XLA_FLAGS"]
  monkeypatch.setenv(
    "XLA_FLAGS", f"{flags} --xla_force_host_platform_device_count=2"
  )
  shared = "--config.mesh.tensor=2"
  two = _pair(words, tmp_path / "two", shared, "--config.total_steps=6")
  for code, _, errors in _finish(*two):
    assert code == 0, errors
  losses = [alone, _losses(tmp_path / "two")]
  assert len(losses[0]) == 6
  # Six updates after sums in another order; the loss falls from 8.1 to 6.8.
  np.testing.assert_allclose(losses[1], losses[0], atol=1e-5)
  longer = (shared, "--config.total_steps=7")
  again = _finish(*_pair(words, tmp_path / "two", *longer))
  assert [code for code, _, _ in again] == [0, 0]
  assert "resumed at step 6" in again[0][1]
  assert "step" not in again[1][1]  # only the first one reports


@pytest.mark.slow
def test_sigterm_of_one_process_saves_on_both(words, tmp_path):
  quiet = ("--config.checkpoint.every=1000", "--config.log.every=100")
  pair = _pair(words, tmp_path, *quiet, of_one={"TERM_AT": "20"})
  (code, out, errors), (other, _, more) = _finish(*pair)
  assert (code, other) == (0, 0), errors + more
  assert "SIGTERM: saved step" in out
  step = int(rundir.step_folder(tmp_path).name)
  assert 20 <= step < 400
