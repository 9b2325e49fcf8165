"""What is on disk: finished shards, the notes of those on their way, the end.

    OUT/plan.json                  what this folder was begun with
    OUT/records/1.0.0/             the shards, and at the end TFDS's own files
    OUT/shards/train-00003.json    beside each shard: its tally, its quarantine
    OUT/shards/train-00004.doing   pictures done of a shard on its way
    OUT/shards/stop.json           why all should stop
    OUT/quarantine.jsonl           at the end, with report.html

Files are written beside and renamed, a shard before its sidecar: a finished
shard is one with both, and nothing else of a killed run counts.
"""

import contextlib
import errno
import json
import os
import socket
import tempfile
import uuid
from collections.abc import Iterator
from typing import Any

from etils import epath

from hispatial_jax.data import shards
from hispatial_jax.precompute import plan, tally, work

_PARTIAL = ".partial-"


class NoSpace(OSError):
  """The disk is full, or a quota is."""


class Store:
  """The folder of one plan; pickles small."""

  def __init__(self, out, todo: plan.Plan):
    self.out, self.plan = str(out), todo
    self._notes = epath.Path(out) / "shards"

  def begin(self, overwrite: bool) -> None:
    """Makes the folder ready: the plan in it, no leftovers of a killed run.

    Raises:
      FileExistsError: it holds the records of another plan.
    """
    with guarded(self.out):
      self._check(overwrite)
      self._notes.mkdir(parents=True, exist_ok=True)
      shards.folder(self.out).mkdir(parents=True, exist_ok=True)
      for left in self._leftovers():
        left.unlink(missing_ok=True)
      self._write_text(epath.Path(self.out) / "plan.json", self.plan.dumps())

  def check_begun(self) -> None:
    """Raises ValueError unless the folder was begun with this very plan."""
    there = _read(epath.Path(self.out) / "plan.json")
    if there.pop("fingerprint", None) != self.plan.fingerprint:
      wrong = plan.differences(self.plan.facts, there)
      raise ValueError(
        "the processes of this run do not see the same: " + "; ".join(wrong)
      )

  def sidecar(self, job: plan.Job) -> dict[str, Any] | None:
    """{"records", "bytes", "file_size", "tally", "bad"} of a finished shard."""
    found = _read(self._notes / f"{job.name}.json")
    if not found:
      return None
    file = self._file(job)
    if not file.exists() or file.stat().length != found["file_size"]:
      return None
    return found

  def names(self) -> set[str]:
    """Names of the files in OUT/shards: cheaper than one look for each job."""
    return {path.name for path in self._notes.iterdir()}

  def doing(self, job_name: str) -> int:
    """Pictures done of a shard on its way."""
    return _read(self._notes / f"{job_name}.doing").get("done", 0)

  def note(self, job: plan.Job, done: int) -> None:
    """Says how far a shard is."""
    text = json.dumps({"done": done})
    with guarded(self.out):
      self._write_text(self._notes / f"{job.name}.doing", text)

  def write(self, job: plan.Job, shard: work.Shard) -> None:
    """Keeps a shard, and then its sidecar.

    Raises:
      NoSpace: what was finished before stays.
    """
    with guarded(self.out):
      file = self._file(job)
      size, file_size = self._write_records(file, shard.columns)
      counted = tally.add(shard.tally, {"bytes": {"stored": size}})
      sidecar = {
        "records": len(shard.columns),
        "bytes": size,
        "file_size": file_size,
        "tally": counted,
        "bad": [item._asdict() for item in shard.bad],
      }
      text = json.dumps(sidecar, separators=(",", ":"))
      self._write_text(self._notes / f"{job.name}.json", text)
      (self._notes / f"{job.name}.doing").unlink(missing_ok=True)

  def redo_bad(self) -> int:
    """Forgets the shards with pictures in quarantine; returns how many."""
    count = 0
    for job in self.plan.jobs:
      found = self.sidecar(job)
      if found and found["bad"]:
        (self._notes / f"{job.name}.json").unlink()
        count += 1
    return count

  def unfinish(self) -> None:
    """Takes the mark of a whole dataset away, while shards are missing."""
    self._info.unlink(missing_ok=True)

  def stop(self, kind: str, error: str) -> None:
    """Asks every process of the run to stop, and says why."""
    mark = {"kind": kind, "error": error, "host": socket.gethostname()}
    self._write_text(self._notes / "stop.json", json.dumps(mark))

  def stopped(self) -> dict[str, str]:
    """{"kind", "error", "host"} if someone asked to stop, else {}."""
    return _read(self._notes / "stop.json")

  def finish(self, sidecars: dict[str, dict[str, Any]]) -> None:
    """Makes a TFDS dataset of the shards.

    Args:
      sidecars: job name -> sidecar, of all jobs.
    """
    with guarded(self.out):
      splits: dict[str, tuple[list[int], int]] = {}
      for job in self.plan.jobs:
        found = sidecars[job.name]
        lengths, size = splits.get(job.split, ([], 0))
        splits[job.split] = (
          [*lengths, found["records"]],
          size + found["bytes"],
        )
      facts = {"fingerprint": self.plan.fingerprint, **self.plan.facts}
      shards.write_metadata(self.out, splits, facts)

  def write_quarantine(self, sidecars: dict[str, dict[str, Any]]) -> None:
    """OUT/quarantine.jsonl: split, id, reason, message of each bad picture."""
    lines = [
      json.dumps({"split": job.split, **item}, ensure_ascii=False) + "\n"
      for job in self.plan.jobs
      for item in sidecars.get(job.name, {}).get("bad", ())
    ]
    path = epath.Path(self.out) / "quarantine.jsonl"
    with guarded(self.out):
      self._write_text(path, "".join(lines))

  @property
  def _info(self) -> epath.Path:
    return shards.folder(self.out) / "dataset_info.json"

  def _file(self, job: plan.Job) -> epath.Path:
    return shards.path_of(self.out, job.split, job.number, job.count)

  def _check(self, overwrite: bool) -> None:
    path = epath.Path(self.out) / "plan.json"
    there = _read(path)
    if there.get("fingerprint") == self.plan.fingerprint:
      return
    if not there and not self._info.exists():
      return
    if not overwrite:
      there.pop("fingerprint", None)
      wrong = plan.differences(self.plan.facts, there) if there else []
      what = "; ".join(wrong[:8]) or "made by another tool"
      raise FileExistsError(
        f"{self.out} holds other records ({what}): choose another folder, or"
        " --overwrite to make these in their place"
      )
    path.unlink(missing_ok=True)
    for folder in (shards.folder(self.out), self._notes):
      if folder.exists():
        folder.rmtree()

  def _leftovers(self) -> list[epath.Path]:
    found = list(shards.folder(self.out).glob(f"*{_PARTIAL}*"))
    for path in self._notes.iterdir():
      if path.suffix == ".doing" or _PARTIAL in path.name:
        found.append(path)
    return [*found, self._notes / "stop.json"]

  def _write_records(self, file: epath.Path, columns) -> tuple[int, int]:
    """ArrayRecord writes locally; for a bucket the file is copied there."""
    if "://" in self.out:
      with tempfile.TemporaryDirectory() as folder:
        local = epath.Path(folder) / file.name
        size = shards.write(local, columns)
        local.copy(file, overwrite=True)
        return size, local.stat().length
    partial = _beside(file)
    try:
      size = shards.write(partial, columns)
      _sync(partial)
      length = partial.stat().length
      partial.replace(file)
    except BaseException:
      partial.unlink(missing_ok=True)
      raise
    return size, length

  def _write_text(self, path: epath.Path, text: str) -> None:
    partial = _beside(path)
    try:
      partial.write_text(text)
      partial.replace(path)
    except BaseException:
      partial.unlink(missing_ok=True)
      raise


@contextlib.contextmanager
def guarded(out: str) -> Iterator[None]:
  """A full disk is one clear error, however a library words it.

  Raises:
    NoSpace: in place of whatever says so.
  """
  try:
    yield
  except Exception as error:
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    texts = ("No space left", "Disk quota exceeded", "storageQuota")
    if full or any(text in str(error) for text in texts):
      raise NoSpace(
        f"no space left in {out}: what is finished stays; make room, and the"
        " same command continues from there"
      ) from error
    raise


def _beside(path: epath.Path) -> epath.Path:
  """A name of its own, for one writer among many."""
  return path.parent / f"{path.name}{_PARTIAL}{uuid.uuid4().hex[:12]}"


def _sync(path: epath.Path) -> None:
  """To the disk, before the name says that the file is whole."""
  with open(path, "rb") as f:
    os.fsync(f.fileno())


def _read(path: epath.Path) -> dict[str, Any]:
  """The JSON object of a file; {} where there is none, or half of one."""
  try:
    return json.loads(path.read_text())
  except (FileNotFoundError, json.JSONDecodeError):
    return {}
