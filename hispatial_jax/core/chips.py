"""What a TPU chip can do, and how long a program takes at best.

Source: cloud.google.com/tpu/docs/v5e, v5p, v6e (HBM, bf16 FLOP/s, HBM and
interchip bandwidth); one-way bandwidth of a link as in "How to Scale Your
Model" (jax-ml.github.io/scaling-book), chapter 2.
"""

import dataclasses
import difflib
import math
import re


@dataclasses.dataclass(frozen=True)
class Chip:
  """One chip; bytes and seconds.

  Attributes:
    kind: as in the name of a topology, "v5e:4x4".
    hbm: bytes of memory; the compiler keeps some 0.25 GiB for itself.
    flops: bf16 FLOP/s.
    hbm_speed: bytes/s of that memory.
    link_speed: bytes/s that one interchip link sends.
    links: links of a chip.
  """

  kind: str
  hbm: float
  flops: float
  hbm_speed: float
  link_speed: float
  links: int


CHIPS = {
  chip.kind: chip
  for chip in (
    Chip("v5e", 16 * 2**30, 197e12, 819e9, 45e9, 4),
    Chip("v5p", 95 * 2**30, 459e12, 2765e9, 90e9, 6),
    Chip("v6e", 32 * 2**30, 918e12, 1640e9, 90e9, 4),
  )
}

# As devices call themselves.
_DEVICE_KINDS = {
  "TPU v5 lite": "v5e",
  "TPU v5e": "v5e",
  "TPU v5": "v5p",
  "TPU v5p": "v5p",
  "TPU v6 lite": "v6e",
  "TPU v6e": "v6e",
}


def of(device_kind: str) -> Chip | None:
  """The chip that calls itself so; None where its speeds are not known."""
  return CHIPS.get(_DEVICE_KINDS.get(device_kind, ""))


def read(topology: str) -> tuple[Chip, int]:
  """The chip of a topology, "v5e:4x4", and how many there are.

  Raises:
    ValueError: not KIND:AxB or AxBxC with a kind of CHIPS.
  """
  kind, _, shape = topology.partition(":")
  if kind not in CHIPS:
    near = difflib.get_close_matches(kind, CHIPS, 1, cutoff=0.3)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ValueError(
      f"topology {topology!r}: expected one of {', '.join(CHIPS)}, then its "
      f"shape, as v5e:4x4{hint}"
    )
  axes = 3 if CHIPS[kind].links == 6 else 2
  if not re.fullmatch("x".join([r"[1-9]\d*"] * axes), shape):
    form = "x".join("ABC"[:axes])
    raise ValueError(f"topology {topology!r}: expected {kind}:{form}")
  return CHIPS[kind], math.prod(int(n) for n in shape.split("x"))


def least_seconds(
  chip: Chip, *, flops: float, hbm_bytes: float, collectives: dict[str, float]
) -> dict[str, float]:
  """Seconds that each resource needs at its full speed; the step takes more.

  Args:
    chip: of what kind.
    flops, hbm_bytes: of one chip.
    collectives: kind -> bytes that a chip sends. A collective may use all its
      links at once, a permutation of neighbours one link each way.
  """
  out = {"compute": flops / chip.flops, "HBM": hbm_bytes / chip.hbm_speed}
  for kind, sent in collectives.items():
    links = 2 if kind == "collective-permute" else chip.links
    out[kind] = sent / (links * chip.link_speed)
  return out
