"""A killed run of several processes goes on with as many, fewer or more."""

import os
import pathlib
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from hispatial_jax.core import metrics, tokenizer

_ROOT = pathlib.Path(__file__).parent.parent
_STEPS = 8


class _Runs:
  """Starts processes of one recipe, which share what they compile."""

  def __init__(self, folder):
    self._words = folder / "tokenizer.model"
    text = ["how far is the red chair? 1.25 m"] * 50
    tokenizer.train_small(text, path=self._words)
    self._env = {
      **os.environ,
      "JAX_NUMPY_DTYPE_PROMOTION": "strict",
      "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
      "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
      "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }

  def start(self, workdir, count, steps, *flags, of_last=()):
    """`count` processes up to a step; of_last: environment of the last."""
    with socket.socket() as probe:
      probe.bind(("localhost", 0))
      port = probe.getsockname()[1]
    command = [sys.executable, _ROOT / "tests" / "train_driver.py"]
    command += ["--config", f"tests/train_config.py:tokenizer={self._words}"]
    command += ["--workdir", workdir, f"--config.total_steps={steps}", *flags]
    command += ["--config.log.tensorboard=False"]
    out = []
    for number in range(count):
      env = {**self._env, **(dict(of_last) if number == count - 1 else {})}
      if count > 1:
        env["JAX_COORDINATOR_ADDRESS"] = f"localhost:{port}"
        env["JAX_NUM_PROCESSES"] = str(count)
        env["JAX_PROCESS_ID"] = str(number)
      out.append(
        subprocess.Popen(
          [*map(str, command), *(["--distributed"] if count > 1 else [])],
          cwd=_ROOT,
          env=env,
          stdout=subprocess.PIPE,
          stderr=subprocess.PIPE,
          text=True,
        )
      )
    return out


def _finish(started, timeout=600):
  """[(exit code, stdout, stderr)]; kills what does not end."""
  try:
    return [
      (process.returncode, *texts)
      for process in started
      for texts in [process.communicate(timeout=timeout)]
    ]
  finally:
    for process in started:
      process.kill()


def _succeed(started):
  out = _finish(started)
  assert [code for code, _, _ in out] == [0] * len(out), out
  return out[0][1]


def _losses(folder):
  """Of the steps 1, 2, ...; where a step was taken twice, the last."""
  found = {row["step"]: row["train/loss"] for row in metrics.read(folder)}
  return [found[step] for step in sorted(found)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
  return _Runs(tmp_path_factory.mktemp("runs"))


@pytest.mark.slow
def test_killed_in_a_step_and_continued_by_two_one_and_four(runs, tmp_path):
  whole, folder = tmp_path / "whole", tmp_path / "killed"
  _succeed(runs.start(whole, 2, _STEPS))
  undisturbed = _losses(whole)
  assert len(undisturbed) == _STEPS

  first, second = runs.start(folder, 2, _STEPS, of_last={"KILL_AT": "4"})
  second.communicate(timeout=600)
  begin = time.monotonic()
  ((code, _, errors),) = _finish([first], timeout=60)
  assert (code, second.returncode) == (1, -9)
  assert "error: process 0 of 2 lost the others" in errors
  print(f"the other ended after {time.monotonic() - begin:.2f} s")

  assert "resumed at step 2" in _succeed(runs.start(folder, 2, 4))
  assert _losses(folder) == undisturbed[:4]
  assert "resumed at step 4" in _succeed(runs.start(folder, 1, 6))
  assert "resumed at step 6" in _succeed(runs.start(folder, 4, _STEPS))
  found = _losses(folder)
  print(np.abs(np.divide(found, undisturbed) - 1))
  # Sums over processes in another order.
  np.testing.assert_allclose(found, undisturbed, rtol=1e-6)


@pytest.mark.slow
def test_a_process_that_fails_alone_does_not_keep_the_others(runs, tmp_path):
  first, second = runs.start(tmp_path, 2, _STEPS, of_last={"RAISE_AT": "4"})
  ((other, _, error),) = _finish([second])
  ((code, _, said),) = _finish([first], timeout=60)
  assert (code, other) == (1, 1)
  assert error == "error: batch 4 cannot be read\n"
  assert "error: process 0 of 2 lost the others" in said
