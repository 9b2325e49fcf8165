"""Recipes: config files, command-line overrides, keys nobody read.

    cfg = config.load("configs/toy.py:steps=100", ["optim.lr=1e-3"])
    watched = config.Watched(cfg)
    ... watched.optim.lr ...
    watched.check_all_read()

A config file holds `get_config(arg="")`, which returns a locked ConfigDict.
"""

import ast
import difflib
import importlib.util
import pathlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import ml_collections


def load(spec: str, overrides: Iterable[str] = ()) -> Any:
  """The config of a file, with overrides, locked.

  Args:
    spec: "PATH.py" or "PATH.py:ARG"; ARG is handed to get_config.
    overrides: "key=value" or "sub.key=value"; values are Python literals, or
      else text; where a text stands, they are text: "levels=13" is "13".

  Returns:
    A locked ml_collections.ConfigDict.

  Raises:
    FileNotFoundError: no such file.
    ValueError: unknown keys (all listed, with the nearest names) or values of
      another type.
  """
  path, _, arg = spec.partition(".py:")
  path = pathlib.Path(path if path.endswith(".py") else path + ".py")
  if not path.exists():
    raise FileNotFoundError(f"no config file {path} (expected PATH.py[:ARG])")
  module = _module(path)
  cfg = module.get_config(arg) if arg else module.get_config()
  override(cfg, overrides)
  return cfg.lock()


def override(cfg, pairs: Iterable[str]) -> None:
  """Sets "sub.key=value" pairs in place (see `load`)."""
  known = list(names(cfg))
  wrong = []
  for pair in pairs:
    key, equals, text = pair.partition("=")
    if not equals:
      wrong.append(f"{pair}: expected key=value")
    elif key not in known and not _is_group(cfg, key):
      wrong.append(f"{key}: unknown key{nearest(key, known)}")
    else:
      try:
        _set(cfg, key, text)
      except TypeError as error:
        wrong.append(f"{key}={text}: {error}")
  if wrong:
    raise ValueError("config overrides:\n  " + "\n  ".join(wrong))


def names(cfg: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
  """Dotted names of all values; an empty group counts as a value."""
  for key, value in cfg.items():
    if isinstance(value, ml_collections.ConfigDict) and len(value):
      yield from names(value, f"{prefix}{key}.")
    else:
      yield f"{prefix}{key}"


def literal(text: str) -> Any:
  """A Python literal where text is one ("1e-3", "(1, 2)"), else the text."""
  if text.lower() in ("true", "false"):
    return text.lower() == "true"
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError):
    return text


def nearest(name: str, known: Iterable[str]) -> str:
  """'; did you mean x?' or an empty string."""
  close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
  return f"; did you mean {close[0]}?" if close else ""


class Watched(Mapping):
  """A view of a ConfigDict that remembers which values were read.

  Reads like the dict it shows, by attribute or by key. Groups come as views of
  the same memory; `plain()` hands out a group whole and counts it as read.
  """

  def __init__(self, cfg, *, _read: set[str] | None = None, _at: str = ""):
    self._cfg, self._at = cfg, _at
    self._read = set() if _read is None else _read

  def __getitem__(self, key):
    value = self._cfg[key]
    group = isinstance(value, ml_collections.ConfigDict)
    if not (group and len(value)):
      self._read.add(f"{self._at}{key}")
    if group:
      return Watched(value, _read=self._read, _at=f"{self._at}{key}.")
    return value

  def __getattr__(self, key):
    if key.startswith("_"):
      raise AttributeError(key)
    try:
      return self[key]
    except KeyError as error:
      raise AttributeError(str(error)) from None

  def __iter__(self):
    return iter(self._cfg)

  def __len__(self):
    return len(self._cfg)

  def plain(self):
    """This group as a ConfigDict of its own; all of it counts as read."""
    self._read.update(names(self._cfg, self._at))
    copy = ml_collections.ConfigDict(self._cfg)
    return copy.lock()

  def unread(self) -> list[str]:
    """Dotted names of the values nobody has read."""
    return [n for n in names(self._cfg, self._at) if n not in self._read]

  def check_all_read(self) -> None:
    """Raises ValueError listing the values nobody has read."""
    left = self.unread()
    if left:
      raise ValueError(
        "config keys that nothing reads (a misspelling, or an option of "
        "something that is switched off):\n  " + "\n  ".join(left)
      )


def _module(path):
  """Runs a config file, which may say `from configs import common`."""
  place = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
  module = importlib.util.module_from_spec(place)
  sys.path.insert(0, str(path.absolute().parent.parent))
  try:
    place.loader.exec_module(module)
  finally:
    sys.path.pop(0)
  return module


def _is_group(cfg, key: str) -> bool:
  """Whether key names an empty or filled group of cfg."""
  for part in key.split("."):
    if not isinstance(cfg, ml_collections.ConfigDict) or part not in cfg:
      return False
    cfg = cfg[part]
  return True


def _set(cfg, key: str, text: str) -> None:
  value = literal(text)
  *groups, last = key.split(".")
  for group in groups:
    cfg = cfg[group]
  old = cfg[last]
  if isinstance(old, str) and not isinstance(value, str):
    value = text
  if isinstance(old, ml_collections.ConfigDict):
    raise TypeError("is a group; set its keys one by one")
  number = isinstance(old, float) and isinstance(value, int)
  if number and not isinstance(value, bool):
    value = float(value)
  if isinstance(old, bool) != isinstance(value, bool) and old is not None:
    raise TypeError(f"expected {type(old).__name__}, as {old!r}")
  cfg[last] = value
