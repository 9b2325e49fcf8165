"""Lines of numbers, each step once; speed and time to go."""

import builtins
import json

import jax.numpy as jnp
import pytest

from hispatial_jax.core import metrics


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


def test_clock_and_progress():
  time = [0.0]
  clock = metrics.Clock(
    100, done=10, batch_size=8, flops=50.0, peak_flops=1000.0,
    now=lambda: time[0],
  )  # fmt: skip
  clock.waited(99.0)
  time[0] = 60.0  # compilation
  clock.tick(11)
  assert clock.read() == {}
  for step in range(12, 22):
    time[0] += 0.5
    clock.waited(0.1)
    clock.tick(step)
  time[0] += 7.0
  clock.paused(7.0)
  speed = clock.read()
  assert speed == pytest.approx(
    {
      "seconds_per_step": 0.5,
      "examples_per_second": 16.0,
      "input_wait": 0.2,
      "eta_seconds": 39.5,
      "mfu": 0.1,
    }
  )
  line = metrics.progress(21, 100, speed, {"loss": 1.23456})
  assert line == (
    "step 21/100  21 %  loss 1.235  16.0 examples/s  0.5 s/step  MFU 10.0 %  "
    "ETA 0:00:40"
  )
  assert clock.read() == {}
