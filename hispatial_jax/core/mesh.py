"""Devices as a mesh, parameters and batches laid out on it.

    grid = mesh.make(data=-1, fsdp=8)        # -1: all that are left
    with mesh.use(grid):                     # constraints act from here on
      layout = mesh.shardings(shapes, [(".*", "fsdp")], grid)
      batch = mesh.put_batch(host_batch, grid)

The same code runs on one CPU device, on eight fake ones, on several processes
and on a pod. Axes are AxisType.Auto and the mesh is set with jax.set_mesh:
under `with mesh:` current JAX drops every constraint without a word, and
make_mesh's own default (Explicit) stops linen.
"""

import contextlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from hispatial_jax.core import tree

AXES = ("data", "fsdp")
# Examples are spread over every device, parameters over fsdp alone.
BATCH = PartitionSpec(AXES)
REPLICATED = PartitionSpec()


def make(*, data: int = -1, fsdp: int = 1, devices=None) -> Mesh:
  """A mesh of axes data x fsdp over all devices.

  Args:
    data, fsdp: sizes; at most one of them -1, which takes the rest.
    devices: default: all devices of all processes.

  Raises:
    ValueError: the sizes do not multiply to the number of devices.
  """
  devices = jax.devices() if devices is None else list(devices)
  sizes = {"data": data, "fsdp": fsdp}
  known = math.prod(size for size in sizes.values() if size != -1)
  free = [name for name, size in sizes.items() if size == -1]
  if len(free) == 1 and known > 0 and len(devices) % known == 0:
    sizes[free[0]] = len(devices) // known
  if math.prod(sizes.values()) != len(devices) or min(sizes.values()) < 1:
    raise ValueError(
      f"mesh data={data} x fsdp={fsdp} does not fill {len(devices)} devices: "
      "expected sizes whose product is that number, at most one of them -1"
    )
  kinds = (AxisType.Auto,) * len(AXES)
  shape = tuple(sizes[name] for name in AXES)
  return jax.make_mesh(shape, AXES, axis_types=kinds, devices=devices)


@contextlib.contextmanager
def use(grid: Mesh) -> Iterator[Mesh]:
  """Makes the mesh current, for `constrain` and for jit."""
  with jax.set_mesh(grid):
    yield grid


def constrain(x):
  """Asks the compiler to split axis 0 of every leaf over the batch axes.

  Without this it may follow the sharded parameters and replicate the batch.
  It does nothing when no mesh is set, or to a leaf that does not divide, as the
  single example of `Model.init`.

  Args:
    x: pytree of arrays [B, ...].
  """
  grid = jax.sharding.get_abstract_mesh()
  axes = tuple(name for name in AXES if name in grid.axis_names)
  size = math.prod(grid.shape[name] for name in axes)

  def put(leaf):
    if not axes or leaf.shape[0] % size:
      return leaf
    return jax.lax.with_sharding_constraint(leaf, PartitionSpec(axes))

  return jax.tree.map(put, x)


def fsdp_spec(
  shape: Sequence[int], itemsize: int, size: int, *, min_bytes: int
) -> PartitionSpec:
  """Shards the largest axis that the fsdp size divides.

  Leaves of at most min_bytes, and those without such an axis, are replicated.
  Of equal axes the last is taken.
  Source: the rule of big_vision/sharding.py@0127fb6.
  """
  if math.prod(shape) * itemsize <= min_bytes or size == 1:
    return REPLICATED
  fits = [i for i, n in enumerate(shape) if n % size == 0]
  if not fits:
    return REPLICATED
  axis = max(fits, key=lambda i: (shape[i], i))
  return PartitionSpec(*[None] * axis, "fsdp")


def specs(params, rules, grid: Mesh, *, min_bytes: int = 4 << 20):
  """Pytree of PartitionSpec by regex rules; every leaf must match one.

  Args:
    params: nested dict of arrays or shapes.
    rules: [(regex, layout), ...], first match wins; a layout is "fsdp" (see
      `fsdp_spec`), "replicate", or axis names by position, say
      (None, "fsdp").
    grid: the mesh.
    min_bytes: leaves of at most so many bytes are replicated by "fsdp".

  Raises:
    ValueError: unmatched names, or unknown layouts (all listed).
  """
  leaves = tree.flatten(params)
  layouts = tree.match_rules(list(leaves), [tuple(rule) for rule in rules])
  wrong, out = [], {}
  for name, leaf in leaves.items():
    layout = layouts[name]
    if layout == "replicate":
      out[name] = REPLICATED
    elif layout == "fsdp":
      itemsize = np.dtype(leaf.dtype).itemsize
      out[name] = fsdp_spec(
        leaf.shape, itemsize, grid.shape["fsdp"], min_bytes=min_bytes
      )
    elif not isinstance(layout, str) and set(layout) <= {None, *AXES}:
      out[name] = PartitionSpec(*layout)
    else:
      wrong.append(f"{name}: {layout!r}")
  if wrong:
    raise ValueError(
      'sharding rules: expected "fsdp", "replicate" or a tuple of None and '
      f"{AXES}; got\n  " + "\n  ".join(wrong)
    )
  return tree.unflatten(out)


def shardings(params, rules, grid: Mesh, *, min_bytes: int = 4 << 20):
  """Pytree of NamedSharding by regex rules (see `specs`)."""
  layout = specs(params, rules, grid, min_bytes=min_bytes)
  return named(layout, grid)


def named(layout, grid: Mesh):
  """PartitionSpecs -> NamedShardings on the mesh."""

  def leaf(x):
    return isinstance(x, PartitionSpec)

  return jax.tree.map(lambda s: NamedSharding(grid, s), layout, is_leaf=leaf)


def state_shardings(state, param_layout: Mapping[str, Any], grid: Mesh):
  """Shardings of an optimizer state: moments lie as their parameter does.

  Args:
    state: optax state (or its shapes), which holds trees like the parameters.
    param_layout: nested dict of NamedSharding of the trainable parameters.
    grid: the mesh; whatever is not like the parameters is replicated.
  """
  wanted = jax.tree.structure(param_layout)

  def like(x):
    return jax.tree.structure(x) == wanted

  replicated = NamedSharding(grid, REPLICATED)

  def put(part):
    if like(part):
      return param_layout
    return jax.tree.map(lambda _: replicated, part)

  return jax.tree.map(put, state, is_leaf=like)


def put_batch(batch: Mapping[str, np.ndarray], grid: Mesh) -> dict[str, Any]:
  """Host-local arrays -> global arrays, the first axis over all devices.

  Args:
    batch: name -> array [B_host, ...]; every process passes its own rows.
    grid: the mesh.

  Raises:
    ValueError: rows cannot be divided among this process's devices.
  """
  layout = NamedSharding(grid, BATCH)
  local = len(grid.local_devices)
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
