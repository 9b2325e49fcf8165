"""The parts of a data config: records, their operations, their weight.

    cfg["mixture"] = {
      "coyo": {"dir": "data/coyo", "weight": 0.35, "optional": True},
      "ca1m": {"dir": "data/ca1m", "weight": [[0, 0.0], [1000, 0.2]],
               "pp": "decode|points(448, max_depth_m=30)|..."},
    }
    found = open_parts(cfg, tokenizer=words, seed=0)
    found.parts["coyo"].example(123_456)    # of its endless stream
    found.notes        # ["left out: ca1m (no records in data/ca1m ...); ..."]

A config with "dir" is one part, named "all". An optional part that is not there
is left out, and said; every other one that is not there is an error.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from hispatial_jax.core import spec
from hispatial_jax.data import mixture, reader
from hispatial_jax.pp import build, questions

KEYS = {
  "dir": None,  # of tools/build_records.py
  "split": None,  # default: the config's
  "weight": 1.0,  # a number, or [[step, weight], ...]
  "pp": None,  # default: the config's
  "optional": False,  # whether it may be missing
}
ALONE = "all"


class Part:
  """The records of one part, in another order in each epoch.

  Attributes:
    name, weight: as in the config.
    read: reader.Reader.
  """

  def __init__(self, name: str, read: reader.Reader, weight, seed: int):
    self.name, self.read, self.weight = name, read, weight
    self._seed = seed
    self._order = functools.lru_cache(2)(self._draw_order)

  def __len__(self) -> int:
    return len(self.read)

  def example(self, index: int):
    """Number `index` of the endless stream: an example, or Unusable."""
    epoch, at = divmod(index, len(self))
    return self.read(epoch, int(self._order(epoch)[at]))

  def _draw_order(self, epoch: int) -> np.ndarray:
    draw = questions.Draw(self.name, epoch, self._seed)
    order = draw.rng("order").permutation(len(self))
    return order.astype(np.int32)


class Opened(NamedTuple):
  """Parts by name, and a line about each thing that was left out."""

  parts: dict[str, Part]
  missing: list[str]
  notes: list[str]

  @property
  def max_questions(self) -> int | None:
    """The most questions that a record of any part gives; None: no bound."""
    most = [part.read.ops.max_questions for part in self.parts.values()]
    return None if None in most else max(most)


def open_parts(
  cfg: Mapping[str, Any],
  *,
  tokenizer,
  seed: int,
  change_pp: Callable[[str], str] = str,
) -> Opened:
  """Opens all parts of a complete data config, sorted by name.

  Args:
    cfg: with all keys of pipeline.DEFAULTS.
    tokenizer: core.tokenizer.Tokenizer.
    seed: of the order and of every draw.
    change_pp: what is done to every string of operations.

  Raises:
    ValueError: unknown keys or operations, with the nearest names; no such
      split.
    FileNotFoundError: a part that is not optional is not there, or none is.
  """
  wanted = _wanted(cfg)
  chains = {
    name: build.build(
      change_pp(part["pp"]),
      tokenizer=tokenizer,
      extra={"decode": reader.get_decode},
    )
    for name, part in wanted.items()
  }
  parts, missing = {}, {}
  for name, part in wanted.items():
    try:
      source = _open(part)
    except FileNotFoundError as error:
      if not part["optional"]:
        raise
      missing[name] = str(error)
      continue
    cache = cfg["cache_mb"] / len(wanted)
    read = reader.Reader(source, chains[name], seed, cache, name)
    parts[name] = Part(name, read, part["weight"], seed)
  if not parts:
    raise FileNotFoundError(
      "no part of the mixture is there:\n  " + _lines(missing, "\n  ")
    )
  return Opened(parts, list(missing), _notes(parts, missing))


def _wanted(cfg) -> dict[str, dict[str, Any]]:
  """Name -> complete part."""
  if not cfg["mixture"]:
    given = {ALONE: {"dir": cfg["dir"]}}
  else:
    given = {name: dict(p.items()) for name, p in cfg["mixture"].items()}
  out, wrong = {}, []
  for name, part in sorted(given.items()):
    spec.check_keys(part, KEYS, f"mixture.{name}")
    part = {**KEYS, "split": cfg["split"], "pp": cfg["pp"], **part}
    wrong += [f"{name} has no {key}" for key in ("dir", "pp") if not part[key]]
    out[name] = part
  if wrong:
    raise ValueError("the data config: " + "; ".join(wrong))
  return out


def _open(part):
  """The records of a part.

  Raises:
    FileNotFoundError: no records, or an optional part without this split.
  """
  from hispatial_jax.data import builder

  if part["optional"]:
    there, _ = builder.outline(part["dir"])
    name = part["split"].partition("[")[0]
    if name not in there:
      raise FileNotFoundError(
        f"{part['dir']} has no split {name!r}{spec.did_you_mean(name, there)}"
      )
  source = builder.open_split(part["dir"], part["split"])
  if not len(source):
    raise FileNotFoundError(
      f"split {part['split']!r} of {part['dir']} is empty"
    )
  return source


def _notes(parts, missing) -> list[str]:
  if not missing:
    return []
  weights = {name: part.weight for name, part in parts.items()}
  shares = mixture.Mixture(weights, batch_size=1).shares(0)
  left = ", ".join(f"{name} {100 * x:.1f} %" for name, x in shares.items())
  return [f"left out: {_lines(missing, '; ')}; the mixture is now {left}"]


def _lines(missing, between: str) -> str:
  return between.join(f"{name} ({text})" for name, text in missing.items())
