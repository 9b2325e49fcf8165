"""What a search tries: meshes, remat policies, accumulation, batch a chip."""

import dataclasses
from collections.abc import Iterable

from hispatial_jax.core import config as config_lib
from hispatial_jax.core import mesh, spec
from hispatial_jax.models import remat as remat_lib

_KEYS = ("data", "tensor", "remat", "accumulate", "rows")


@dataclasses.dataclass(frozen=True)
class Candidate:
  """One way to train.

  Attributes:
    dcn, data, fsdp, tensor: the mesh.
    remat: policy of the language model; "": the recipe has no such key.
    accumulate: microbatches of a step.
    rows: examples of a chip in a step.
  """

  dcn: int
  data: int
  fsdp: int
  tensor: int
  remat: str
  accumulate: int
  rows: int

  @property
  def chips(self) -> int:
    """How many there are."""
    return self.dcn * self.data * self.fsdp * self.tensor

  def overrides(self) -> list[str]:
    """What a recipe is set to, as --set takes it."""
    return [
      f"batch_size={self.rows * self.chips}",
      *(f"mesh.{name}={getattr(self, name)}" for name in mesh.AXES),
      *([f"model.llm.remat={self.remat}"] if self.remat else []),
      f"optim.accumulate={self.accumulate}",
    ]

  def but_rows(self) -> "Candidate":
    """What candidates of other batches have in common."""
    return dataclasses.replace(self, rows=0)


def read(pairs: Iterable[str], cfg, chips: int) -> dict[str, list]:
  """Values to try by name, the recipe's own and its neighbours by default.

  Args:
    pairs: "tensor=1,2", "remat=mlp_out,nothing_saveable", …
    cfg: the recipe.
    chips: of all slices.

  Raises:
    ValueError: unknown names or values, all listed.
  """
  own = cfg.model.llm.get("remat", "")
  a_chip = max(1, cfg.batch_size // chips)
  out = {
    "data": [1, 2],
    "tensor": [1, 2],
    "remat": list(dict.fromkeys([own, own and "nothing_saveable"])),
    "accumulate": [cfg.optim.accumulate],
    "rows": [a_chip, 2 * a_chip, 4 * a_chip],
  }
  wrong = []
  for pair in pairs:
    key, _, text = pair.partition("=")
    if key not in _KEYS:
      wrong.append(f"{key}{spec.did_you_mean(key, _KEYS)}")
      continue
    values = [config_lib.literal(part) for part in text.split(",")]
    wrong += [f"{key}={x}" for x in values if not _valid(key, x)]
    out[key] = values
  if wrong:
    raise ValueError(
      f"--search: expected lists of numbers for data, tensor, accumulate and "
      f"rows, of {', '.join(remat_lib.POLICIES)} for remat; got "
      + "; ".join(wrong)
    )
  return out


def _valid(key, value):
  if key == "remat":
    return value in remat_lib.POLICIES
  return isinstance(value, int) and not isinstance(value, bool) and value > 0


def candidates(
  values: dict[str, list], model, *, chips: int, slices: int = 1
) -> list[Candidate]:
  """All that arithmetic does not rule out; the smallest batch of each first.

  The mesh must divide the chips, its tensor axis the heads of both towers, and
  a microbatch must give every device that has rows of its own one.

  Args:
    values: of `read`.
    model: the recipe's group `model`.
    chips: of all slices.
    slices: that a data centre's network joins.

  Raises:
    ValueError: nothing is left.
  """
  heads = (model.llm.num_kv_heads, model.img.num_heads)
  out = [
    Candidate(slices, data, fsdp, tensor, remat, accumulate, rows)
    for data in sorted(set(values["data"]))
    for tensor in sorted(set(values["tensor"]))
    for remat in dict.fromkeys(values["remat"])
    for accumulate in sorted(set(values["accumulate"]))
    for rows in sorted(set(values["rows"]))
    if chips % (slices * data * tensor) == 0
    and (fsdp := chips // (slices * data * tensor))
    and not any(n % tensor for n in heads)
    and rows * tensor % accumulate == 0
  ]
  if not out:
    raise ValueError(
      f"--search: no mesh of {values} fits {chips} chips in {slices} slice(s) "
      f"and {heads[0]} key/value heads"
    )
  return out
