"""DINOv2 backbones by their hub names, or by their options.

Source: DINOv2's hub factories; golden/moge2/FORMAT.md, sections 3 and 7.
"""

from collections.abc import Mapping

from hispatial_jax.core import spec
from hispatial_jax.moge import dinov2

_SIZES = {
  "vits14": {"embed_dim": 384, "depth": 12, "num_heads": 6},
  "vitb14": {"embed_dim": 768, "depth": 12, "num_heads": 12},
  "vitl14": {"embed_dim": 1024, "depth": 24, "num_heads": 16},
}
_REGISTERS = {
  "num_register_tokens": 4,
  "interpolate_antialias": True,
  "interpolate_offset": 0.0,
}
BACKBONES = {f"dinov2_{name}": size for name, size in _SIZES.items()} | {
  f"dinov2_{name}_reg": {**size, **_REGISTERS} for name, size in _SIZES.items()
}
# Options of the hub's factories that change the arithmetic, and the one value
# of each that is built here.
_ONLY = {
  "patch_size": dinov2.PATCH,
  "ffn_layer": "mlp",
  "init_values": 1.0,
  "block_chunks": 0,
}


def hyperparameters(backbone: str | Mapping) -> dict:
  """Arguments of `Backbone` for a hub name, or for a dict of its options.

  Raises:
    ValueError: unknown name or option, with the nearest known one; an option
      with a value that is not built.
  """
  if isinstance(backbone, str):
    if backbone not in BACKBONES:
      hint = spec.did_you_mean(backbone, BACKBONES)
      raise ValueError(f"unknown encoder.backbone {backbone!r}{hint}")
    return dict(BACKBONES[backbone])
  if not isinstance(backbone, Mapping):
    raise ValueError(
      f"encoder.backbone is {backbone!r}, expected a name or a dict of options"
    )
  known = [*dinov2.Backbone.__dataclass_fields__, *_ONLY]
  known = [name for name in known if name not in ("parent", "name", "dtype")]
  spec.check_keys(backbone, known, "encoder.backbone")
  for key, value in backbone.items():
    if key in _ONLY and value != _ONLY[key]:
      raise ValueError(
        f"encoder.backbone.{key} is {value!r}, expected {_ONLY[key]!r}"
      )
  lacking = {"embed_dim", "depth", "num_heads"} - set(backbone)
  if lacking:
    raise ValueError(f"encoder.backbone lacks {', '.join(sorted(lacking))}")
  return {k: v for k, v in backbone.items() if k not in _ONLY}
