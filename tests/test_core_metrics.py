"""Lines of numbers, each step once, whole."""

import builtins
import errno
import json

import jax.numpy as jnp
import pytest
import storage_fakes
from etils import epath

from hispatial_jax.core import metrics, storage


def test_a_restart_leaves_each_step_once(tmp_path):
  writer = metrics.Writer(tmp_path, tensorboard=False)
  for step in (1, 2, 3):
    writer.write(step, {"loss": jnp.float32(step)})
  writer.close()
  with (tmp_path / metrics.FILE).open("a") as f:
    f.write('{"step": 4, "lo')  # killed while writing

  writer = metrics.Writer(tmp_path, step=2, tensorboard=False)
  writer.write(3, {"loss": 30})
  writer.close()
  rows = metrics.read(tmp_path)
  assert [(r["step"], r["loss"]) for r in rows] == [(1, 1.0), (2, 2.0), (3, 30)]


def test_not_a_number_is_kept(tmp_path):
  writer = metrics.Writer(tmp_path, tensorboard=False)
  writer.write(1, {"loss": float("nan")})
  text = (tmp_path / metrics.FILE).read_text()
  assert json.loads(text)["loss"] != json.loads(text)["loss"]


def test_tensorboard_files(tmp_path):
  pytest.importorskip("tensorboardX")
  writer = metrics.Writer(tmp_path)
  writer.write(1, {"loss": 1.0})
  writer.close()
  assert list((tmp_path / "tensorboard").glob("events*"))


def test_wandb_asked_for_but_absent(tmp_path, monkeypatch):
  real = builtins.__import__

  def fake(name, *args, **kwargs):
    if name == "wandb":
      raise ImportError(name)
    return real(name, *args, **kwargs)

  monkeypatch.setattr(builtins, "__import__", fake)
  with pytest.raises(ImportError, match="pip install wandb"):
    metrics.Writer(tmp_path, tensorboard=False, wandb="project")


def test_progress_without_and_with_a_speed():
  values = {"loss": jnp.float32(1.23456), "n": 3}
  line = "step 21/100  21 %  loss 1.235  n 3"
  assert metrics.progress(21, 100, {"stalls": 0}, values) == line
  speed = {"examples_per_second": 16.0, "seconds_per_step": 0.5, "mfu": 0.1}
  assert metrics.progress(21, 100, speed | {"eta_seconds": 39.5}, values) == (
    f"{line}  16.0 examples/s  0.5 s/step  MFU 10.0 %  ETA 0:00:40"
  )


def test_a_line_cut_short_by_a_failure_is_written_whole(tmp_path, monkeypatch):
  monkeypatch.setattr(storage.time, "sleep", lambda s: None)
  writer = metrics.Writer(tmp_path, tensorboard=False)
  writer.write(1, {"loss": 1.0})
  writer.write(1, {"val/loss": 2.0})
  fail = storage_fakes.Failing(2, errno.EIO, half=True)
  monkeypatch.setattr(type(epath.Path()), "open", fail.open)
  writer.write(2, {"loss": 3.0})
  assert fail.left == 0
  rows = metrics.read(tmp_path)
  assert rows == [
    {"step": 1, "loss": 1.0},
    {"step": 1, "val/loss": 2.0},
    {"step": 2, "loss": 3.0},
  ]


def test_a_full_disk_is_one_error_with_the_path(tmp_path, monkeypatch):
  writer = metrics.Writer(tmp_path, tensorboard=False)
  writer.write(1, {"loss": 1.0})
  fail = storage_fakes.Failing(9, errno.ENOSPC, half=True)
  monkeypatch.setattr(type(epath.Path()), "open", fail.open)
  with pytest.raises(OSError, match=f"No space left.*{metrics.FILE}"):
    writer.write(2, {"loss": 3.0})
  assert fail.left == 8
  monkeypatch.undo()
  assert metrics.read(tmp_path) == [{"step": 1, "loss": 1.0}]


def test_the_line_of_a_step_shows_no_subtrees():
  out = {
    "loss": jnp.float32(2.0),
    "correct": jnp.float32(3.0),
    "tokens": jnp.float32(4.0),
    "grad_norm": jnp.float32(1.0),
    "grad_norm/llm/layers": jnp.float32(0.5),
    "lr": jnp.float32(0.1),
  }
  shown = metrics.summary(out)
  assert shown["accuracy"] == 0.75
  assert shown["grad_norm/llm/layers"] == 0.5
  assert list(metrics.headline(shown)) == [
    "loss",
    "accuracy",
    "grad_norm",
    "lr",
  ]
