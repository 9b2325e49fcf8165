"""The checkpoints of one run: orbax, asynchronous, restored on any topology.

    WORKDIR/checkpoints/<step>/{params,opt,iterator} written as it trains

    run = checkpoint.Run(workdir, keep=3)
    run.save(step, params, opt_state, iterator.get_state())
    step, notes = run.newest_sound()
    params, opt_state, positions = run.restore(step, shapes, opt_shapes)

A step's folder gets its name only once all of it is written, so whatever bears
a number is whole; what a killed run left half-written is removed by the next.
Each process then seals its share of the files with checksums (see seal.py), in
a thread; `newest_sound` sets a damaged checkpoint aside, for the one before it.
Storage that fails for a moment is tried again (see storage.py); a checkpoint
that was lost in the background is replaced by the next, which is waited for.
Arrays are restored straight into the shards asked for. `rundir` reads the
parameters alone.
"""

import concurrent.futures
import contextlib
import functools
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import jax
import orbax.checkpoint as ocp

from hispatial_jax.core import mesh, remote, rundir, seal, storage

_ASIDE, _HALF = "damaged-", ".orbax-checkpoint-tmp"
_POLL_S = 0.2


class Run:
  """The checkpoints of one training run.

  Attributes:
    folder: WORKDIR/checkpoints.
  """

  def __init__(self, workdir, *, keep: int = 3):
    """Opens (and makes) WORKDIR/checkpoints, keeping the newest `keep`.

    Raises:
      OSError: the work directory cannot be written.
    """
    self.folder = remote.path(workdir) / rundir.CHECKPOINTS
    storage.check_writable(workdir)
    options = ocp.CheckpointManagerOptions(
      max_to_keep=keep,
      cleanup_tmp_directories=True,
      enable_async_checkpointing=True,
    )
    self._manager = ocp.CheckpointManager(
      os.fspath(self.folder.absolute())
      if "://" not in os.fspath(self.folder)
      else self.folder,
      options=options,
      item_names=("params", "opt", "iterator"),
    )
    self._sealer = concurrent.futures.ThreadPoolExecutor(1, "seal")
    self._sealed: concurrent.futures.Future | None = None

  def latest(self) -> int | None:
    """The newest complete step, or None."""
    return self._manager.latest_step()

  def newest_sound(self) -> tuple[int, list[str]]:
    """The newest step whose files are what was written, 0 if there is none.

    Damaged ones are renamed, so that they are out of the way. All processes
    call this together; each reads its share of the files.

    Returns:
      The step, and a line for each checkpoint that was set aside.

    Raises:
      ValueError: all that there are are damaged; says which files.
    """
    notes: list[str] = []
    for step in sorted(self._manager.all_steps(), reverse=True):
      path = self.folder / str(step)
      part, parts = jax.process_index(), jax.process_count()
      read = functools.partial(seal.damaged, path, part, parts)
      found = mesh.gather_json(storage.retry(read, path, "read"))
      wrong = [line for lines in found for line in lines]
      if not wrong:
        return step, notes
      notes.append(f"checkpoint {path} is damaged: {'; '.join(wrong[:3])}")
      self._set_aside(path)
    if notes:
      raise ValueError(
        "\n".join(notes) + "\nno sound checkpoint is left; restore the files,"
        " or choose another --workdir"
      )
    return 0, []

  def _set_aside(self, path) -> None:
    if jax.process_index() == 0:
      path.rename(path.parent / f"{_ASIDE}{path.name}-{int(time.time())}")
    mesh.gather_json(0)  # until it is done
    self._manager.reload()

  def save(self, step: int, params, opt_state, position, *, wait=False) -> bool:
    """Starts to write a checkpoint; returns once the arrays are copied.

    The one before is on disk and sealed by then.

    Args:
      step: updates done.
      params, opt_state: pytrees of global arrays; may be donated afterwards.
      position: json-able state of this process's batch iterator.
      wait: returns only when it is complete on disk.

    Returns:
      False where this step was already there.

    Raises:
      OSError: this or the checkpoint before it could not be written.
    """
    if step in self._manager.all_steps():
      return False
    # orbax removes old checkpoints while it saves: all processes are done with
    # sealing theirs, once they have met in gather_json.
    met = mesh.gather_json([self._lost(), position])
    lost = [reason for reason, _ in met if reason]
    if lost:
      self._clear()
      print(f"{lost[0]}; step {step} takes its place", file=sys.stderr)
    items = ocp.args.Composite(
      params=ocp.args.PyTreeSave(params),
      opt=ocp.args.PyTreeSave(opt_state),
      iterator=ocp.args.JsonSave({"states": [at for _, at in met]}),
    )

    def write():
      self._manager.save(step, args=items, force=True)
      self._sealed = self._sealer.submit(self._seal, step)
      if wait or lost:
        self._finish()

    # One of several processes that tried again by itself would meet the others
    # at different barriers.
    tries = 1 if jax.process_count() > 1 else storage.TRIES
    with self._storage():
      path = self.folder / str(step)
      storage.retry(write, path, "write", tries=tries, mend=self._clear)
    return True

  def _finish(self) -> None:
    self._manager.wait_until_finished()
    if self._sealed:
      sealed, self._sealed = self._sealed, None
      sealed.result()

  def _lost(self) -> str:
    """Waits for the save before; why it failed, if another may succeed."""
    try:
      self._finish()
    except Exception as error:
      if not storage.passing(error):
        with self._storage():
          raise
      return f"a checkpoint was not written: {storage.first_line(error)}"
    return ""

  def _clear(self) -> None:
    """Removes what was half-written, and sees which steps there are."""
    if jax.process_index() == 0:
      for path in self.folder.glob(f"*{_HALF}*"):
        path.rmtree(missing_ok=True)
    self._manager.reload()

  def _seal(self, step: int) -> None:
    """Waits until the checkpoint has its name, then seals it."""
    path = self.folder / str(step)
    saving = True
    while not (path.exists() and ocp.utils.is_checkpoint_finalized(path)):
      if not saving:
        return  # it failed, which is told elsewhere
      saving = self._manager.is_saving_in_progress()
      time.sleep(_POLL_S)
    part, parts = jax.process_index(), jax.process_count()
    storage.retry(lambda: seal.write(path, part, parts), path, "write")

  def restore(self, step: int, params, opt_state) -> tuple[Any, Any, list]:
    """Reads one step into the shapes, dtypes and shardings asked for.

    Args:
      step: a complete step.
      params: nested dict of jax.ShapeDtypeStruct, with shardings.
      opt_state: the optimizer's state, likewise.

    Returns:
      (params, opt_state, iterator positions of all processes that there were).

    Raises:
      ValueError: the checkpoint is one of another config (all names listed).
    """
    path = self.folder / str(step)
    check = functools.partial(rundir.check_names, path, params)
    storage.retry(check, path, "read")
    items = ocp.args.Composite(
      params=rundir.into(params),
      opt=rundir.into(opt_state),
      iterator=ocp.args.JsonRestore(),
    )
    read = functools.partial(self._manager.restore, step, args=items)
    got = storage.retry(read, path, "read")
    return got["params"], got["opt"], got["iterator"]["states"]

  def wait(self) -> None:
    """Returns when all that was saved is on disk.

    Raises:
      OSError: it could not be written.
    """
    with self._storage():
      self._finish()

  def close(self) -> None:
    """Waits, then ends the writing threads."""
    self.wait()
    self._sealer.shutdown()
    self._manager.close()

  @contextlib.contextmanager
  def _storage(self) -> Iterator[None]:
    """Says which folder, and what is still good, when storage fails."""
    try:
      yield
    except (OSError, ValueError, RuntimeError) as error:
      with contextlib.suppress(OSError):
        self._clear()
      why = storage.first_line(error)
      raise OSError(
        f"cannot write a checkpoint to {self.folder}: {why}\n"
        f"last complete one: {self.latest() or 'none'}; free some space or "
        "choose another --workdir, then start the same command again"
      ) from error
