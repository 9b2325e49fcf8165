"""Devices as a mesh, batches laid out on it; parameters: see core/layouts.py.

    grid = mesh.make(data=-1, fsdp=8)        # -1: all that are left
    with mesh.use(grid):                     # constraints act from here on
      batch = mesh.put_batch(host_batch, grid)

Four axes, from the slowest links to the fastest: `dcn` (slices of a pod, which
a data centre's network joins), `data` (copies of the parameters), `fsdp` (their
shards) and `tensor` (heads, hidden units and words). A batch's rows are spread
over the first three; devices along `tensor` share rows and split the products.

The same code runs on one CPU device, on eight fake ones, on several processes
and on a pod. Axes are AxisType.Auto and the mesh is set with jax.set_mesh:
under `with mesh:` current JAX drops every constraint without a word, and
make_mesh's own default (Explicit) stops linen.
"""

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from hispatial_jax.core import devices as devices_lib

AXES = ("dcn", "data", "fsdp", "tensor")
# Examples are spread over these, parameters over fsdp and tensor.
ROWS = ("dcn", "data", "fsdp")
# The words of the table are spread over all devices that share parameters;
# rows are then those of such a group.
GROUPS, WORDS = ("dcn", "data"), ("fsdp", "tensor")
BATCH = PartitionSpec(ROWS)
REPLICATED = PartitionSpec()


def make(
  *, dcn: int = 1, data: int = -1, fsdp: int = 1, tensor: int = 1, devices=None
) -> Mesh:
  """A mesh of axes dcn x data x fsdp x tensor over all devices.

  Args:
    dcn, data, fsdp, tensor: sizes; at most one of them -1, which takes the
      rest. On a pod of several slices dcn is their number.
    devices: default: all devices of all processes.

  Raises:
    ValueError: the sizes do not multiply to the number of devices, or dcn is
      not the number of slices.
  """
  devices = jax.devices() if devices is None else list(devices)
  sizes = {"dcn": dcn, "data": data, "fsdp": fsdp, "tensor": tensor}
  given = " x ".join(f"{name}={size}" for name, size in sizes.items())
  known = math.prod(size for size in sizes.values() if size != -1)
  free = [name for name, size in sizes.items() if size == -1]
  if len(free) == 1 and known > 0 and len(devices) % known == 0:
    sizes[free[0]] = len(devices) // known
  if math.prod(sizes.values()) != len(devices) or min(sizes.values()) < 1:
    raise ValueError(
      f"mesh {given} does not fill {len(devices)} devices: expected sizes "
      "whose product is that number, at most one of them -1"
    )
  shape = tuple(sizes[name] for name in AXES)
  kinds = (AxisType.Auto,) * len(AXES)
  return Mesh(devices_lib.arrange(shape, devices), AXES, axis_types=kinds)


def of(cfg: Mapping[str, Any], devices=None) -> Mesh:
  """The mesh of a recipe's group `mesh`.

  Args:
    cfg: sizes by axis; recipes of before may lack dcn and tensor.
    devices: see `make`.
  """
  sizes = {name: cfg[name] for name in AXES if name in cfg}
  return make(**sizes, devices=devices)


@contextlib.contextmanager
def use(grid: Mesh) -> Iterator[Mesh]:
  """Makes the mesh current, for `constrain` and for jit."""
  with jax.set_mesh(grid):
    yield grid


def constrain(x, *axes):
  """Asks the compiler to split every leaf over the mesh's axes.

  Without this it may follow the sharded parameters and replicate the batch.
  It does nothing when no mesh is set, and leaves an axis whole that does not
  divide, as the single example of `Model.init`.

  Args:
    x: pytree of arrays [B, ...].
    *axes: what each axis of a leaf is split over: a name of AXES, several of
      them, or None; default: axis 0 over all of ROWS.
  """
  grid = jax.sharding.get_abstract_mesh()
  wanted = axes or (ROWS,)

  def put(leaf):
    spec = [_part(grid, n, a) for n, a in zip(leaf.shape, wanted, strict=False)]
    if not any(spec) and not axes:
      return leaf
    return jax.lax.with_sharding_constraint(leaf, PartitionSpec(*spec))

  return jax.tree.map(put, x) if set(AXES) <= set(grid.axis_names) else x


def split(x, axis: int):
  """Asks for x [B, ...] with this axis split over `tensor`, rows over ROWS.

  Does nothing where a device has no others to share its rows with: there the
  compiler knows best.
  """
  if axis_size("tensor") == 1:
    return x
  wanted = [ROWS, *[None] * (x.ndim - 1)]
  wanted[axis] = "tensor"
  return constrain(x, *wanted)


