"""One table per source of weights, read in both directions.

A row says where the numbers of one of our parameters stand in the source:

    Row("llm/layers/attn/kv_einsum/w", "L 1/2 K D H",
        "language_model.model.layers.{L}.self_attn.v_proj.weight", "(K H) D")

Letters are axes, in order. `L` is the layer: an axis of ours, part of their
name. `1/2` is a fixed place: index 1 on an axis of 2. Parentheses join axes,
the last varying fastest. A first axis `V+` may be longer in the source: surplus
rows are dropped on the way in and made anew on the way out.

Letters get their sizes from our shapes, so a row needs no numbers; `to_theirs`
and `to_ours` are each other's inverse, row by row.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from hispatial_jax.weights import lazy


@dataclasses.dataclass(frozen=True)
class Row:
  """One line of a table; see the module.

  Attributes:
    ours, axes: our parameter and its axes. `L` and fixed places come first.
    theirs, their_axes: the source's tensor and its axes.
  """

  ours: str
  axes: str
  theirs: str
  their_axes: str

  @functools.cached_property
  def lead(self) -> list[str]:
    """First axes of ours: the layer and fixed places."""
    atoms = self.axes.split()
    return [atom for atom in atoms if atom == "L" or "/" in atom]

  @functools.cached_property
  def letters(self) -> list[str]:
    """The other axes of ours."""
    return self.axes.split()[len(self.lead) :]

  @functools.cached_property
  def groups(self) -> list[list[str]]:
    """Their axes, each as the list of what is joined in it."""
    found = re.findall(r"\(([^)]*)\)|(\S+)", self.their_axes)
    return [(group or one.rstrip("+")).split() for group, one in found]

  @property
  def grows(self) -> bool:
    """Whether their first axis may be longer than ours."""
    return self.their_axes.split()[0].endswith("+")

  def index(self, layer: int) -> tuple[int, ...]:
    """Where in ours the numbers of a layer stand."""
    return tuple(layer if a == "L" else int(a.split("/")[0]) for a in self.lead)

  def sizes(self, shape: Sequence[int]) -> dict[str, int]:
    """{axis: size}, fixed places included, from our parameter's shape."""
    atoms = self.axes.split()
    if len(atoms) != len(shape):
      raise ValueError(f"{self.ours} is {list(shape)}, expected axes {atoms}")
    sizes = dict(zip(atoms, shape, strict=True))
    for atom, size in sizes.items():
      if "/" in atom and size != int(atom.split("/")[1]):
        raise ValueError(f"{self.ours} is {list(shape)}, expected axes {atoms}")
    places = [a for group in self.groups for a in group if "/" in a]
    return sizes | {place: int(place.split("/")[1]) for place in places}


def to_theirs(
  ours: lazy.Arrays, rows: Sequence[Row], surplus: int = 0
) -> dict[str, lazy.Array]:
  """The source's tensors made of our parameters.

  Args:
    ours: {our name: array}; names without a row are left out, rows whose name
      is not there too.
    rows: the table.
    surplus: rows to add to tensors marked `+`; each is the mean of the others,
      so that a tied output table never favours it.
  """
  parts = {}
  for row in rows:
    if row.ours in ours:
      for layer in range(_layers(row, ours[row.ours].shape)):
        name = row.theirs.format(L=layer)
        parts.setdefault(name, []).append((row, layer))
  made = {name: _join(ours, found) for name, found in parts.items()}
  for name, ((row, _), *_) in parts.items():
    if row.grows and surplus:
      made[name] = _lengthened(made[name], surplus)
  return made


def to_ours(
  theirs: lazy.Arrays,
  rows: Sequence[Row],
  shapes: Mapping[str, Sequence[int]],
) -> dict[str, lazy.Array]:
  """Our parameters made of the source's tensors; the inverse of `to_theirs`.

  Args:
    theirs: {their name: array}, checked against `their_shapes`.
    rows: the table.
    shapes: {our name: shape} of what is wanted.
  """
  found = {}
  for row in rows:
    if row.ours in shapes:
      found.setdefault(row.ours, []).append(row)
  return {
    name: _stack(theirs, parts, tuple(shapes[name]))
    for name, parts in found.items()
  }


def their_shapes(
  shapes: Mapping[str, Sequence[int]], rows: Sequence[Row]
) -> dict[str, tuple[int, ...]]:
  """{their name: shape} that our shapes ask for, without surplus rows."""
  empty = {
    name: lazy.Array(tuple(shape), np.dtype(np.float32), _unreadable)
    for name, shape in shapes.items()
  }
  return {name: x.shape for name, x in to_theirs(empty, rows).items()}


