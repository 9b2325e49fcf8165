"""Kind `moge2`: focal lengths and shifts of made maps: focal.npz."""

import functools

import jax.numpy as jnp
import numpy as np

from hispatial_jax.moge import resize, solve
from parity_cases import moge2_case

_FILE = moge2_case.FOCAL
_SIDE = 64


def run(case: moge2_case.Case) -> None:
  """Compares all arrays of the file."""
  names = case.fixture.names(_FILE)
  maps = [n.removesuffix("/points") for n in names if n.endswith("/points")]
  for name in maps:
    if name.startswith("syn"):
      _well_posed(case, name)
    else:
      _ill_posed(case, name)
  points = case.fixture.get(_FILE, f"{maps[0]}/points")
  _degenerate(case, points)
  _batch(case, points)


def _well_posed(case, name):
  get = functools.partial(case.fixture.get, _FILE)
  known, check = case.fixture.names(_FILE, f"{name}/"), case.report.compare
  points, mask = get(f"{name}/points"), get(f"{name}/mask")
  focal = get(f"{name}/true_focal_shift")[0]
  found = {
    "ref_focal_shift": moge2_case.solved(points, mask),
    "converged_focal_shift": moge2_case.solved(points, mask, ftol=0),
    "ref_shift_given_true_focal": moge2_case.solved(points, mask, focal=focal)[
      1
    ],
    "converged_shift_given_true_focal": moge2_case.solved(
      points, mask, focal=focal, ftol=0
    )[1],
    "ref_focal_shift_nomask": moge2_case.solved(points),
  }
  for key, got in found.items():
    if f"{name}/{key}" in known:
      check(f"{name}/{key}", got, get(f"{name}/{key}"))


def _ill_posed(case, name):
  """The reference itself fails here (FORMAT.md, 6); ours must be finite."""
  get = functools.partial(case.fixture.get, _FILE)
  found = moge2_case.solved(get(f"{name}/points"), get(f"{name}/mask"))
  for stored in case.fixture.names(_FILE, f"{name}/"):
    get(stored)
  case.report.compare(f"{name} (finite)", np.isfinite(found).all(), True)


def _degenerate(case, points):
  get, check = functools.partial(case.fixture.get, _FILE), case.report.compare
  empty = np.zeros(points.shape[:2], bool)
  name = "degenerate_empty_mask"
  check(
    f"{name}/ref_focal_shift",
    moge2_case.solved(points, empty),
    get(f"{name}/ref_focal_shift"),
  )
  given = get(f"{name}/ref_given_focal_1p3")
  got = moge2_case.solved(points, empty, focal=1.3)
  check(f"{name}/ref_given_focal_1p3", got, given)
  name, one = "degenerate_pixel00_mask", empty.copy()
  one[0, 0] = True
  want = get(f"{name}/ref_focal_shift")
  check(f"{name}/ref_focal_shift", moge2_case.solved(points, one), want)
  rows, columns = (resize.nearest_index(n, _SIDE) for n in one.shape)
  count = one[rows][:, columns].sum()
  check(f"{name}/sampled_count", count, get(f"{name}/sampled_count"))


def _batch(case, points):
  get = functools.partial(case.fixture.get, _FILE)
  offsets = get("batch2/z_offset")
  both = np.stack([points + np.float32([0, 0, z]) for z in offsets])
  focal, shift = solve.recover(jnp.asarray(both), get("batch2/mask"))
  case.report.compare("batch2/ref_focal", focal, get("batch2/ref_focal"))
  case.report.compare("batch2/ref_shift", shift, get("batch2/ref_shift"))
