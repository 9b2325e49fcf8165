"""Names of a pytree: `a/b/c` <-> leaves, rules by regex, merging with a report.

A parameter tree is a plain nested dict; a leaf's name is its path joined by
`/`, as big_vision writes it, without a leading `params/`.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax

# Nearest names are sought for this many offenders only: the search is
# quadratic, and one wrong prefix makes every name an offender.
_MAX_HINTS = 20


def flatten(tree: Any) -> dict[str, Any]:
  """Returns {name: leaf}, inserted in sorted order of the names.

  Lists, tuples and dataclasses (an optimizer state, say) are named by their
  index or field.
  """
  pairs, _ = jax.tree_util.tree_flatten_with_path(tree)
  return dict(sorted((_name(path), leaf) for path, leaf in _unique(pairs)))


def _unique(pairs):
  seen = set()
  for path, leaf in pairs:
    name = _name(path)
    if name in seen:
      raise ValueError(f"two leaves of the tree are both named {name!r}")
    seen.add(name)
    yield path, leaf


def _name(path) -> str:
  return jax.tree_util.keystr(path, simple=True, separator="/")


def unflatten(named: Mapping[str, Any]) -> dict:
  """Returns the nested dict of {name: leaf}.

  Raises:
    ValueError: a name is both a leaf and a folder of others; all are listed.
  """
  tree, clashes = {}, []
  for name in sorted(named):
    *folders, last = name.split("/")
    node = tree
    for folder in folders:
      node = node.setdefault(folder, {})
      if not isinstance(node, dict):
        break
    if not isinstance(node, dict) or last in node:
      clashes.append(name)
    else:
      node[last] = named[name]
  if clashes:
    raise ValueError(
      "names that are both a leaf and a folder: " + ", ".join(clashes)
    )
  return tree


def match_rules(
  names: Iterable[str], rules: Sequence[tuple[str, Any]]
) -> dict[str, Any]:
  """Returns {name: value of the first rule whose regex is the whole name}.

  Args:
    names: names of leaves.
    rules: (regex, value) pairs; the first that matches wins.

  Raises:
    ValueError: some name matches no rule; all such names are listed.
  """
  compiled = [(re.compile(regex), value) for regex, value in rules]
  found, missed = {}, []
  for name in names:
    for regex, value in compiled:
      if regex.fullmatch(name):
        found[name] = value
        break
    else:
      missed.append(name)
  if missed:
    shown = "\n".join(f"  {name}" for name in missed)
    raise ValueError(
      f"no rule for {len(missed)} name(s); the rules are "
      f"{[regex for regex, _ in rules]} (end with ('.*', …)?):\n{shown}"
    )
  return found


def masks(tree: Any, regex: str | Sequence[str]) -> Any:
  """Returns the tree with True where any regex is a leaf's whole name."""
  patterns = [regex] if isinstance(regex, str) else list(regex)
  compiled = [re.compile(pattern) for pattern in patterns]
  return jax.tree_util.tree_map_with_path(
    lambda path, _: any(p.fullmatch(_name(path)) for p in compiled), tree
  )


def merge(wanted: Any, loaded: Any, *, dont_load: Sequence[str] = ()) -> dict:
  """Returns the wanted tree with the loaded leaves in it.

  Args:
    wanted: tree of arrays or `jax.ShapeDtypeStruct`, as the model has it.
    loaded: tree of arrays. Their dtype is kept.
    dont_load: regexes of whole names; such leaves are taken from `wanted` as
      they are, whatever `loaded` holds there.

  Raises:
    ValueError: names missing from `loaded`, names it has too much and shapes
      that differ, all in one message (`-`, `+` and `~`).
  """
  mine, theirs = flatten(wanted), flatten(loaded)
  skip = [re.compile(regex) for regex in dont_load]
  kept = {n for n in mine if any(regex.fullmatch(n) for regex in skip)}
  theirs = {
    name: leaf
    for name, leaf in theirs.items()
    if not any(regex.fullmatch(name) for regex in skip)
  }
  check(
    {name: leaf.shape for name, leaf in mine.items() if name not in kept},
    {name: leaf.shape for name, leaf in theirs.items()},
    what="the loaded parameters do not fit the model",
  )
  return unflatten({n: mine[n] if n in kept else theirs[n] for n in mine})


def check(
  wanted: Mapping[str, tuple], found: Mapping[str, tuple], *, what: str
) -> None:
  """Raises ValueError with every missing, extra or wrongly shaped name.

  Args:
    wanted: {name: shape} expected.
    found: {name: shape} that came.
    what: first words of the message.
  """
  missing = sorted(set(wanted) - set(found))
  extra = sorted(set(found) - set(wanted))
  wrong = [
    name
    for name in sorted(set(wanted) & set(found))
    if tuple(wanted[name]) != tuple(found[name])
  ]
  if not (missing or extra or wrong):
    return
  lines = _lines("-missing", missing, wanted, sorted(found))
  lines += _lines("+extra", extra, found, sorted(wanted))
  lines += [
    f"  ~shape {name}: expected {_shape(wanted[name])}, "
    f"got {_shape(found[name])}"
    for name in wrong
  ]
  counts = (
    f"{len(missing)} missing, {len(extra)} extra, {len(wrong)} of another"
  )
  raise ValueError("\n".join([f"{what} ({counts} shape):", *lines]))


def _lines(sign, names, shapes, others) -> list[str]:
  lines = []
  for count, name in enumerate(names):
    near = []
    if count < _MAX_HINTS:
      near = difflib.get_close_matches(name, others, n=1, cutoff=0.7)
    hint = f" (nearest: {near[0]})" if near else ""
    lines.append(f"  {sign} {name} {_shape(shapes[name])}{hint}")
  return lines


def _shape(shape) -> str:
  return "[" + ",".join(map(str, shape)) + "]"