def _part(grid, size, names):
  """The names, or None if their devices do not divide the size."""
  names = (names,) if isinstance(names, str) else names or ()
  count = math.prod(grid.shape[name] for name in names)
  return names if names and size % count == 0 else None


def axis_size(*names: str) -> int:
  """Devices along axes of the current mesh; 1 if none is set."""
  shape = jax.sharding.get_abstract_mesh().shape
  return math.prod(shape.get(name, 1) for name in names)


def named(layout, grid: Mesh):
  """PartitionSpecs -> NamedShardings on the mesh."""

  def leaf(x):
    return isinstance(x, PartitionSpec)

  return jax.tree.map(lambda s: NamedSharding(grid, s), layout, is_leaf=leaf)


def rows_here(batch_size: int, grid: Mesh) -> int:
  """This process's share of the global batch.

  Raises:
    ValueError: the batch cannot be divided among the devices, or devices that
      share rows are of several processes, each with rows of its own.
  """
  return batch_size // row_groups(batch_size, grid) * len(_local(grid))


def row_groups(batch_size: int, grid: Mesh) -> int:
  """Into how many parts the mesh divides a batch; raises as `rows_here`."""
  tensor = grid.shape["tensor"]
  owners = devices_lib.processes(grid.devices).reshape(-1, tensor)
  if (owners != owners[:, :1]).any():
    raise ValueError(
      f"mesh.tensor={tensor}: {tensor} devices would share rows of several "
      "processes; take a tensor axis that lies within a process"
    )
  if batch_size % len(owners):
    raise ValueError(
      f"batch_size={batch_size} must be a multiple of the {len(owners)} "
      f"devices that examples are spread over ({grid.size} in all)"
    )
  return len(owners)


def _local(grid):
  """Numbers of the row groups whose devices are of this process."""
  owners = devices_lib.processes(grid.devices).reshape(-1, grid.shape["tensor"])
  return np.flatnonzero((owners == jax.process_index()).any(axis=1))


def put_batch(batch: Mapping[str, np.ndarray], grid: Mesh) -> dict[str, Any]:
  """Host-local arrays -> global arrays, the first axis over all ROWS.

  Args:
    batch: name -> array [B_host, ...]; every process passes its own rows.
    grid: the mesh.

  Raises:
    ValueError: rows cannot be divided among this process's devices.
  """
  layout = NamedSharding(grid, BATCH)
  local = len(_local(grid))
  wrong = [f"{k} {v.shape}" for k, v in batch.items() if v.shape[0] % local]
  if wrong:
    raise ValueError(
      f"batch rows must be a multiple of this process's {local} devices: "
      + ", ".join(wrong)
    )
  put = jax.make_array_from_process_local_data
  return {name: put(layout, np.asarray(x)) for name, x in batch.items()}


def local_rows(x: jax.Array) -> np.ndarray:
  """This process's rows of an array laid out by BATCH: put_batch's inverse."""
  shards = {s.index[0].start or 0: s.data for s in x.addressable_shards}
  return np.concatenate([np.asarray(shards[k]) for k in sorted(shards)])


def global_sum(counts):
  """Exact sums over processes of numbers held on each host.

  Args:
    counts: pytree of python or numpy numbers; integers stay integers.
  """
  if jax.process_count() == 1:
    return jax.tree.map(np.asarray, counts)

  def add(x):
    # As bytes: jnp would narrow 64-bit numbers to 32 bits.
    x = np.asarray(x)
    x = x.astype(np.float64 if x.dtype.kind == "f" else np.int64)
    raw = np.frombuffer(x.tobytes(), np.uint8)
    rows = multihost_utils.process_allgather(raw)
    parts = [np.frombuffer(r.tobytes(), x.dtype).reshape(x.shape) for r in rows]
    return sum(parts[1:], parts[0])

  return jax.tree.map(add, counts)


def gather_json(value) -> list[Any]:
  """The JSON values of all processes, in their order, known to all."""
  if jax.process_count() == 1:
    return [value]
  raw = json.dumps(value).encode()
  size = int(multihost_utils.process_allgather(np.int32(len(raw))).max())
  padded = np.frombuffer(raw.ljust(size), np.uint8)
  rows = multihost_utils.process_allgather(padded)
  return [json.loads(row.tobytes()) for row in rows]
