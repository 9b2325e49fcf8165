"""What every loader does: choose splits, find its file, check its keys."""

import collections

from hispatial_jax.benchmarks import base, files


def wanted(splits, known: tuple[str, ...]) -> list[str]:
  """The splits to load, in the benchmark's order; all when None."""
  if splits is None:
    return list(known)
  unknown = [name for name in splits if name not in known]
  if unknown:
    raise ValueError(
      f"no split {', '.join(unknown)}; there are {', '.join(known) or 'none'}"
    )
  return [name for name in known if name in splits]


def unique(examples: list[base.Example], name: str) -> list[base.Example]:
  """The examples, if there are any and their keys differ.

  Raises:
    DataError: none, or keys that occur twice, all of them listed.
  """
  if not examples:
    raise base.DataError(f"{name}: the files hold no question")
  seen = collections.Counter(example.key for example in examples)
  twice = [key for key, times in seen.items() if times > 1]
  if twice:
    raise base.DataError(
      f"{name}: {len(twice)} keys occur more than once: "
      f"{', '.join(twice[:20])}{', ...' if len(twice) > 20 else ''}; "
      "were files of two releases put together?"
    )
  return examples


def one(source: files.Files, *patterns: str, hint: str) -> str:
  """The one file that fits the first pattern that any file fits.

  Raises:
    DataError: none, or several: releases that must not be mixed up.
  """
  found = source.need(*patterns, hint=hint)
  if len(found) > 1:
    raise base.DataError(
      f"{source.root}: several files fit: {', '.join(found[:8])}; give the "
      "path of the one to use"
    )
  return found[0]


def length_range(metres) -> str | None:
  """The range a true length falls in, to tabulate by; None of other truths."""
  if not isinstance(metres, float):
    return None
  for limit in (0.5, 1, 2, 5, 10):
    if metres < limit:
      return f"below {limit} m"
  return "10 m and more"
