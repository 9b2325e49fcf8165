"""How fast a run goes, what share of the chips it uses, and their memory.

clock = speed.Clock(total_steps, done=resumed_at, peak_flops=speed.peak())
clock.waited(seconds)
clock.tick(step, examples=256, tokens=256 * 1151, flops=4.2e15)
numbers = clock.read() | speed.memory()
"""

import time
from collections.abc import Callable

import jax

from hispatial_jax.core import chips


class Clock:
  """Speed since the last reading, and the time to go.

  Compilation (up to the first tick) is not counted as speed.
  """

  def __init__(
    self,
    total_steps: int,
    *,
    done: int = 0,
    peak_flops: float = 0.0,
    now: Callable[[], float] = time.monotonic,
  ):
    """Starts to count.

    Args:
      total_steps: steps of the whole run.
      done: steps done before this start.
      peak_flops: peak of all chips together a second; 0 if unknown.
      now: clock in seconds.
    """
    self._total, self._peak, self._now = total_steps, peak_flops, now
    self._begin = self._mark = None
    self._first = self._last = self._step = done
    self._wait, self._work = 0.0, {}

  def waited(self, seconds: float) -> None:
    """Counts seconds in which the loop waited for its input."""
    self._wait += seconds

  def paused(self, seconds: float) -> None:
    """Takes seconds (an evaluation, say) out of the account."""
    if self._begin is not None:
      self._begin, self._mark = self._begin + seconds, self._mark + seconds

  def tick(self, step: int, **work: float) -> None:
    """Notes that `step` updates are done.

    Args:
      step: its number.
      **work: of this step, over all processes: examples, tokens (rows of the
        language model) and flops (the model's).
    """
    self._step = step
    if self._begin is None:
      self._begin = self._mark = self._now()
      self._first = self._last = step
      self._wait = 0.0
      return
    for name, amount in work.items():
      self._work[name] = self._work.get(name, 0.0) + amount

  def read(self) -> dict[str, float]:
    """Numbers since the last reading.

    Returns:
      seconds_per_step, input_wait (share of the time), eta_seconds;
      examples_per_second and tokens_per_second; mfu where the chips' peak is
      known; {} before the second tick.
    """
    steps = self._step - self._last
    if self._begin is None or steps == 0:
      return {}
    now = self._now()
    span = max(now - self._mark, 1e-9)
    mean = (now - self._begin) / (self._step - self._first)
    out = {
      "seconds_per_step": span / steps,
      "input_wait": min(self._wait / span, 1.0),
      "eta_seconds": mean * (self._total - self._step),
    }
    work, self._work = self._work, {}
    flops = work.pop("flops", 0.0)
    out |= {f"{name}_per_second": x / span for name, x in work.items()}
    if flops and self._peak:
      out["mfu"] = flops / span / self._peak
    self._mark, self._last, self._wait = now, self._step, 0.0
    return out


def peak(devices=None) -> float:
  """bf16 FLOP/s of all devices together; 0 where their kind is not known.

  Args:
    devices: default: all devices of all processes.
  """
  devices = jax.devices() if devices is None else devices
  found = [chips.of_device(device.device_kind) for device in devices]
  return sum(chip.flops for chip in found) if all(found) else 0.0


def memory(devices=None) -> dict[str, float]:
  """Of this process's fullest device: bytes in use and the most there were.

  Args:
    devices: default: those of this process.

  Returns:
    hbm_bytes, hbm_peak_bytes; {} where a device does not count, as a CPU.
  """
  devices = jax.local_devices() if devices is None else devices
  stats = [device.memory_stats() or {} for device in devices]
  names = {"hbm_bytes": "bytes_in_use", "hbm_peak_bytes": "peak_bytes_in_use"}
  return {
    name: max(s[key] for s in stats)
    for name, key in names.items()
    if all(key in s for s in stats)
  }
