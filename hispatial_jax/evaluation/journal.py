"""Every answer as it comes, kept so that a killed run loses none.

    OUT/run.json          the settings the answers depend on, and their
                          fingerprint; another run can't add to them
    OUT/answers/*.jsonl   one line an answer, a file a process or shard

A line is {"key", "text", "points"} and what is known of "logp", "tokens",
"ended", "usage"; or {"key", "error"}: the question could not be asked or was
not answered. `points` says where the point map came from: "measured", "moge"
or "none". Of several answers to a key the first counts, and any answer before
any error. The end of a line that a kill cut off is dropped.
"""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import signal
from typing import Any

from hispatial_jax.precompute import plan

ANSWERS, SETTINGS = "answers", "run.json"


class NoSpace(OSError):
  """The disk is full, or a quota is."""


class Journal:
  """The answers of one run.

  Attributes:
    out: its folder.
  """

  def __init__(self, out, name: str = "all"):
    """`name` is that of this writer's own file."""
    self.out = pathlib.Path(out)
    self._file = self.out / ANSWERS / f"{name}.jsonl"
    self._handle: int | None = None

  def begin(self, settings: dict[str, Any], *, overwrite: bool = False) -> None:
    """Makes the folder ready for answers under these settings.

    Args:
      settings: JSON-able; what the answers depend on.
      overwrite: forget all answers that are there.

    Raises:
      ValueError: it holds answers under other settings, all differences said.
      NoSpace: the disk is full.
    """
    with guarded(self.out):
      (self.out / ANSWERS).mkdir(parents=True, exist_ok=True)
      if overwrite:
        for path in (self.out / ANSWERS).glob("*.jsonl"):
          path.unlink()
        (self.out / SETTINGS).unlink(missing_ok=True)
      there = self.settings()
      mine = sealed(settings)
      if there is not None and there["fingerprint"] != mine["fingerprint"]:
        raise ValueError(
          f"{self.out} holds answers under other settings: "
          + "; ".join(differences(mine, there))
          + ". Choose another --out, or --overwrite to ask all again"
        )
      if there is None:
        write_json(self.out / SETTINGS, mine)

  def settings(self) -> dict[str, Any] | None:
    """What run.json says; None where there is none.

    Raises:
      ValueError: it is no JSON object of ours.
    """
    path = self.out / SETTINGS
    if not path.exists():
      return None
    try:
      found = json.loads(path.read_text())
      return {"fingerprint": found["fingerprint"], **found}
    except (ValueError, KeyError, TypeError):
      raise ValueError(f"{path} is not a run's settings; remove it") from None

  def read(self) -> dict[str, dict[str, Any]]:
    """Key -> its line, of all files.

    Raises:
      ValueError: a line that is none of ours, with its file and number.
    """
    out: dict[str, dict[str, Any]] = {}
    for path in sorted((self.out / ANSWERS).glob("*.jsonl")):
      for line in _lines(path):
        old = out.get(line["key"])
        if old is None or ("error" in old and "error" not in line):
          out[line["key"]] = line
        elif "error" in old:
          out[line["key"]] = line  # the latest reason
    return out

  def add(self, lines: list[dict[str, Any]]) -> None:
    """Appends and flushes; whole lines, whatever signal comes.

    Raises:
      NoSpace: what was written before stays.
    """
    if not lines:
      return
    text = "".join(
      json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"
      for line in lines
    )
    with guarded(self.out), _unbroken():
      if self._handle is None:
        self._handle = _open_at_line(self._file)
      left = memoryview(text.encode("utf-8", "surrogatepass"))
      while left:
        left = left[os.write(self._handle, left) :]

  def close(self) -> None:
    """Lets the file go; `add` opens it again."""
    if self._handle is not None:
      os.close(self._handle)
      self._handle = None


def sealed(settings: dict[str, Any]) -> dict[str, Any]:
  """The settings with their fingerprint, as run.json holds them."""
  plain = json.loads(json.dumps(settings))
  plain.pop("fingerprint", None)
  text = json.dumps(_that_count(plain), sort_keys=True)
  mark = hashlib.sha256(text.encode()).hexdigest()[:16]
  return {"fingerprint": mark, **plain}


def differences(mine: dict[str, Any], there: dict[str, Any]) -> list[str]:
  """One text for each setting in which two runs differ."""
  return plan.differences(_that_count(mine), _that_count(there))


def write_json(path: pathlib.Path, value) -> None:
  """A file that is there whole, or not at all."""
  text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False)
  write_text(path, text + "\n")


def write_text(path: pathlib.Path, text: str) -> None:
  """Likewise for any text."""
  beside = path.with_name(f"{path.name}.partial-{os.getpid()}")
  with guarded(path.parent):
    try:
      beside.write_text(text, encoding="utf-8", errors="surrogatepass")
      beside.replace(path)
    finally:
      beside.unlink(missing_ok=True)


@contextlib.contextmanager
def guarded(out):
  """A full disk is one clear error.

  Raises:
    NoSpace: in place of what says so.
  """
  try:
    yield
  except OSError as error:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
      raise
    raise NoSpace(
      f"no space left in {out}: the answers so far stay; make room, and "
      "--resume continues"
    ) from error


@contextlib.contextmanager
def _unbroken():
  """Signals wait until a write is over; they may raise."""
  some = {signal.SIGINT, signal.SIGTERM}
  old = signal.pthread_sigmask(signal.SIG_BLOCK, some)
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, old)


def _open_at_line(path: pathlib.Path) -> int:
  """Opened to append, without the half line of a killed run."""
  handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
  data = path.read_bytes()
  os.ftruncate(handle, data.rfind(b"\n") + 1)
  return handle


def _lines(path: pathlib.Path):
  data = path.read_bytes()
  whole = data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]
  for number, raw in enumerate(whole, 1):
    try:
      line = json.loads(raw.decode("utf-8", "surrogatepass"))
      known = isinstance(line["key"], str) and (
        isinstance(line.get("text"), str) or line.get("error")
      )
    except (ValueError, KeyError, TypeError):
      known = False
    if not known:
      raise ValueError(
        f"{path}, line {number}: not an answer: {raw[:60]!r}; the file was "
        "changed by something else. Remove the line, and --resume asks again"
      )
    yield line


def _that_count(settings: dict[str, Any]) -> dict[str, Any]:
  """Without their fingerprint, and the model's name, which is for people."""
  model = {k: v for k, v in settings.get("model", {}).items() if k != "name"}
  out = {**settings, "model": model}
  out.pop("fingerprint", None)
  return out
