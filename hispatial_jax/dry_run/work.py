"""What a compiled program does in a step, and how long it takes at least."""

from collections.abc import Mapping

from hispatial_jax.core import chips, hlo

# What shortens a step whose longest resource it is.
_HELP = {
  "compute": "it is bound by what must be computed: faster chips, or less "
  "computed again (a remat that keeps more)",
  "HBM": "more examples a chip read the weights less often; attn_by_head and "
  "gate_apart keep activations on the chip",
}
_HELP_LINKS = {
  "all-gather": "larger mesh.data (weights in fewer shards) or batch per chip",
  "reduce-scatter": "larger batch per chip (fewer gradients an example)",
  "all-reduce": "smaller mesh.tensor, or larger batch per chip",
  "all-to-all": "smaller mesh.tensor, or larger batch per chip",
  "collective-permute": "config.tpu_options that gather weights before a "
  "product, or larger batch per chip",
}


def read(
  cost: hlo.Cost,
  model_flops: Mapping[str, float],
  chip: chips.Chip | None,
  count: int,
) -> dict:
  """FLOPs, bytes moved and the least times of a device's step.

  Args:
    cost: of the compiled program, of one device.
    model_flops: {part: FLOPs of all devices}, or {}.
    chip: None where its speeds are not known: no times then.
    count: devices.
  """
  out = {
    "hardware_flops": cost.flops,
    "bytes_moved": cost.bytes,
    "hbm_bytes_moved": cost.hbm_bytes,
    "collectives": {
      kind: {"count": x.count, "bytes": x.bytes}
      for kind, x in cost.collectives.items()
    },
  }
  if model_flops:
    mine = sum(model_flops.values()) / count
    out["model_flops"] = mine
    out["model_flops_by_part"] = {k: x / count for k, x in model_flops.items()}
    out["hardware_over_model"] = cost.flops / mine if mine else 0.0
  if chip:
    out |= _times(cost, chip)
    if model_flops:
      least = out["least_step_seconds"]
      out["mfu_at_most"] = out["model_flops"] / chip.flops / least
  return out


def _times(cost, chip):
  """Least seconds of each resource; the links are one, whatever they carry."""
  sent = {kind: x.bytes for kind, x in cost.collectives.items()}
  seconds = chips.least_seconds(
    chip, flops=cost.flops, hbm_bytes=cost.hbm_bytes, collectives=sent
  )
  needs = {name: seconds[name] for name in ("compute", "HBM")}
  needs["links"] = sum(seconds[kind] for kind in sent)
  longest = max(needs, key=needs.get)
  return {
    "least_seconds": seconds | {"links": needs["links"]},
    "longest": longest,
    "least_step_seconds": needs[longest],
    "advice": _advice(longest, cost, sent, seconds),
  }


def _advice(longest, cost, sent, seconds):
  """One line: the longest resource, what it carries, what would help."""
  if longest == "compute":
    return f"compute: {cost.flops / 1e12:.2f} TFLOP; {_HELP['compute']}"
  if longest == "HBM":
    return f"HBM: {cost.hbm_bytes / 1e9:.1f} GB moved; {_HELP['HBM']}"
  most = max(sent, key=lambda kind: seconds[kind])
  return (
    f"links: {most} of {sent[most] / 1e9:.2f} GB; {_HELP_LINKS[most]} would "
    "help"
  )
