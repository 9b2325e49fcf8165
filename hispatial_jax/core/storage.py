"""Storage that fails for a moment is tried again; what will not pass is told.

    text = storage.retry(path.read_text, path, "read")

Tries are 1, 2, 4, ... 30 seconds apart, give or take a half so that a pod's
hosts do not come back all at once: TRIES of them bridge about a minute. A full
disk, a file that is not there, a right that is missing: one error at once.
"""

import errno
import random
import re
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import jax

from hispatial_jax.core import remote

TRIES = 7
_LONGEST_S = 30.0
_FOR_A_MOMENT = {
  errno.EAGAIN,
  errno.EBUSY,
  errno.ECONNABORTED,
  errno.ECONNREFUSED,
  errno.ECONNRESET,
  errno.EHOSTUNREACH,
  errno.EINTR,
  errno.EIO,
  errno.ENETDOWN,
  errno.ENETRESET,
  errno.ENETUNREACH,
  errno.ENOBUFS,
  errno.EPIPE,
  errno.ESTALE,
  errno.ETIMEDOUT,
}
_HTTP = {408, 429, 500, 502, 503, 504}
# What tensorstore says, which has tried a request 32 times by then.
_SAYS = re.compile(
  r"\b(?:UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED)\b"
  r"|HTTP response code: (?:408|429|50[0234])"
)
_OS_ERROR = re.compile(r"\bos_error_code='(\d+)'")
T = TypeVar("T")


class GaveUp(OSError):
  """Storage that failed as often as it was tried."""


def retry(
  fn: Callable[[], T],
  path,
  doing: str,
  *,
  tries: int = TRIES,
  mend: Callable[[], None] | None = None,
) -> T:
  """fn(), once more after each error that may pass.

  Args:
    fn: what reads or writes; it may be called again after it failed half-way.
    path: of what, for the messages.
    doing: "read" or "write", likewise.
    tries: calls at most.
    mend: called before each further try, to remove what is half-written.

  Raises:
    GaveUp: after the last try, with the path, the reason and the tries.
    Exception: at once, what fn raised and will not pass; a full disk is told
      with the path.
  """
  for number in range(1, tries + 1):
    try:
      if number > 1 and mend:
        mend()
      return fn()
    except Exception as error:
      if not passing(error):
        raise _named(error, path) from error
      if number == tries:
        raise GaveUp(
          f"cannot {doing} {path}: {first_line(error)}; tried {tries} times"
        ) from error
      pause = min(2.0 ** (number - 1), _LONGEST_S) * random.uniform(0.5, 1.5)
      print(
        f"cannot {doing} {path}: {first_line(error)}; try {number + 1} of "
        f"{tries} in {pause:.1f} s",
        file=sys.stderr,
        flush=True,
      )
      time.sleep(pause)
  raise ValueError(f"tries={tries}: expected 1 or more")


def passing(error: BaseException) -> bool:
  """Whether the same call may succeed in a moment."""
  if isinstance(error, GaveUp | jax.errors.JaxRuntimeError):
    return False  # the latter: a device or another process, never storage
  code = getattr(error, "code", None)  # of gcsfs and google.api_core
  if isinstance(code, int) and code in _HTTP:
    return True
  said = _OS_ERROR.search(str(error))
  number = getattr(error, "errno", None) or (said and int(said.group(1)))
  if number:
    return number in _FOR_A_MOMENT
  if isinstance(error, ConnectionError | TimeoutError):
    return True
  return bool(_SAYS.search(str(error)))


def check_writable(workdir) -> None:
  """Makes the folder and writes a byte into it.

  Raises:
    OSError: with the folder's name.
  """
  folder = remote.path(workdir)
  probe = folder / f".probe-{jax.process_index()}"

  def write():
    folder.mkdir(parents=True, exist_ok=True)
    probe.write_text("x")
    probe.unlink()

  try:
    retry(write, folder, "write")
  except OSError as error:
    reason = error.strerror or str(error)
    raise OSError(
      f"cannot write to the work directory {folder}: {reason}"
    ) from error


def first_line(error: BaseException) -> str:
  """What an error says, or is, in one line."""
  return (str(error).strip() or type(error).__name__).splitlines()[0]


def _named(error: Exception, path) -> Exception:
  """The error with a path: a full disk, say, does not tell which."""
  if isinstance(error, OSError) and error.errno and not error.filename:
    return OSError(error.errno, error.strerror, str(path))
  return error
