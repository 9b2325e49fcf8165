"""Several processes become one run, or say which of them did not come.

    rendezvous.join("10.0.0.1:8476", processes=2, process=0)
    rendezvous.join()     # as the environment says: JAX_COORDINATOR_ADDRESS,
                          # JAX_NUM_PROCESSES, JAX_PROCESS_ID, or a TPU pod's
                          # metadata, SLURM, MPI

A process that dies closes its socket: a collective of the others fails at once,
and `guard.Together` ends them. Where it hangs instead, or its machine is gone,
JAX ends them after HEARTBEAT_S of its silence.
"""

import os
import sys
import threading
from collections.abc import Mapping

import jax

HEARTBEAT_S, WAIT_S = 30, 300
_ADDRESS = "JAX_COORDINATOR_ADDRESS"
_COUNT, _OWN = "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
# JAX's own time must not be up first: it would abort without a word of help.
_LONGER_S = 60


def join(
  coordinator: str | None = None,
  processes: int | None = None,
  process: int | None = None,
  *,
  wait_s: float = WAIT_S,
  heartbeat_s: int = HEARTBEAT_S,
) -> None:
  """Waits until all processes have come; ends this one if they do not.

  Args:
    coordinator: HOST:PORT of process 0, which all can reach.
    processes, process: how many, and which one this is, from 0.
    wait_s: seconds to wait for the others; then the process prints one line
      and exits with status 1. To be called before any device is used.
    heartbeat_s: a process silent for so long is dead, and all others end.

  Raises:
    ValueError: what was given is incomplete, or no address or number.
  """
  told = given(coordinator, processes, process, os.environ)
  timer = threading.Timer(wait_s, _give_up, (told, wait_s))
  timer.daemon = True
  timer.start()
  try:
    jax.distributed.initialize(
      **told,
      initialization_timeout=int(wait_s) + _LONGER_S,
      heartbeat_timeout_seconds=heartbeat_s,
    )
  except (RuntimeError, ValueError) as error:
    raise ValueError(f"cannot join the other processes: {error}") from error
  finally:
    timer.cancel()
  show = sys.excepthook

  def show_and_leave(*error):
    show(*error)
    leave(1)

  sys.excepthook = show_and_leave


def join_as_told(flags, *, wait_s: float = WAIT_S) -> None:
  """Joins the other processes, if a command's flags speak of any.

  Args:
    flags: coordinator, num_processes, process_id, of `join`; distributed: the
      environment tells them.
    wait_s: of `join`.

  Raises:
    ValueError: see `join`.
  """
  if flags.coordinator or flags.distributed:
    join(
      flags.coordinator, flags.num_processes, flags.process_id, wait_s=wait_s
    )


def leave(status: int) -> None:
  """Ends a process that failed alone; returns where there are no others.

  Python's own exit would first wait for the others, as they wait for this one.
  """
  if jax.distributed.is_initialized() and jax.process_count() > 1:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def given(coordinator, processes, process, environment: Mapping[str, str]):
  """Arguments of jax.distributed.initialize; {} where the cluster tells them.

  Args:
    coordinator, processes, process: of `join`; None is left to the environment.
    environment: variable -> text.

  Raises:
    ValueError: see `join`.
  """
  address = coordinator or environment.get(_ADDRESS)
  count = _number(processes, _COUNT, environment)
  own = _number(process, _OWN, environment)
  found = {
    f"address (--coordinator, {_ADDRESS})": address,
    f"number of processes (--num_processes, {_COUNT})": count,
    f"own number (--process_id, {_OWN})": own,
  }
  missing = [name for name, value in found.items() if value is None]
  if len(missing) == len(found):
    return {}
  if missing:
    raise ValueError(
      f"several processes: {' and '.join(missing)} missing; give all three, or"
      " none where the cluster tells them"
    )
  host, _, port = address.rpartition(":")
  if not (host and port.isdigit()):
    raise ValueError(f"coordinator {address!r}: expected HOST:PORT")
  if not 0 <= own < count:
    raise ValueError(
      f"process {own} of {count}: expected a number from 0 to {count - 1}"
    )
  return {
    "coordinator_address": address,
    "num_processes": count,
    "process_id": own,
  }


def _number(value, name, environment) -> int | None:
  text = environment.get(name) if value is None else str(value)
  if text is None:
    return None
  if not text.isdecimal():
    raise ValueError(f"{name}={text!r}: expected a whole number")
  return int(text)


def _give_up(told, wait_s) -> None:
  """Ends the process, whose main thread waits inside the runtime."""
  who, where = "this process", "the coordinator"
  if told:
    who = f"process {told['process_id']} of {told['num_processes']}"
    where = told["coordinator_address"]
  print(
    f"error: {who} waited {wait_s:g} s at {where} and not all others came: see "
    "that each was started, with the same address and number of processes, "
    "that process 0 lives, and that its port can be reached",
    file=sys.stderr,
    flush=True,
  )
  os._exit(1)
