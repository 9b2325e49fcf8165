"""Steps to trace: read, refused, written."""

import jax
import jax.numpy as jnp
import pytest

from hispatial_jax.core import trace


def _run(wanted, folder, done=0, total=6, at=None):
  """The steps' object; at: gets each step as it begins."""
  double = jax.jit(lambda x: x * 2.0)
  with trace.Steps(wanted, folder, done, total) as steps:
    x = jnp.ones(3)
    for step in range(done + 1, total + 1):
      if at is not None:
        at.append(step)
      with steps.of(step):
        x = double(x)
      steps.end(step, x)
  return steps


def test_a_range():
  assert trace.parse("10:15") == (10, 15)
  assert trace.parse("3:3") == (3, 3)
  assert trace.parse(None) is None


@pytest.mark.parametrize("text", ["10", "15:10", "0:3", "a:b", "1:2:3", "-1:4"])
def test_no_range(text):
  with pytest.raises(ValueError, match=f"--profile_steps {text}: expected FIR"):
    trace.parse(text)


def test_a_run_that_ends_before_is_refused(tmp_path):
  with pytest.raises(ValueError, match="5:7: the run ends at step 6"):
    trace.Steps((5, 7), tmp_path, 0, 6)


def test_the_steps_asked_for_and_no_others(tmp_path, monkeypatch):
  at, begun, ended = [], [], []
  start, stop = jax.profiler.start_trace, jax.profiler.stop_trace

  def start_trace(folder):
    begun.append(at[-1])
    start(folder)

  def stop_trace():
    ended.append(at[-1])
    stop()

  monkeypatch.setattr(jax.profiler, "start_trace", start_trace)
  monkeypatch.setattr(jax.profiler, "stop_trace", stop_trace)
  assert _run((2, 3), tmp_path, at=at).note == ""
  assert (begun, ended) == ([2], [3])
  (found,) = (tmp_path / trace.FOLDER).rglob("*.xplane.pb")
  assert b"train" in found.read_bytes()
  _run(None, tmp_path / "none")
  assert (begun, ended) == ([2], [3])
  assert not (tmp_path / "none").exists()


def test_a_later_start_traces_the_rest_or_says_why_not(tmp_path):
  steps = _run((2, 5), tmp_path / "rest", done=3)
  assert steps.note == ""
  assert list((tmp_path / "rest" / trace.FOLDER).rglob("*.xplane.pb"))
  steps = _run((2, 3), tmp_path / "past", done=3)
  assert "step 3 was done before this start" in steps.note
  assert not (tmp_path / "past").exists()


def test_a_run_that_stops_within_keeps_what_there_is(tmp_path):
  with trace.Steps((1, 4), tmp_path, 0, 9) as steps, steps.of(1):
    pass
  assert list((tmp_path / trace.FOLDER).rglob("*.xplane.pb"))
