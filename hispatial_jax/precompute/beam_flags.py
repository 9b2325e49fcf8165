"""Flags of Apache Beam, checked before a run begins.

Beam itself passes over flags that it does not know.
"""

import argparse
from collections.abc import Iterable, Sequence

from apache_beam.options import pipeline_options

from hispatial_jax.core import spec

_DIRECT = ("DirectRunner", "FnApiRunner")


def check(
  flags: Sequence[str], workers: int, own: Iterable[str] = ()
) -> tuple[list[str], bool]:
  """(flags for Beam, whether its direct runner is meant).

  Args:
    flags: of the command line that are Beam's.
    workers: processes of the direct runner, where the flags say nothing.
    own: flags of the tool, which may have been meant.

  Raises:
    ValueError: flags that Beam does not know.
  """
  known, unknown = _parser().parse_known_args(list(flags))
  if unknown:
    raise ValueError(_unknown(unknown, own))
  direct = (known.runner or _DIRECT[0]) in _DIRECT
  if direct and not any("--direct_" in flag for flag in flags):
    return [*flags, f"--direct_num_workers={workers}"], True
  return list(flags), direct


class _Parser(argparse.ArgumentParser):
  """Knows flags whose values come later as well, as Beam's own does."""

  def add_value_provider_argument(self, *args, **kwargs):
    self.add_argument(*args, **kwargs)


def _parser() -> _Parser:
  """All flags of Beam, as its PipelineOptions puts them together."""
  parser = _Parser(
    allow_abbrev=False, add_help=False, conflict_handler="resolve"
  )
  for kind in pipeline_options.PipelineOptions.__subclasses__():
    kind._add_argparse_args(parser)
  return parser


def _unknown(words: list[str], own: Iterable[str]) -> str:
  names = [word.partition("=")[0] for word in words if word.startswith("--")]
  known = [
    name for action in _parser()._actions for name in action.option_strings
  ]
  known += own
  hints = [name + spec.did_you_mean(name, known) for name in names]
  return f"unknown flags: {', '.join(hints) or ' '.join(words)}"
