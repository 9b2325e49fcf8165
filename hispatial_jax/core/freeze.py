"""Which parameters train and which are frozen, said by regexes of names.

    frozen = freeze.mask(params, freeze=("img/(?!head/).*",))   # all but these
    frozen = freeze.mask(params, train=(".*lora_[ab]",))        # none but these
    trained, rest = freeze.split(params, frozen)
    params = freeze.join(trained, rest)

A frozen leaf gets no gradient and no optimizer state.
"""

import re
from collections.abc import Sequence
from typing import Any

from hispatial_jax.core import tree


def mask(
  params: Any, *, freeze: Sequence[str] = (), train: Sequence[str] = ()
) -> Any:
  """Pytree of bool like the parameters, True where a leaf is frozen.

  Args:
    params: nested dict of arrays or shapes.
    freeze: regexes of whole names; all other leaves train.
    train: regexes of whole names; all other leaves are frozen.

  Raises:
    ValueError: both are given, or regexes that are no name's, all listed.
  """
  if freeze and train:
    raise ValueError(
      f"optim.freeze={list(freeze)} and optim.train={list(train)}: expected "
      "one of them, either what is frozen or what trains; set the other to ()"
    )
  _check_all_match(params, "train" if train else "freeze", train or freeze)
  if not train:
    return tree.masks(params, list(freeze))
  hits = tree.flatten(tree.masks(params, list(train)))
  return tree.unflatten({name: not hit for name, hit in hits.items()})


def _check_all_match(params, key, regexes) -> None:
  names = list(tree.flatten(params))
  idle = [r for r in regexes if not any(re.fullmatch(r, n) for n in names)]
  if idle:
    folders = sorted({"/".join(name.split("/")[:2]) for name in names})
    raise ValueError(
      f"optim.{key}: no parameter's whole name is {', '.join(map(repr, idle))};"
      f" names begin with {', '.join(folders)}"
    )


def split(params: Any, frozen: Any) -> tuple[dict, dict]:
  """(trained, frozen) nested dicts from params and a pytree of bool.

  Raises:
    ValueError: nothing is left to train.
  """
  names, flags = tree.flatten(params), tree.flatten(frozen)
  trained = {name: x for name, x in names.items() if not flags[name]}
  if not trained:
    raise ValueError(f"all {len(names)} parameters are frozen: none to train")
  rest = {name: x for name, x in names.items() if flags[name]}
  return tree.unflatten(trained), tree.unflatten(rest)


def join(trained: Any, frozen: Any) -> dict:
  """The inverse of `split`; whatever is no dict is a leaf."""
  both = {**frozen, **trained}
  for name in frozen.keys() & trained.keys():
    both[name] = join(trained[name], frozen[name])
  return both
