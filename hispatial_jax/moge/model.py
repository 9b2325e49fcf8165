"""MoGe-2: image -> raw point map, normals, mask logits and log scale.

The arguments are those of a checkpoint's `model_config`, word for word. What
comes before (resize, normalisation) and after (resize to the image, remap,
focal and shift) is not here: it has no parameters.

Source: MoGe-2 (arXiv 2507.02546); golden/moge2/FORMAT.md, 3 and 4.
"""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from hispatial_jax.moge import backbones, convstack, dinov2

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)
LEVELS = 5
OUT = 1 << (LEVELS - 1)  # values of a head a token's side
HEADS = ("points_head", "normal_head", "mask_head")


def view_plane(rows: int, columns: int, aspect: jax.Array) -> jax.Array:
  """Pixel centres on a frame whose half-diagonal is 1.

  Args:
    rows, columns: of the grid.
    aspect: f32[B] width / height of the images, not of the grid.

  Returns:
    f32[B,rows,columns,2]: u to the right, v downwards, (0, 0) in the middle.
  """
  diagonal = jnp.sqrt(1.0 + aspect * aspect)
  # Borders of the frame are at +-span, so centres end half a pixel before.
  u = (aspect / diagonal)[:, None] * _centres(columns)
  v = (1.0 / diagonal)[:, None] * _centres(rows)
  shape = (len(aspect), rows, columns)
  u = jnp.broadcast_to(u[:, None, :], shape)
  v = jnp.broadcast_to(v[:, :, None], shape)
  return jnp.stack([u, v], axis=-1)


def _centres(n):
  """f32[n] from -(n - 1) / n to (n - 1) / n."""
  return (2.0 * jnp.arange(n, dtype=jnp.float32) + (1.0 - n)) / n


class Encoder(nn.Module):
  """Backbone and the sum of its projected taps.

  Attributes:
    backbone: hub name, or its options; see `backbones.hyperparameters`.
    intermediate_layers: indices of the tapped blocks; a number: so many last.
    dim_out: channels of the sum.
    dtype: of matmuls.
  """

  backbone: str | Mapping
  intermediate_layers: Sequence | int
  dim_out: int
  dtype: str = "float32"

  @nn.compact
  def __call__(self, image):
    """Returns (f32[B,R,C,dim_out], f32[B,D] class token)."""
    options = backbones.hyperparameters(self.backbone)
    taps = tap_indices(self.intermediate_layers, options["depth"])
    backbone = dinov2.Backbone(**options, dtype=self.dtype, name="backbone")
    tokens, cls_token = backbone(image, taps)
    features = 0.0
    for t, x in enumerate(tokens):
      project = nn.Dense(self.dim_out, dtype=self.dtype, name=f"projection_{t}")
      features = features + project(x).astype(jnp.float32)
    return features, cls_token


def tap_indices(layers: Sequence | int, depth: int) -> tuple[int, ...]:
  """Increasing indices of the tapped blocks.

  Raises:
    ValueError: none, or some that the backbone does not have.
  """
  if isinstance(layers, int):
    taps = tuple(range(depth - layers, depth))
  else:
    taps = tuple(sorted(set(layers)))
  if not taps or taps[0] < 0 or taps[-1] >= depth:
    raise ValueError(
      f"encoder.intermediate_layers is {layers}, expected indices of blocks "
      f"from 0 to {depth - 1}, or how many of the last"
    )
  return taps


class ScaleHead(nn.Module):
  """Dense layers with relu between."""

  dims: Sequence
  dtype: str = "float32"

  @nn.compact
  def __call__(self, x):
    for i, features in enumerate(self.dims[1:]):
      x = nn.Dense(features, dtype=self.dtype, name=f"layer_{i}")(x)
      if i < len(self.dims) - 2:
        x = nn.relu(x)
    return x


class Model(nn.Module):
  """The network, without parameter-free ends.

  Attributes:
    encoder: arguments of `Encoder`.
    neck, points_head, normal_head, mask_head: of `convstack.ConvStack`; a head
      that is None is not there.
    scale_head: {"dims": widths}.
    remap_output, num_tokens_range: used outside (moge/infer.py).
    dtype: of matmuls and convolutions; parameters stay as they are given.
  """

  encoder: Mapping
  neck: Mapping
  points_head: Mapping | None = None
  normal_head: Mapping | None = None
  mask_head: Mapping | None = None
  scale_head: Mapping | None = None
  remap_output: str = "linear"
  num_tokens_range: Sequence = (1200, 3600)
  dtype: str = "float32"

  @nn.compact
  def __call__(self, x, aspect):
    """Raw outputs on a grid of 16 times the patches.

    Args:
      x: f32[B,14R,14C,3] resized, ImageNet-normalised.
      aspect: f32[B] width / height of each original image.

    Returns:
      Dict of what the model has: points, normal f32[B,16R,16C,3], mask
      f32[B,16R,16C] logits, scale f32[B], log of the metric scale.
    """
    if x.ndim != 4 or x.shape[1] % dinov2.PATCH or x.shape[2] % dinov2.PATCH:
      raise ValueError(
        f"x is {x.shape}, expected (B, 14 * rows, 14 * columns, 3): resize it"
      )
    encoder = Encoder(**self.encoder, dtype=self.dtype, name="encoder")
    features, cls_token = encoder(x)
    self.sow("intermediates", "features", features)
    self.sow("intermediates", "cls_token", cls_token)
    maps = self._stack("neck", self._pyramid(features, aspect))
    if self.is_mutable_collection("intermediates"):
      self.sow("intermediates", "neck_out", list(map(convstack.as_map, maps)))
    out = {}
    for head in HEADS:
      if getattr(self, head) is not None:
        found = convstack.as_map(self._stack(head, maps)[-1])
        out[head.removesuffix("_head")] = found.astype(jnp.float32)
    if "mask" in out:
      out["mask"] = out["mask"][..., 0]
    if self.scale_head is not None:
      head = ScaleHead(**self.scale_head, dtype=self.dtype, name="scale_head")
      out["scale"] = head(cls_token)[:, 0].astype(jnp.float32)
    return out

  def _stack(self, name, maps):
    stack = convstack.ConvStack(
      **getattr(self, name), dtype=self.dtype, name=name
    )
    return stack(maps)

  def _pyramid(self, features, aspect):
    """One map a level: features and their grid, then finer grids alone."""
    _, rows, columns, _ = features.shape
    grids = [
      view_plane(rows << level, columns << level, aspect)
      for level in range(LEVELS)
    ]
    self.sow("intermediates", "uv", grids)
    return [jnp.concatenate([features, grids[0]], axis=-1), *grids[1:]]
