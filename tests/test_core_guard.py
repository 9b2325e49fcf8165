"""What ends a run before its last step."""

import os
import pathlib
import signal

import jax.numpy as jnp
import pytest

from hispatial_jax.core import guard


class _Run:
  folder = pathlib.Path("runs/x/checkpoints")
  waited = False

  def wait(self):
    self.waited = True

  def latest(self):
    return 4


def _out(loss, norm=1.0):
  return {"loss": jnp.float32(loss), "grad_norm": jnp.float32(norm)}


@pytest.mark.parametrize(
  "bad", [_out(float("nan")), _out(1.0, float("inf"))], ids=["loss", "gradient"]
)
def test_health_names_the_step_and_its_records(bad):
  run = _Run()
  health = guard.Health(run)
  health.add(5, ["a", "b"], _out(2.0))
  health.add(6, ["c", "d"], bad)
  with pytest.raises(FloatingPointError, match="at step 6") as error:
    health.add(7, ["e", "f"], _out(2.0))
  assert "c, d; last checkpoint: step 4" in str(error.value)
  assert run.waited


def test_nothing_is_saved_before_it_was_looked_at():
  health = guard.Health(_Run())
  health.add(1, ["a"], _out(float("nan")))
  with pytest.raises(FloatingPointError, match="at step 1"):
    health.check()


def test_sigterm_ends_steps_and_evaluations():
  before = signal.getsignal(signal.SIGTERM)
  with guard.Stopping(0.0, every=10) as stopping:
    stopping.look(1)
    stopping.interrupt()
    assert stopping.reason == ""
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(guard.Interrupted):
      stopping.interrupt()
    stopping.look(2)
    assert (stopping.reason, stopping.hurry) == ("SIGTERM", True)
  assert signal.getsignal(signal.SIGTERM) is before


def test_time_is_up_but_not_in_a_hurry():
  with guard.Stopping(1e-9, every=10) as stopping:
    stopping.look(1)
  assert "max_minutes" in stopping.reason
  assert not stopping.hurry