def unnamed(names: Iterable[str], rows: Sequence[Row]) -> list[str]:
  """Names of ours that no row has."""
  return sorted(set(names) - {row.ours for row in rows})


def _unreadable(index):
  raise AssertionError(f"a shape without numbers was read at {index}")


def _layers(row, shape) -> int:
  return shape[row.lead.index("L")] if "L" in row.lead else 1


def _is_same(row) -> bool:
  """Whether the numbers stand in the same order on both sides."""
  return [[letter] for letter in row.letters] == row.groups


def _unpack(row, shape):
  """(their axes apart, where in them ours stands, order of ours in them)."""
  sizes = row.sizes(shape)
  atoms = [atom for group in row.groups for atom in group]
  where = tuple(
    int(a.split("/")[0]) if "/" in a else slice(None) for a in atoms
  )
  order = [row.letters.index(a) for a in atoms if "/" not in a]
  return [sizes[a] for a in atoms], where, order


def _join(ours, parts) -> lazy.Array:
  """Their tensor, of one or more (row, layer) of ours."""
  row, layer = parts[0]
  source = ours[row.ours]
  places = [int(a.split("/")[1]) for g in row.groups for a in g if "/" in a]
  if len(parts) != math.prod(places):
    raise ValueError(
      f"{row.theirs} joins {math.prod(places)} parameters, and only "
      f"{', '.join(part.ours for part, _ in parts)} of them is there"
    )
  sizes = row.sizes(source.shape)
  shape = tuple(math.prod(sizes[a] for a in group) for group in row.groups)
  if len(parts) == 1 and _is_same(row):
    fixed = row.index(layer)
    return lazy.Array(
      shape,
      source.dtype,
      lambda index: source.read(fixed + index),
      lead=max(source.lead - len(fixed), 0),
      rows=source.rows,
    )

  def read(index):
    apart, _, _ = _unpack(row, source.shape)
    whole = np.empty(apart, source.dtype)
    for part, at in parts:
      x = ours[part.ours]
      _, where, order = _unpack(part, x.shape)
      whole[where] = x.read(part.index(at)).transpose(order)
    return whole.reshape(shape)[index]

  return lazy.Array(shape, source.dtype, read)


def _stack(theirs, rows, shape) -> lazy.Array:
  """Our parameter, of one row per fixed place."""
  first = theirs[rows[0].theirs.format(L=0)]
  if not rows[0].lead and _is_same(rows[0]):
    return _shortened(first, shape[0])
  by_place = {row.index(0): row for row in rows}
  lead = rows[0].lead

  def read(index):
    fixed, rest = index[: len(lead)], index[len(lead) :]
    if len(fixed) < len(lead):
      size = shape[len(fixed)]
      return np.stack([read((*fixed, i)) for i in range(size)])
    layer = fixed[lead.index("L")] if "L" in lead else 0
    place = tuple(
      0 if a == "L" else i for a, i in zip(lead, fixed, strict=True)
    )
    row = by_place[place]
    apart, where, order = _unpack(row, shape)
    whole = theirs[row.theirs.format(L=layer)].read(()).reshape(apart)
    return whole[where].transpose(np.argsort(order))[rest]

  return lazy.Array(shape, first.dtype, read, lead=len(lead))


def _shortened(x: lazy.Array, size: int) -> lazy.Array:
  """The first rows of an array."""
  if x.shape[0] == size:
    return x
  return dataclasses.replace(
    x,
    shape=(size, *x.shape[1:]),
    read=lambda index: x.read(index or (slice(0, size),)),
  )


def _lengthened(x: lazy.Array, surplus: int) -> lazy.Array:
  """The array and `surplus` more rows, each the mean of its rows."""
  size = x.shape[0]

  @functools.cache
  def mean():
    total = sum(np.sum(b, axis=0, dtype=np.float64) for b in x.blocks())
    return (total / size).astype(x.dtype)

  def read(index):
    start, stop, _ = (index or (slice(None),))[0].indices(size + surplus)
    new = max(stop - max(start, size), 0)
    old = x.read((slice(min(start, size), min(stop, size)),))
    return np.concatenate([old, np.broadcast_to(mean(), (new, *x.shape[1:]))])

  shape = (size + surplus, *x.shape[1:])
  return lazy.Array(shape, x.dtype, read, rows=True)
