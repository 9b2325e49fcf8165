"""Where parameters and optimizer state lie on the mesh, by rule.

    layouts.shardings(shapes, [("mlp/linear", "tensor:1"), (".*", "fsdp")], g)

A layout is one of

    "fsdp"        the largest axis that divides, over fsdp
    "tensor:N"    axis N over tensor, the largest other one over fsdp
    "all"         the largest axis over fsdp and tensor together
    "replicate"   whole on every device
    a tuple       names by position: (None, "fsdp"), (("fsdp", "tensor"),)

With a tensor axis of one device the first three are the same.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hispatial_jax.core import mesh, tree

# Leaves of at most so many bytes stay whole.
_MIN_BYTES = 4 << 20


def fsdp_spec(
  shape: Sequence[int], itemsize: int, size: int, *, min_bytes: int
) -> PartitionSpec:
  """Shards the largest axis that the fsdp size divides.

  Leaves of at most min_bytes, and those without such an axis, are replicated.
  Of equal axes the last is taken.
  Source: the rule of big_vision/sharding.py@0127fb6.
  """
  if math.prod(shape) * itemsize <= min_bytes or size == 1:
    return mesh.REPLICATED
  axis = _largest(shape, size)
  return _spec({axis: "fsdp"})


def _largest(shape, size, *, but=None):
  """The largest axis that the size divides, or None."""
  fits = [i for i, n in enumerate(shape) if n % size == 0 and i != but]
  return max(fits, key=lambda i: (shape[i], i), default=None)


def _spec(names):
  """{axis: names} -> PartitionSpec; the axis None is none."""
  known = {axis: name for axis, name in names.items() if axis is not None}
  last = max(known, default=-1)
  return PartitionSpec(*[known.get(i) for i in range(last + 1)])


def _tensor_spec(shape, itemsize, sizes, axis, *, min_bytes):
  """Axis over tensor if it divides, the largest other one over fsdp."""
  tensor, fsdp = sizes["tensor"], sizes["fsdp"]
  if tensor == 1 or shape[axis] % tensor:
    return fsdp_spec(shape, itemsize, fsdp, min_bytes=min_bytes)
  names = {axis: "tensor"}
  left = math.prod(shape) * itemsize // tensor
  if fsdp > 1 and left > min_bytes:
    names[_largest(shape, fsdp, but=axis)] = "fsdp"
  return _spec(names)


def _all_spec(shape, itemsize, sizes, *, min_bytes):
  """The largest axis over fsdp and tensor together."""
  size = math.prod(sizes[name] for name in mesh.WORDS)
  if sizes["tensor"] == 1 or _largest(shape, size) is None:
    return fsdp_spec(shape, itemsize, sizes["fsdp"], min_bytes=min_bytes)
  if math.prod(shape) * itemsize <= min_bytes:
    return mesh.REPLICATED
  return _spec({_largest(shape, size): mesh.WORDS})


def _read(layout, leaf, sizes, min_bytes):
  """A layout's PartitionSpec for a leaf; None if it is no layout."""
  itemsize = np.dtype(leaf.dtype).itemsize
  if not isinstance(layout, str):
    names = [n for part in layout for n in _several(part)]
    known = set(names) <= {None, *mesh.AXES}
    return PartitionSpec(*map(_part, layout)) if known else None
  if layout == "replicate":
    return mesh.REPLICATED
  if layout == "fsdp":
    return fsdp_spec(leaf.shape, itemsize, sizes["fsdp"], min_bytes=min_bytes)
  if layout == "all":
    return _all_spec(leaf.shape, itemsize, sizes, min_bytes=min_bytes)
  found = re.fullmatch(r"tensor:(\d+)", layout)
  if found and int(found[1]) < len(leaf.shape):
    return _tensor_spec(
      leaf.shape, itemsize, sizes, int(found[1]), min_bytes=min_bytes
    )
  return None


def _several(part):
  return part if isinstance(part, tuple | list) else (part,)


def _part(part):
  return tuple(part) if isinstance(part, list) else part


def specs(params, rules, grid: Mesh, *, min_bytes: int = _MIN_BYTES):
  """Pytree of PartitionSpec by regex rules; every leaf must match one.

  Args:
    params: nested dict of arrays or shapes.
    rules: [(regex, layout), ...], first match wins.
    grid: the mesh.
    min_bytes: leaves of at most so many bytes are not spread over fsdp.

  Raises:
    ValueError: unmatched names, or unknown layouts (all listed).
  """
  leaves = tree.flatten(params)
  layouts = tree.match_rules(list(leaves), [tuple(rule) for rule in rules])
  sizes = dict(grid.shape)
  out = {
    name: _read(layouts[name], leaf, sizes, min_bytes)
    for name, leaf in leaves.items()
  }
  wrong = [
    f"{name} {tuple(leaves[name].shape)}: {layouts[name]!r}"
    for name, spec in out.items()
    if spec is None
  ]
  if wrong:
    raise ValueError(
      'sharding rules: expected "fsdp", "tensor:AXIS", "all", "replicate" or '
      f"a tuple of None and {mesh.AXES}; got\n  " + "\n  ".join(wrong)
    )
  return tree.unflatten(out)


def shardings(params, rules, grid: Mesh, *, min_bytes: int = _MIN_BYTES):
  """Pytree of NamedSharding by regex rules (see `specs`)."""
  layout = specs(params, rules, grid, min_bytes=min_bytes)
  return mesh.named(layout, grid)


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

  replicated = NamedSharding(grid, mesh.REPLICATED)

  def put(part):
    if like(part):
      return param_layout
    return jax.tree.map(lambda _: replicated, part)

  return jax.tree.map(put, state, is_leaf=like)
