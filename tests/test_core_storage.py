"""What is tried again, how often, and what is told at once."""

import errno
import os

import jax
import pytest

from hispatial_jax.core import storage


class _Fails:
  """Raises each error once, then returns."""

  def __init__(self, *errors):
    self.errors, self.calls = list(errors), 0

  def __call__(self):
    self.calls += 1
    if self.errors:
      raise self.errors.pop(0)
    return "read"


def _os(number):
  return OSError(number, os.strerror(number))


class _Http(Exception):
  def __init__(self, code):
    super().__init__("the server says no")
    self.code = code


_PASSING = [
  _os(errno.EIO),
  _os(errno.ESTALE),
  ConnectionResetError("by peer"),
  TimeoutError(),
  _Http(503),
  ValueError("UNAVAILABLE: Error reading gs://b/k: HTTP response code: 503"),
  ValueError("UNKNOWN: Failed to write to file 7 [os_error_code='5']"),
]
_LASTING = [
  _os(errno.ENOSPC),
  _os(errno.EDQUOT),
  _os(errno.EACCES),
  _os(errno.ENOENT),
  _os(errno.EROFS),
  _Http(403),
  ValueError("NOT_FOUND: gs://b/k"),
  ValueError("RESOURCE_EXHAUSTED: No space left [os_error_code='28']"),
  jax.errors.JaxRuntimeError("UNAVAILABLE: task 1 is lost"),
  KeyError("name"),
]


@pytest.fixture
def waits(monkeypatch):
  """Seconds that were to be waited."""
  out = []
  monkeypatch.setattr(storage.time, "sleep", out.append)
  return out


@pytest.mark.parametrize("error", _PASSING, ids=repr)
def test_what_may_pass_is_tried_again(error, capsys, waits):
  fn, mended = _Fails(error, error), []
  mend = lambda: mended.append(fn.calls)  # noqa: E731
  got = storage.retry(fn, "gs://b/k", "read", mend=mend)
  assert (got, fn.calls, mended) == ("read", 3, [1, 2])
  lines = capsys.readouterr().err.splitlines()
  reason = storage.first_line(error)
  assert [line.split(" in ")[0] for line in lines] == [
    f"cannot read gs://b/k: {reason}; try {n} of {storage.TRIES}"
    for n in (2, 3)
  ]
  assert 0.5 <= waits[0] <= 1.5
  assert 1 <= waits[1] <= 3


@pytest.mark.parametrize("error", _LASTING, ids=repr)
def test_what_will_not_pass_is_told_at_once(error, capsys, waits):
  fn = _Fails(error)
  with pytest.raises(type(error)) as raised:
    storage.retry(fn, "gs://b/k", "write")
  assert (fn.calls, waits) == (1, [])
  assert capsys.readouterr().err == ""
  if isinstance(error, OSError):
    assert "gs://b/k" in str(raised.value)
    assert raised.value.errno == error.errno


def test_tries_end_and_waits_grow_to_a_most(waits):
  fn = _Fails(*[_os(errno.EIO)] * 99)
  with pytest.raises(storage.GaveUp, match=r"write /d/f: .* tried 12 times"):
    storage.retry(fn, "/d/f", "write", tries=12)
  assert fn.calls == 12
  assert 15 <= waits[-1] <= max(waits) <= 45
  assert len({round(wait, 6) for wait in waits}) == len(waits) == 11
  waits.clear()
  # Nobody tries for longer what somebody has given up.
  with pytest.raises(storage.GaveUp):
    storage.retry(_Fails(storage.GaveUp("UNAVAILABLE")), "/d/f", "read")
  assert waits == []
