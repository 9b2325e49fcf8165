"""Bytes of a device by kind, as its compiler assigned them."""

import pathlib
from collections.abc import Collection, Mapping

from hispatial_jax.dry_run import assigned


def read(
  stats,
  arguments: Mapping[str, int],
  weights: Collection[int],
  dump: pathlib.Path | None = None,
) -> dict:
  """{"bytes": {kind: bytes, "together": their sum}, ...} of a device.

  Args:
    stats: memory_analysis of the compiled program.
    arguments: {kind: bytes} of its arguments.
    weights: of assigned.Assigned.by_kind.
    dump: folder that the compiler wrote into, or None.
  """
  out = dict(arguments)
  # Small leaves are padded to whole tiles; what is not used is left out.
  out["padding of arguments"] = max(
    0, stats.argument_size_in_bytes - sum(arguments.values())
  )
  out["outputs that are not updates in place"] = (
    stats.output_size_in_bytes - stats.alias_size_in_bytes
  )
  reported = stats.temp_size_in_bytes
  held = assigned.read(dump) if dump else None
  out["temporaries"] = held.size if held else reported
  out["program"] = stats.generated_code_size_in_bytes
  out["together"] = sum(out.values())
  return {
    "bytes": out,
    "temporaries_by_kind": held.by_kind(weights) if held else {},
    "largest_temporaries": held.largest() if held else [],
    "temp_size_reported": reported,
  }
