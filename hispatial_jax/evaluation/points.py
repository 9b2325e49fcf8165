"""Point maps of a benchmark's pictures: measured, estimated once, or none.

    maps = points.Points("measured,moge:model.pt", cache="out/points")
    maps.prepare(examples)           # MoGe looks at every picture once
    depth_m, intrinsics, source = maps.of(example)

Of several ways, the first that gives an example points is taken. MoGe's are
kept as records of precompute/, a folder for each model and set of pictures;
they are of the pictures without the boxes of prompts.
"""

import functools
import hashlib
import os
import pathlib
from typing import Any

import numpy as np

from hispatial_jax.benchmarks import base
from hispatial_jax.core import remote
from hispatial_jax.evaluators import examples as seen
from hispatial_jax.precompute import plan

_GRID = 64
_WAYS = "measured, moge:CHECKPOINT, none"


class Points:
  """Where point maps come from, in order of preference."""

  def __init__(self, ways: str = "measured", cache=None, dtype="float32"):
    """Reads the ways; computes nothing yet.

    Args:
      ways: comma-separated: measured, moge:CHECKPOINT, none.
      cache: folder for MoGe's records; needed with moge.
      dtype: that MoGe computes in.

    Raises:
      ValueError: unknown ways.
      FileNotFoundError: no such checkpoint.
    """
    self._ways = [way.strip() for way in ways.split(",") if way.strip()]
    kinds = [way.partition(":")[0] for way in self._ways]
    named = [way for way in self._ways if way.startswith("moge:")]
    wrong = set(kinds) - {"measured", "moge", "none"}
    if wrong or not kinds or len(set(kinds)) < len(kinds):
      raise ValueError(f"--points {ways!r}: expected some of {_WAYS}")
    if "moge" in kinds and named in ([], ["moge:"]):
      raise ValueError(f"--points {ways!r}: moge needs a file, moge:CHECKPOINT")
    self._measured, self._moge = "measured" in kinds, None
    if named:
      self._moge = named[0].partition(":")[2]
      self._facts = {
        "file": os.path.basename(self._moge.rstrip("/")),
        "sha256": plan.checksum(remote.fetch(self._moge)),
        "dtype": dtype,
      }
    self._kinds, self._cache, self._dtype = kinds, cache, dtype
    self._records: Any = None
    self._ids: dict[str, str] = {}

  def describe(self) -> list:
    """The ways, JSON-able: ["measured", {"moge": ..., "sha256": ...}]."""
    known = {"moge": {"moge": getattr(self, "_facts", None)}}
    return [known.get(kind, kind) for kind in self._kinds]

  def prepare(self, examples: list[base.Example]) -> None:
    """Computes what MoGe has to, or finds it in the cache.

    Raises:
      ValueError, OSError: as precompute's run.
    """
    if not self._moge:
      return
    source = _Pictures(
      [e for e in examples if not (self._measured and _has(e))]
    )
    self._ids = source.ids
    if not source.splits["train"]:
      return
    from hispatial_jax.data import pictures
    from hispatial_jax.moge import infer
    from hispatial_jax.precompute import devices, run

    load = functools.partial(infer.MoGe.load, self._moge, dtype=self._dtype)
    name = f"{self._facts['sha256'][:8]}-{self._dtype}-{source.digest[:8]}"
    remote.refuse(self._cache, "estimated points (--points-cache)")
    folder = str(pathlib.Path(self._cache) / name)
    run.run(
      source,
      folder,
      plan.Options(),
      devices.Crew(load),
      model=self._facts,
      max_bad_share=1.0,
    )
    self._records = pictures.Dataset(folder)

  def of(self, example: base.Example):
    """(depth f32[h,w] or None, intrinsics f32[3,3] or None, source).

    The source is "measured", "moge" or "none".

    Raises:
      base.ReadError, ValueError, OSError: measured depth can't be read.
    """
    for kind in self._kinds:
      depth, matrix = None, None
      if kind == "measured":
        depth, matrix = seen.measured(example)
      elif kind == "moge":
        depth, matrix = self._estimated(example)
      if depth is not None:
        return depth, matrix, kind
    return None, None, "none"

  def _estimated(self, example):
    name = self._ids.get(example.key)
    if name is None or self._records is None:
      return None, None
    try:
      record = self._records.make(name)
    except KeyError:  # MoGe could not use it; the quarantine says why
      return None, None
    return record["depth_m"], record["intrinsics"]


def median(depth_m) -> float | None:
  """Median metres of what is known, on a coarse grid, to the centimetre."""
  if depth_m is None:
    return None
  height, width = depth_m.shape
  some = depth_m[:: max(1, height // _GRID), :: max(1, width // _GRID)]
  known = some[np.isfinite(some) & (some > 0)]
  return round(float(np.median(known)), 2) if known.size else None


def _has(example: base.Example) -> bool:
  try:
    return seen.measured(example)[0] is not None
  except (ValueError, OSError):
    return False


class _Pictures:
  """The pictures of examples as a source of precompute, each once.

  Attributes:
    ids: example key -> id, the digest of the picture's bytes.
    splits: {"train": ids}.
    digest: of all ids.
  """

  def __init__(self, examples: list[base.Example]):
    self.ids, self._loaders = {}, {}
    for example in examples:
      try:
        data = example.image()
      except (ValueError, OSError):
        continue  # it is an error of its question, where that is asked
      name = hashlib.sha256(data).hexdigest()[:24]
      self.ids[example.key] = name
      self._loaders.setdefault(name, example.image)
    self.splits = {"train": sorted(self._loaders)}
    text = "\n".join(self.splits["train"])
    self.digest = hashlib.sha256(text.encode()).hexdigest()

  def describe(self) -> dict[str, Any]:
    """Number and digest of the pictures."""
    count = len(self.splits["train"])
    return {"source": "benchmark", "pictures": count, "digest": self.digest}

  def make(self, name: str) -> dict[str, Any]:
    """The record of a picture, without depth."""
    from hispatial_jax.data import sources

    return sources.bare(name, "benchmark", self._loaders[name]())
