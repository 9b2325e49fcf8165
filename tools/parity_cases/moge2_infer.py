"""Kind `moge2`: maps at image size, point maps of pictures, the solver."""

import functools

import jax
import numpy as np

from hispatial_jax.moge import metric, resize
from parity_cases import moge2_case

_FOV_DEG = 60.0
# FORMAT.md, section 2: a pixel so near to the threshold may fall either way.
_MASK_MARGIN = 1e-5
# Options of MoGe.infer by the name of the stored run.
_RUNS = {
  "infer_none": {},
  "infer_fov60": {"fov_x_deg": _FOV_DEG},
  "infer_raw": {"force_projection": False, "apply_mask": False},
}
# The solver's grid, FORMAT.md, section 6.
_SIDE = 64
_maps = jax.jit(metric.maps, static_argnames=("remap",))


def maps(case: moge2_case.Case, prefix, raw, sizes) -> np.ndarray:
  """Compares the maps at image size and what the solver makes of them.

  Args:
    case: the fixture.
    prefix: of the names, "img0/n24".
    raw, sizes: outputs of the network, and the frame.

  Returns:
    bool[H,W]: pixels whose mask may fall on either side.
  """
  found = _maps(raw, sizes, case.config["remap_output"])
  forward = f"{prefix}/forward"
  rows, columns = case.get(f"{forward}/rows"), case.get(f"{forward}/cols")
  for name in ("points", "normal", "mask"):
    got = np.asarray(found[name][0])[rows][:, columns]
    case.check(f"{forward}/{name}", got)
  case.check(f"{forward}/metric_scale", found["metric_scale"][0])
  points, mask = (np.asarray(found[name][0]) for name in ("points", "mask"))
  near = np.abs(mask - 0.5) <= _MASK_MARGIN
  # There the reference's side is taken: one pixel moves the solution by 1e-5.
  stored = case.get(f"{prefix}/infer_none/mask")
  mask = np.where(near, stored, mask > 0.5)
  solved = functools.partial(moge2_case.solved, points, mask)
  name, pair = f"{prefix}/focal_shift", solved()
  case.check(name, pair)
  case.check(f"{name}_residual_rms", _residual(points, mask, *pair))
  case.check(f"{name}_converged", solved(ftol=0))
  a = float(sizes.aspect[0])
  focal = a / np.sqrt(1 + a * a) / np.tan(np.radians(_FOV_DEG) / 2)
  name = f"{prefix}/fov60_focal_shift"
  case.check(name, solved(focal=focal))
  case.check(f"{name}_converged", solved(focal=focal, ftol=0))
  return near


def _residual(points, mask, focal, shift):
  """Root of the mean of both squared residuals, on the solver's grid."""
  h, w, _ = points.shape
  rows, columns = resize.nearest_index(h, _SIDE), resize.nearest_index(w, _SIDE)
  x, y, z = np.moveaxis(np.asarray(points)[rows][:, columns], -1, 0)
  diagonal = np.hypot(h, w)
  u = ((2 * columns + 1 - w) / diagonal)[None]
  v = ((2 * rows + 1 - h) / diagonal)[:, None]
  both = np.stack([focal * x / (z + shift) - u, focal * y / (z + shift) - v])
  return np.sqrt(np.mean(both[:, np.asarray(mask)[rows][:, columns]] ** 2))


def picture(case: moge2_case.Case, prefix, image, num_tokens, near) -> None:
  """Compares the point maps of a picture.

  Args:
    case: the fixture.
    prefix: of the names, "img0/n24".
    image: u8[H,W,3].
    num_tokens: about so many patches.
    near: bool[H,W], see `maps`.
  """
  for name, options in _RUNS.items():
    if case.names(f"{prefix}/{name}/"):
      found = case.eyes.infer(image, num_tokens=num_tokens, **options)
      _point_map(case, f"{prefix}/{name}", found, near)


def _point_map(case, prefix, found, near):
  rows, columns = case.get(f"{prefix}/rows"), case.get(f"{prefix}/cols")
  case.check(f"{prefix}/intrinsics", found.intrinsics)
  if case.names(f"{prefix}/mask"):
    stored = case.get(f"{prefix}/mask")
    mask = np.where(near, stored, found.mask)
    case.check(f"{prefix}/mask", mask)
  near = near[rows][:, columns]
  stored = {"points": found.points, "depth": found.depth}
  for name, x in {**stored, "normal": found.normals}.items():
    if not case.names(f"{prefix}/{name}"):
      continue
    got, want = np.asarray(x)[rows][:, columns], case.get(f"{prefix}/{name}")
    aside = near.reshape(near.shape + (1,) * (want.ndim - 2))
    got, want = _finite(np.where(aside, want, got), want)
    case.report.compare(f"{prefix}/{name}", got, want)


def _finite(got, want):
  """Both with 0 where both are infinite; NaN in `got` where only one is."""
  both = np.isinf(got) & np.isinf(want)
  one = np.isinf(got) ^ np.isinf(want)
  got = np.where(both, 0, np.where(one, np.nan, got))
  return got, np.where(np.isinf(want), 0, want)


def levels(case: moge2_case.Case) -> None:
  """Numbers of tokens by resolution level, and a picture at one of them."""
  eyes = case.eyes
  counts = case.meta["resolution_level_num_tokens"]
  case.report.compare(
    "meta.json: resolution_level_num_tokens",
    np.array([eyes.tokens(int(level)) for level in counts]),
    np.array(list(counts.values())),
  )
  for name, image in case.pictures():
    for stored in case.names(f"{name}/level"):
      if not stored.endswith("/num_tokens"):
        continue
      prefix = stored.removesuffix("/num_tokens")
      level = int(prefix.split("/level")[1])
      case.check(stored, np.array(eyes.tokens(level)))
      found = eyes.infer(image, num_tokens=eyes.tokens(level))
      rows, columns = case.get(f"{prefix}/rows"), case.get(f"{prefix}/cols")
      depth = np.asarray(found.depth)[rows][:, columns]
      got, want = _finite(depth, case.get(f"{prefix}/infer/depth"))
      case.report.compare(f"{prefix}/infer/depth", got, want)
      case.check(f"{prefix}/infer/intrinsics", found.intrinsics)
