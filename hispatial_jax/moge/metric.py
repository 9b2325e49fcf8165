"""From what the network says to metres: resize, remap, solve, project, mask.

The network's points lack a shift along z and a common scale, and nothing says
where the camera's focal length is: `solve` finds both, the scale head gives
metres. Everything is float32 whatever the network computed in.

Source: golden/moge2/FORMAT.md, sections 4 (outputs) and 5 (MoGe@0744441).
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from hispatial_jax.core import spec
from hispatial_jax.moge import frame as frame_lib
from hispatial_jax.moge import solve

FTOL = 1e-3  # where the reference's solver stops
REMAPS = ("linear", "sinh", "exp", "sinh_exp")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class PointMap:
  """What a picture shows, in metres, camera frame (x right, y down, z ahead).

  Attributes:
    points: f32[...,H,W,3]; inf where the mask is False.
    depth: f32[...,H,W], their z.
    mask: bool[...,H,W]; False: sky, or nothing that can be measured.
    intrinsics: f32[...,3,3], normalised (core/geometry).
    normals: f32[...,H,W,3], unit, towards the camera, 0 outside the mask; None
      of a model without them.
  """

  points: Any
  depth: Any
  mask: Any
  intrinsics: Any
  normals: Any = None


def average(raw: dict, mirrored: dict) -> dict:
  """Mean of what the network says of pictures and of their mirror images.

  Taken before the remap: of the logarithms of depth and scale, of logits.
  """
  flipped = {
    k: x[:, :, ::-1] if x.ndim == 4 else x for k, x in mirrored.items()
  }
  flipped["mask"] = mirrored["mask"][:, :, ::-1] if "mask" in raw else None
  sign = jnp.array([-1, 1, 1], jnp.float32)
  for name in ("points", "normal"):
    if name in raw:
      flipped[name] = flipped[name] * sign
  return {name: (x + flipped[name]) / 2 for name, x in raw.items()}


def maps(raw: dict, frame: frame_lib.Frame, remap: str) -> dict:
  """What the network says of each pixel of the pictures.

  Args:
    raw: output of `model.Model`.
    frame: sizes of the pictures.
    remap: how points are meant, one of REMAPS.

  Returns:
    points f32[B,H,W,3] (without shift and scale), mask f32[B,H,W] probability,
    normal f32[B,H,W,3], metric_scale f32[B]; those that the network has.

  Raises:
    ValueError: an unknown remap.
  """
  if remap not in REMAPS:
    hint = spec.did_you_mean(remap, list(REMAPS))
    raise ValueError(f"remap_output {remap!r} is none of {REMAPS}{hint}")
  out = {"points": _remap(frame_lib.resize_out(raw["points"], frame), remap)}
  if "normal" in raw:
    normal = frame_lib.resize_out(raw["normal"], frame)
    length = jnp.sqrt(jnp.sum(normal * normal, axis=-1, keepdims=True))
    out["normal"] = normal / jnp.maximum(length, 1e-12)
  if "mask" in raw:
    logits = frame_lib.resize_out(raw["mask"][..., None], frame)[..., 0]
    out["mask"] = jax.nn.sigmoid(logits)
  if "scale" in raw:
    out["metric_scale"] = jnp.exp(raw["scale"])
  return out


def _remap(points, remap):
  xy, z = points[..., :2], points[..., 2:]
  if remap == "sinh":
    return jnp.sinh(points)
  if remap == "exp":
    return jnp.concatenate([xy * jnp.exp(z), jnp.exp(z)], axis=-1)
  if remap == "sinh_exp":
    return jnp.concatenate([jnp.sinh(xy), jnp.exp(z)], axis=-1)
  return points


@functools.partial(
  jax.jit,
  static_argnames=("remap", "force_projection", "apply_mask", "ftol"),
)
def point_map(
  raw: dict,
  frame: frame_lib.Frame,
  known: jax.Array | None,
  *,
  remap: str,
  force_projection: bool = True,
  apply_mask: bool = True,
  ftol: float = FTOL,
) -> PointMap:
  """The point map of what the network says, on the canvas.

  Args:
    raw, frame, remap: as in `maps`.
    known: f32[B,3,3], the cameras' intrinsics; None: solve for them.
    force_projection, apply_mask, ftol: as in `infer.MoGe.infer`.
  """
  found = maps(raw, frame, remap)
  points, mask = found["points"], frame_lib.inside(frame)
  if "mask" in found:
    mask &= found["mask"] > 0.5
  intrinsics, shift = _camera(points, mask, frame, known, ftol)
  depth = points[..., 2] + shift[:, None, None]
  mask &= depth > 0
  if force_projection:
    points = _unproject(depth, intrinsics, frame)
  else:
    points = jnp.concatenate([points[..., :2], depth[..., None]], axis=-1)
  # The scale comes after the shift: the shift is in the network's units.
  scale = found.get("metric_scale", jnp.ones(len(depth), jnp.float32))
  points = points * scale[:, None, None, None]
  depth = depth * scale[:, None, None]
  normals = found.get("normal")
  if apply_mask:
    points = jnp.where(mask[..., None], points, jnp.inf)
    depth = jnp.where(mask, depth, jnp.inf)
    if normals is not None:
      normals = jnp.where(mask[..., None], normals, 0.0)
  return PointMap(points, depth, mask, intrinsics, normals)


def _camera(points, mask, frame, known, ftol):
  """(intrinsics f32[B,3,3], shift f32[B])."""
  if known is not None:
    shift = solve.recover_shift(points, mask, known, size=frame.size, ftol=ftol)
    return known, shift
  focal, shift = solve.recover(points, mask, size=frame.size, ftol=ftol)
  # Focal is in halves of the image's diagonal.
  a = frame.aspect
  fy = focal / 2 * jnp.sqrt(1 + a * a)
  fx = fy / a
  zero, one, half = (
    jnp.zeros_like(fx),
    jnp.ones_like(fx),
    0.5 * jnp.ones_like(fx),
  )
  rows = [[fx, zero, half], [zero, fy, half], [zero, zero, one]]
  return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2), shift


def _unproject(depth, intrinsics, frame):
  """Depth times the ray of each pixel; sizes are those of the frame."""
  u, v = frame_lib.pixel_centres(frame)
  k = intrinsics[:, :, :, None]
  y = ((v - k[:, 1, 2]) / k[:, 1, 1])[:, :, None]
  x = ((u - k[:, 0, 2]) / k[:, 0, 0])[:, None, :]
  x = x - (k[:, 0, 1] / k[:, 0, 0])[:, :, None] * y
  return jnp.stack([x * depth, y * depth, depth], axis=-1)
