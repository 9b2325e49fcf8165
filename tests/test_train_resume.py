"""Runs that are killed, stopped or spoilt, and started again."""

import json
import os
import pathlib
import random
import subprocess
import sys

import jax
import numpy as np
import pytest

from hispatial_jax.core import metrics, rundir, tokenizer

_ROOT = pathlib.Path(__file__).parent.parent
_DRIVER = _ROOT / "tests" / "train_driver.py"


@pytest.fixture(scope="module")
def words(tmp_path_factory):
  path = tmp_path_factory.mktemp("words") / "tokenizer.model"
  tokenizer.train_small(["how far is the red chair? 1.25 m"] * 50, path=path)
  return path


@pytest.fixture(scope="module")
def train(words):
  """fn(workdir, *flags, args="", **environment) -> finished process."""

  def run(workdir, *flags, args="", **environment):
    config = f"tests/train_config.py:tokenizer={words}"
    command = [sys.executable, _DRIVER, "--workdir", workdir, "--config"]
    command += [f"{config},{args}" if args else config, *flags]
    env = {**os.environ, "JAX_NUMPY_DTYPE_PROMOTION": "strict"}
    return subprocess.run(
      command,
      cwd=_ROOT,
      env=env | environment,
      capture_output=True,
      text=True,
      check=False,
      timeout=300,
    )

  return run


@pytest.fixture(scope="module")
def undisturbed(train, tmp_path_factory):
  """Work directory of six steps in one go."""
  workdir = tmp_path_factory.mktemp("undisturbed")
  done = train(workdir)
  assert done.returncode == 0, done.stderr
  return workdir


def _same(one, other):
  """Parameters, moments and losses of two runs are equal, bit for bit."""
  ours, theirs = (rundir.load_params(path) for path in (one, other))
  jax.tree.map(np.testing.assert_array_equal, ours, theirs)
  losses = [
    [(row["step"], row["train/loss"], row["train/grad_norm"]) for row in rows]
    for rows in map(metrics.read, (one, other))
  ]
  assert losses[0] == losses[1]
  assert [row[0] for row in losses[0]] == [1, 2, 3, 4, 5, 6]


def test_what_a_run_leaves(undisturbed):
  assert sorted(os.listdir(undisturbed / "checkpoints")) == ["2", "4", "6"]
  config = json.loads((undisturbed / "config.json").read_text())
  words = tokenizer.load(undisturbed / "tokenizer.model")
  assert config["model"]["llm"]["vocab_size"] == words.vocab_size
  rows = metrics.read(undisturbed)
  assert rows[-1]["train/loss"] < rows[0]["train/loss"]
  norms = {
    name.removeprefix("train/grad_norm/"): value
    for name, value in rows[-1].items()
    if name.startswith("train/grad_norm/")
  }
  assert {"img/head", "pointmap/head", "llm/embedder", "llm/layers"} <= set(
    norms
  )
  assert "img/Transformer" not in norms  # frozen
  whole = sum(value**2 for value in norms.values()) ** 0.5
  assert whole == pytest.approx(rows[-1]["train/grad_norm"], rel=1e-6)
  # 8 rows of 4 image tokens and all but the last of 12 text tokens.
  pace = {k.removeprefix("speed/"): x for k, x in rows[-1].items()}
  assert pace["tokens_per_second"] == pytest.approx(
    15 * pace["examples_per_second"]
  )
  assert pace["stalls"] == 0
  assert "mfu" not in pace  # of a CPU


def test_a_trace_of_some_steps(train, tmp_path):
  done = train(tmp_path, "--profile_steps=2:3", args="steps=3")
  assert done.returncode == 0, done.stderr
  assert list((tmp_path / "trace").rglob("*.xplane.pb"))


def test_steps_to_trace_that_are_none(train, tmp_path):
  done = train(tmp_path, "--profile_steps=3:2")
  assert done.returncode == 1
  assert "error: --profile_steps 3:2: expected FIRST:LAST" in done.stderr


@pytest.mark.slow
def test_killed_at_random_and_restarted(train, undisturbed, tmp_path):
  at = random.SystemRandom().randint(1, 6)
  killed = train(tmp_path, KILL_AT=str(at))
  assert killed.returncode == -9
  again = train(tmp_path)
  assert again.returncode == 0, f"killed at {at}: {again.stderr}"
  _same(tmp_path, undisturbed)


@pytest.mark.slow
def test_sigterm_saves_and_exits_zero(train, undisturbed, tmp_path):
  stopped = train(tmp_path, TERM_AT="3")
  assert stopped.returncode == 0, stopped.stderr
  assert "SIGTERM: saved step 3 of 6" in stopped.stdout
  assert "3" in os.listdir(tmp_path / "checkpoints")
  again = train(tmp_path)
  assert "resumed at step 3" in again.stdout
  assert again.returncode == 0, again.stderr
  _same(tmp_path, undisturbed)
  ended = train(tmp_path)
  assert ended.returncode == 0
  assert "resumed at step 6" in ended.stdout


@pytest.mark.slow
def test_not_finite_stops_with_the_ids(train, tmp_path):
  done = train(tmp_path, NAN_AT="5")
  assert done.returncode == 1
  assert "loss is not finite at step 5" in done.stderr
  assert "rec-32, rec-33, " in done.stderr
  assert "last checkpoint: step 4" in done.stderr
  assert "Traceback" not in done.stderr
  assert sorted(os.listdir(tmp_path / "checkpoints")) == ["2", "4"]
  params = rundir.load_params(tmp_path)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(params))


@pytest.mark.slow
def test_time_limit_ends_cleanly(train, tmp_path):
  done = train(tmp_path, "--config.max_minutes=1e-6")
  assert done.returncode == 0, done.stderr
  assert "max_minutes=1e-06 are over: saved step 1 of 6" in done.stdout


@pytest.mark.slow
def test_checkpoint_of_another_config(train, undisturbed, tmp_path):
  (tmp_path / "checkpoints").symlink_to(undisturbed / "checkpoints")
  done = train(tmp_path, "--config.model.pointmap.num_freqs=3")
  assert done.returncode == 1
  assert "belongs to another config" in done.stderr
  assert "~shape pointmap/embedding/kernel" in done.stderr


def test_unknown_key_names_the_nearest(train, tmp_path):
  done = train(tmp_path, "--config.optim.lrr=1", "--config.seeed=1")
  assert done.returncode == 1
  assert "optim.lrr: unknown key; did you mean optim.lr?" in done.stderr
  assert "seeed: unknown key; did you mean seed?" in done.stderr


def test_flags_that_are_none(train, tmp_path):
  done = train(tmp_path, "--steps=3")
  assert done.returncode == 2
  assert "expected --config.KEY=VALUE, got --steps=3" in done.stderr


def test_workdir_that_cannot_be_written(train, tmp_path):
  (tmp_path / "file").write_text("")
  done = train(tmp_path / "file" / "run")
  assert done.returncode == 1
  assert "error: cannot write to the work directory" in done.stderr
