"""TPUs that are not there: libtpu compiles for them on any machine.

It takes a lock, so one such process runs at a time on a machine. `prepare`
comes before the first device is asked for.
"""

import importlib.metadata
import os
import pathlib

from hispatial_jax.core import chips, storage


def prepare(dump: pathlib.Path | str | None = None) -> None:
  """Sets what libtpu and XLA read when they are loaded.

  Args:
    dump: folder that the compiler writes its buffer assignment into.
  """
  os.environ["JAX_PLATFORMS"] = "cpu"
  # Without these libtpu asks the cloud's metadata server what machine this is.
  os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
  os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-16")
  os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
  if dump:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_dump_to={dump}"
    os.environ["XLA_FLAGS"] = flags.strip()


def devices(name: str, slices: int = 1) -> list:
  """The devices of a topology, to compile for.

  Args:
    name: "v5e:4x4"; see core/chips.py.
    slices: so many of them, which a data centre's network joins.

  Raises:
    RuntimeError: no compiler, or it is in use.
  """
  from jax.experimental import topologies

  shape = chips.host_bounds(name)
  if slices > 1:
    shape["num_slices"] = slices
  try:
    found = topologies.get_topology_desc(name, platform="tpu", **shape)
  except Exception as error:  # libtpu raises many kinds; all are told
    raise RuntimeError(
      f"no compiler for {name} ({storage.first_line(error)}): pip install "
      "'hispatial_jax[tpu]', and run one such process at a time"
    ) from None
  return list(found.devices)


def version() -> str:
  """Of libtpu."""
  return importlib.metadata.version("libtpu")
