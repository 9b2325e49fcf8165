"""What is on disk: finished shards, the notes of those on their way, the end.

    OUT/plan.json                  what this folder was begun with
    OUT/records/1.0.0/             the shards, and at the end TFDS's own files
    OUT/shards/train-00003.json    beside each shard: its tally, its quarantine
    OUT/shards/train-00004.doing   pictures done of a shard on its way
    OUT/shards/stop.json           why all should stop
    OUT/quarantine.jsonl           at the end, with notes.jsonl, report.html

Files are written beside and renamed, a shard before its sidecar: a finished
shard is one with both, and nothing else of a killed run counts.
"""

import json
import socket
import tempfile
from typing import Any

from etils import epath

from hispatial_jax.data import shards
from hispatial_jax.precompute import files, plan, tally, work


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
    with files.guarded(self.out):
      self._check(overwrite)
      self._notes.mkdir(parents=True, exist_ok=True)
      shards.folder(self.out).mkdir(parents=True, exist_ok=True)
      for left in self._leftovers():
        left.unlink(missing_ok=True)
      files.write_text(epath.Path(self.out) / "plan.json", self.plan.dumps())

  def check_begun(self) -> None:
    """Raises ValueError unless the folder was begun with this very plan."""
    there = files.read_json(epath.Path(self.out) / "plan.json")
    if there.pop("fingerprint", None) != self.plan.fingerprint:
      wrong = plan.differences(self.plan.facts, there)
      raise ValueError(
        "the processes of this run do not see the same: " + "; ".join(wrong)
      )

  def sidecar(self, job: plan.Job) -> dict[str, Any] | None:
    """Of a finished shard: records, bytes, file_size, tally, bad, notes."""
    found = files.read_json(self._notes / f"{job.name}.json")
    if not found:
      return None
    file = self._file(job)
    if not file.exists() or file.stat().length != found["file_size"]:
      return None
    return found

  def names(self) -> set[str]:
    """Names of the files in OUT/shards: cheaper than one look for each job."""
    return {path.name for path in self._noted()}

  def doing(self, job_name: str) -> int:
    """Pictures done of a shard on its way."""
    return files.read_json(self._notes / f"{job_name}.doing").get("done", 0)

  def note(self, job: plan.Job, done: int) -> None:
    """Says how far a shard is."""
    text = json.dumps({"done": done})
    with files.guarded(self.out):
      files.write_text(self._notes / f"{job.name}.doing", text)

  def write(self, job: plan.Job, shard: work.Shard) -> None:
    """Keeps a shard, and then its sidecar.

    Raises:
      files.NoSpace: what was finished before stays.
    """
    with files.guarded(self.out):
      file = self._file(job)
      size, file_size = self._write_records(file, shard.columns)
      counted = tally.add(shard.tally, {"bytes": {"stored": size}})
      sidecar = {
        "records": len(shard.columns),
        "bytes": size,
        "file_size": file_size,
        "tally": counted,
        "bad": [item._asdict() for item in shard.bad],
        "notes": [item._asdict() for item in shard.notes],
      }
      text = json.dumps(sidecar, separators=(",", ":"))
      files.write_text(self._notes / f"{job.name}.json", text)
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

  def is_whole(self) -> bool:
    """Whether it is the finished dataset of this plan."""
    return self._info.exists()

  def unfinish(self) -> None:
    """Takes the mark of a whole dataset away, while shards are missing."""
    self._info.unlink(missing_ok=True)

  def stop(self, kind: str, error: str) -> None:
    """Asks every process of the run to stop, and says why."""
    mark = {"kind": kind, "error": error, "host": socket.gethostname()}
    files.write_text(self._notes / "stop.json", json.dumps(mark))

  def stopped(self) -> dict[str, str]:
    """{"kind", "error", "host"} if someone asked to stop, else {}."""
    return files.read_json(self._notes / "stop.json")

  def finish(self, sidecars: dict[str, dict[str, Any]]) -> None:
    """Makes a TFDS dataset of the shards.

    Args:
      sidecars: job name -> sidecar, of all jobs.
    """
    with files.guarded(self.out):
      splits: dict[str, tuple[list[int], int]] = {}
      for job in self.plan.jobs:
        found = sidecars[job.name]
        lengths, size = splits.get(job.split, ([], 0))
        splits[job.split] = (
          [*lengths, found["records"]],
          size + found["bytes"],
        )
      # Of a killed run's workers, who may outlive its end for a moment.
      for left in shards.folder(self.out).glob(f"*{files.PARTIAL}*"):
        left.unlink(missing_ok=True)
      facts = {"fingerprint": self.plan.fingerprint, **self.plan.facts}
      shards.write_metadata(self.out, splits, facts)

  def write_lists(
    self, sidecars: dict[str, dict[str, Any]], problems=()
  ) -> None:
    """OUT/quarantine.jsonl and, where there are any, OUT/notes.jsonl.

    A line has split, id, reason, message: of each bad picture; of what was
    noted of records that could be used, the first ones of each shard.

    Args:
      sidecars: job name -> sidecar.
      problems: (reason, message) of what gave no id at all, see
        data/sources.py; the first lines of the quarantine.
    """
    bad = [
      {"split": None, "id": None, "reason": reason, "message": message}
      for reason, message in problems
    ]
    notes: list[dict[str, Any]] = []
    for job in self.plan.jobs:
      found = sidecars.get(job.name, {"bad": (), "notes": ()})
      bad += [{"split": job.split, **item} for item in found["bad"]]
      notes += [{"split": job.split, **item} for item in found["notes"]]
    for name, rows in (("quarantine", bad), ("notes", notes)):
      path = epath.Path(self.out) / f"{name}.jsonl"
      lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
      with files.guarded(self.out):
        if rows or name == "quarantine":
          files.write_text(path, "".join(lines))
        else:
          path.unlink(missing_ok=True)

  @property
  def _info(self) -> epath.Path:
    return shards.folder(self.out) / "dataset_info.json"

  def _file(self, job: plan.Job) -> epath.Path:
    return shards.path_of(self.out, job.split, job.number, job.count)

  def _check(self, overwrite: bool) -> None:
    path = epath.Path(self.out) / "plan.json"
    there = files.read_json(path)
    if there.get("fingerprint") == self.plan.fingerprint:
      return
    if not there and not self._info.exists():
      return
    if not overwrite:
      there.pop("fingerprint", None)
      wrong = plan.differences(self.plan.facts, there) if there else []
      what = "; ".join(wrong[:8]) or "made by another tool, or an older one"
      raise FileExistsError(
        f"{self.out} holds other records ({what}): choose another folder, or"
        " --overwrite to make these in their place"
      )
    path.unlink(missing_ok=True)
    for folder in (shards.folder(self.out), self._notes):
      if folder.exists():
        folder.rmtree()

  def _noted(self) -> list[epath.Path]:
    """A bucket has no folder before its first file."""
    return list(self._notes.iterdir()) if self._notes.exists() else []

  def _leftovers(self) -> list[epath.Path]:
    found = list(shards.folder(self.out).glob(f"*{files.PARTIAL}*"))
    for path in self._noted():
      if path.suffix == ".doing" or files.PARTIAL in path.name:
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
    partial = files.beside(file)
    try:
      size = shards.write(partial, columns)
      files.sync(partial)
      length = partial.stat().length
      partial.replace(file)
    except BaseException:
      partial.unlink(missing_ok=True)
      raise
    return size, length
