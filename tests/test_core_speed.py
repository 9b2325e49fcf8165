"""Speed since the last reading, time to go, what share of the chips it is."""

import types

import jax
import pytest

from hispatial_jax.core import chips, speed


def _device(kind, **stats):
  return types.SimpleNamespace(
    device_kind=kind, memory_stats=lambda: stats or None
  )


def test_clock():
  now = [0.0]
  clock = speed.Clock(100, done=10, peak_flops=1000.0, now=lambda: now[0])
  clock.waited(99.0)
  now[0] = 60.0  # compilation
  clock.tick(11, examples=8, tokens=80, flops=50.0)
  assert clock.read() == {}
  for step in range(12, 22):
    now[0] += 0.5
    clock.waited(0.1)
    # A longer row every other step.
    clock.tick(step, examples=8, tokens=80 + step % 2 * 40, flops=50.0)
  now[0] += 7.0
  clock.paused(7.0)
  assert clock.read() == pytest.approx(
    {
      "seconds_per_step": 0.5,
      "examples_per_second": 16.0,
      "tokens_per_second": 200.0,
      "input_wait": 0.2,
      "eta_seconds": 39.5,
      "mfu": 0.1,
    }
  )
  assert clock.read() == {}
  now[0] += 2.0
  clock.tick(22, examples=8, tokens=80, flops=50.0)
  found = clock.read()
  assert found["tokens_per_second"] == 40.0
  assert found["mfu"] == 0.025


def test_without_a_peak_there_is_no_mfu():
  now = [0.0]
  clock = speed.Clock(9, now=lambda: now[0])
  for step in (1, 2):
    now[0] += 1.0
    clock.tick(step, examples=8, flops=50.0)
  assert "mfu" not in clock.read()


def test_peak_of_known_devices_alone():
  v5e = chips.CHIPS["v5e"].flops
  assert speed.peak([_device("TPU v5 lite")] * 4) == 4 * v5e
  assert speed.peak([_device("TPU v6 lite")]) == chips.CHIPS["v6e"].flops
  assert speed.peak([_device("TPU v5")]) == chips.CHIPS["v5p"].flops
  assert speed.peak([_device("TPU v5 lite"), _device("cpu")]) == 0
  assert speed.peak() == 0  # of the CPU that tests run on
  assert jax.devices()[0].device_kind == "cpu"


def test_memory_of_the_fullest_device():
  one = _device("x", bytes_in_use=3, peak_bytes_in_use=9)
  other = _device("x", bytes_in_use=5, peak_bytes_in_use=7)
  assert speed.memory([one, other]) == {"hbm_bytes": 5, "hbm_peak_bytes": 9}
  assert speed.memory([one, _device("cpu")]) == {}
  assert speed.memory() == {}
