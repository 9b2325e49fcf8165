"""Focal length and shift: the reference's numbers, SciPy's optimum, own scenes.

All maps lie in canvases of one size, so that few programs are compiled; one
test holds that a canvas changes nothing.
"""

import functools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import optimize

from hispatial_jax.core import geometry
from hispatial_jax.moge import solve

_CANVAS = 128
_SYNTHETIC = (
  "syn0_tilted_plane",
  "syn1_floor_wall",
  "syn2_sphere_only",
  "syn3_spheres_noisy",
  "syn4_wide_room_outliers",
)
# FORMAT.md section 6 promises 1.5e-5; we measured 4e-7, float32's own rounding.
_CLOSE = {"rtol": 2e-6, "atol": 2e-6}


@pytest.fixture
def focal_npz(golden):
  return np.load(golden / "moge2" / "focal.npz")


@pytest.fixture
def cases_npz(golden):
  return np.load(golden / "moge2" / "cases.npz")


def _canvas(maps, junk=np.nan):
  """Maps [h, w, ...] -> (batch in canvases full of junk, sizes)."""
  shape = (len(maps), _CANVAS, _CANVAS, *np.shape(maps[0])[2:])
  batch = np.full(shape, junk, np.asarray(maps[0]).dtype)
  for row, one in zip(batch, maps, strict=True):
    row[: one.shape[0], : one.shape[1]] = one
  return batch, np.array([np.shape(one)[:2] for one in maps], np.int32)


def _recover(points, mask=None, **options):
  """recover() of one map [h, w, 3], by way of a canvas: (focal, shift)."""
  if mask is None:
    mask = np.ones(points.shape[:2], bool)
  batch, size = _canvas([points])
  masks, _ = _canvas([mask], junk=True)
  return np.array(solve.recover(batch, masks, size=size, **options))[:, 0]


def _frame(height, width):
  """f64[h, w, 2]: pixel centres of a frame of half-diagonal 1."""
  u = (2 * np.arange(width) + 1 - width) / np.hypot(width, height)
  v = (2 * np.arange(height) + 1 - height) / np.hypot(width, height)
  return np.stack(np.meshgrid(u, v), axis=-1)


def _scene(rng, size, focal, noise=0.0):
  """Random relief before a pinhole: (points f32 without shift, mask, shift)."""
  uv = _frame(*size)
  u, v = uv[..., 0], uv[..., 1]
  z = u * rng.uniform(-0.8, 0.8) + v * rng.uniform(-0.8, 0.8)
  for _ in range(4):
    phase = u * rng.uniform(1, 8) + v * rng.uniform(1, 8) + rng.uniform(0, 6)
    z += rng.uniform(0.1, 0.5) * np.sin(phase)
  z += rng.uniform(0.3, 2) - z.min()
  shift = rng.uniform(-2, 0.8) * z.min()
  points = np.concatenate([uv * z[..., None] / focal, z[..., None]], axis=-1)
  points[..., 2] -= shift
  points *= 1 + noise * rng.standard_normal(points.shape)
  scale = np.exp(rng.uniform(-3, 3))
  mask = u * rng.normal() + v * rng.normal() + rng.uniform(-0.5, 0.5) > 0
  mask |= rng.random(size) < 0.3
  return (points * scale).astype(np.float32), mask, shift * scale


def _residuals(points, mask, shift, focal=None):
  """The objective in float64, written independently of the solver."""
  h, w = mask.shape
  at = np.ix_(np.arange(64) * h // 64, np.arange(64) * w // 64)
  points, uv = points[at][mask[at]].astype(np.float64), _frame(h, w)[at]
  uv = uv[mask[at]]
  q = points[:, :2] / (points[:, 2] + shift)[:, None]
  if focal is None:
    focal = (q * uv).sum() / (q * q).sum()
  return (focal * q - uv).ravel()


def _cost(*args, **options):
  return np.square(_residuals(*args, **options)).sum()


@pytest.mark.parametrize("name", _SYNTHETIC)
def test_synthetic_maps_as_the_reference(focal_npz, name):
  g = {k.split("/")[1]: v for k, v in focal_npz.items() if k.startswith(name)}
  given = g["true_focal_shift"][:1]
  run = functools.partial(_recover, g["points"], g["mask"])
  np.testing.assert_allclose(run(), g["ref_focal_shift"], **_CLOSE)
  np.testing.assert_allclose(run(ftol=0), g["converged_focal_shift"], **_CLOSE)
  focal, shift = run(focal=given)
  assert focal == given
  np.testing.assert_allclose(shift, g["ref_shift_given_true_focal"], **_CLOSE)
  np.testing.assert_allclose(
    run(focal=given, ftol=0)[1],
    g["converged_shift_given_true_focal"],
    **_CLOSE,
  )


def test_without_mask_and_without_canvas(focal_npz):
  name = "syn0_tilted_plane"
  got = solve.recover(focal_npz[f"{name}/points"][None])
  expected = focal_npz[f"{name}/ref_focal_shift_nomask"]
  np.testing.assert_allclose(np.array(got)[:, 0], expected, **_CLOSE)


def test_two_maps_of_a_batch(focal_npz):
  points = np.stack([focal_npz["syn0_tilted_plane/points"]] * 2)
  points[..., 2] += focal_npz["batch2/z_offset"][:, None, None]
  focal, shift = solve.recover(points, focal_npz["batch2/mask"])
  np.testing.assert_allclose(focal, focal_npz["batch2/ref_focal"], **_CLOSE)
  np.testing.assert_allclose(shift, focal_npz["batch2/ref_shift"], **_CLOSE)


def test_too_few_points(focal_npz):
  points = focal_npz["syn0_tilted_plane/points"]
  mask = np.zeros(points.shape[:2], bool)
  expected = focal_npz["degenerate_empty_mask/ref_focal_shift"]
  np.testing.assert_array_equal(_recover(points, mask), expected)
  mask[1, 1] = True  # one sampled pixel; [0, 0] is sampled twice
  np.testing.assert_array_equal(_recover(points, mask), expected)
  np.testing.assert_array_equal(
    _recover(points, mask, focal=1.3),
    focal_npz["degenerate_empty_mask/ref_given_focal_1p3"],
  )


@pytest.mark.parametrize("ftol", [1e-3, 0])
def test_one_pixel_sampled_twice_has_any_shift(focal_npz, ftol):
  points = focal_npz["syn0_tilted_plane/points"]
  mask = np.zeros(points.shape[:2], bool)
  mask[0, 0] = True
  expected = focal_npz["degenerate_pixel00_mask/ref_focal_shift"]
  np.testing.assert_allclose(
    _recover(points, mask, ftol=ftol), expected, rtol=1e-6
  )


@pytest.mark.parametrize("ftol", [1e-3, 0])
def test_a_wall_of_one_depth_keeps_shift_0(ftol):
  z = np.full((40, 60, 1), 3.1)
  points = np.concatenate([_frame(40, 60) * z / 0.7, z], axis=-1)
  got = _recover(points.astype(np.float32), ftol=ftol)
  np.testing.assert_allclose(got, (0.7, 0), rtol=1e-6)


@pytest.mark.parametrize("junk", [np.nan, np.inf, 0.0])
def test_what_cannot_be_solved_stays_finite(junk):
  for where in (np.s_[...], np.s_[..., :2], np.s_[..., 2]):
    points = np.ones((8, 8, 3), np.float32)
    points[where] = junk
    np.testing.assert_array_equal(_recover(points), (1, 0))


def test_rays_beyond_float32_stay_unsolved():
  points = np.ones((8, 8, 3), np.float32)
  points[..., 2] = 1e-30
  np.testing.assert_array_equal(_recover(points), (1, 0))


@pytest.mark.parametrize("image", ["img0", "img1", "img2"])
def test_the_network_s_own_maps_as_the_reference(cases_npz, image):
  at = f"{image}/n24"
  points = cases_npz[f"{at}/forward/points"]
  mask = cases_npz[f"{at}/forward/mask"] > 0.5
  for prefix, given in (("", None), ("fov60_", ...)):
    expected = cases_npz[f"{at}/{prefix}focal_shift"]
    given = None if given is None else expected[:1]
    got = _recover(points, mask, focal=given)
    np.testing.assert_allclose(got, expected, **_CLOSE)
    expected = cases_npz[f"{at}/{prefix}focal_shift_converged"]
    got = _recover(points, mask, focal=given, ftol=0)
    np.testing.assert_allclose(got, expected, **_CLOSE)


def test_a_canvas_is_its_map():
  rng = np.random.default_rng(0)
  for size in ((64, 64), (37, 113), (1, 50)):
    points, mask, _ = _scene(rng, size, 1.1, noise=0.02)
    alone = np.array(solve.recover(points[None], mask[None]))[:, 0]
    np.testing.assert_allclose(_recover(points, mask), alone, rtol=1e-6)


@pytest.mark.parametrize("size", [(64, 64), (37, 113), (128, 11), (97, 64)])
def test_sampled_pixels_and_no_others_count(size):
  points, mask, _ = _scene(np.random.default_rng(1), size, 1.1, noise=0.02)
  expected = _recover(points, mask)
  sampled = np.zeros(size, bool)
  sampled[np.ix_(*(np.arange(64) * n // 64 for n in size))] = True
  np.testing.assert_array_equal(_recover(points, mask & sampled), expected)
  row, column = np.argwhere(mask & sampled)[100]
  mask[row, column] = False
  assert (_recover(points, mask) != expected).any()


def test_junk_outside_the_mask_is_never_seen():
  points, mask, _ = _scene(np.random.default_rng(2), (90, 70), 1.1, noise=0.02)
  expected = _recover(points, mask)
  for junk in (np.nan, np.inf, -np.inf, 0.0, -1.0, 3e38):
    points[~mask] = junk
    np.testing.assert_array_equal(_recover(points, mask), expected)
  # And what is not finite, or at the camera, is left out within the mask, too.
  points[~mask] = np.nan
  np.testing.assert_array_equal(_recover(points), expected)
  points[~mask] = (1, 1, 0)
  np.testing.assert_array_equal(_recover(points), expected)


@hypothesis.settings(deadline=None)  # the first example compiles
@hypothesis.given(
  st.floats(0.3, 4),
  st.integers(12, _CANVAS),
  st.integers(12, _CANVAS),
  st.integers(0, 2**32 - 1),
)
def test_a_pinhole_s_focal_and_shift_return(focal, height, width, seed):
  rng = np.random.default_rng(seed)
  points, mask, shift = _scene(rng, (height, width), focal)
  hypothesis.assume(mask.sum() > 50)
  got = _recover(points, mask, ftol=0)
  # The points' own rounding, 6e-8, counts up to a thousandfold in flat scenes.
  far = points[mask][:, 2].max() + abs(shift)
  np.testing.assert_allclose(got[0], focal, rtol=1e-4)
  np.testing.assert_allclose(got[1], shift, atol=1e-4 * far)
  shift_alone = _recover(points, mask, focal=focal, ftol=0)[1]
  np.testing.assert_allclose(shift_alone, shift, atol=5e-6 * far)


def _noisy(count, seed):
  rng = np.random.default_rng(seed)
  for _ in range(count):
    size = tuple(rng.integers(30, _CANVAS + 1, 2))
    focal = np.exp(rng.uniform(np.log(0.4), np.log(3)))
    yield _scene(rng, size, focal, noise=10 ** rng.uniform(-3, -1))[:2]


def _scipy(points, mask, focal=None):
  tight = dict.fromkeys(("ftol", "xtol", "gtol"), 1e-14)
  fun = functools.partial(_residuals, points, mask, focal=focal)
  return optimize.least_squares(fun, 0.0, method="lm", **tight).x[0]


@pytest.mark.parametrize(
  "count", [50, pytest.param(1000, marks=pytest.mark.slow)]
)
def test_never_worse_than_scipy(count):
  scenes = list(_noisy(count, seed=0))
  batch, size = _canvas([p for p, _ in scenes])
  masks, _ = _canvas([m for _, m in scenes], junk=True)
  focals, shifts = solve.recover(batch, masks, size=size, ftol=0)
  fixed = np.float32(1.0)
  _, fixed_shifts = solve.recover(batch, masks, size=size, ftol=0, focal=fixed)
  for i, (points, mask) in enumerate(scenes):
    theirs = _scipy(points, mask)
    best = _cost(points, mask, theirs)
    ours = _cost(points, mask, float(shifts[i]), focal=float(focals[i]))
    assert ours <= best * (1 + 1e-6), i
    far = np.median(points[mask][:, 2]) + abs(theirs)
    assert abs(shifts[i] - theirs) <= 1e-4 * far, i
    if i % 10 == 0:
      theirs = _scipy(points, mask, focal=1.0)
      best = _cost(points, mask, theirs, focal=1.0)
      ours = _cost(points, mask, float(fixed_shifts[i]), focal=1.0)
      assert ours <= best * (1 + 1e-6), i


def test_64_maps_in_one_program_as_one_by_one(focal_npz):
  scenes = list(_noisy(62, seed=1))
  # One that is done at once, and one on which Gauss-Newton goes astray.
  scenes.append((scenes[0][0], np.zeros_like(scenes[0][1])))
  hard = focal_npz["illposed_negative_z/points"]
  scenes.append((hard, focal_npz["illposed_negative_z/mask"]))
  batch, size = _canvas([p for p, _ in scenes])
  masks, _ = _canvas([m for _, m in scenes], junk=True)
  before = solve._recover._cache_size()
  together = np.array(solve.recover(batch, masks, size=size))
  again = solve.recover(batch[::-1], masks[::-1], size=size[::-1], ftol=1e-5)
  assert np.isfinite(again).all()
  assert solve._recover._cache_size() == before + 1
  alone = np.transpose([_recover(*scene) for scene in scenes])
  np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


@hypothesis.settings(deadline=None)
@hypothesis.given(st.integers(0, 2**32 - 1), st.sampled_from([1e-3, 0]))
def test_no_step_does_harm(seed, ftol):
  rng = np.random.default_rng(seed)
  # Nothing like a camera's picture: Gauss-Newton overshoots time and again.
  points = rng.standard_normal((20, 20, 3)) * rng.uniform(0.1, 3, 3)
  points[..., 2] = np.exp(points[..., 2])
  if seed % 4 == 0:
    points[..., 2] -= rng.uniform(0, 2)  # poles on the way
  points, mask = points.astype(np.float32), rng.random((20, 20)) < 0.5
  focal, shift = map(float, _recover(points, mask, ftol=ftol))
  nearest = points[mask][:, 2].min()
  assert nearest <= 0 or nearest + shift > 0
  ours = _cost(points, mask, shift, focal=focal)
  # Each of a hundred trials may add 1e-6, which float32 cannot see.
  assert ours <= _cost(points, mask, 0.0) * (1 + 1e-4)


def test_a_known_centred_camera_is_a_known_focal():
  rng = np.random.default_rng(6)
  points, mask, _ = _scene(rng, (90, 60), 1.3, noise=0.1)
  mask &= rng.random(mask.shape) < 0.03
  focal = 1.2
  fov_y, fov_x = 2 * np.arctan(np.array([90, 60]) / np.hypot(90, 60) / focal)
  k = geometry.intrinsics_from_fov(np.float32(fov_x), np.float32(fov_y))
  for ftol in (0.3, 1e-3, 0):
    shift = solve.recover_shift(points[None], mask[None], k, ftol=ftol)
    expected = _recover(points, mask, focal=focal, ftol=ftol)[1]
    np.testing.assert_allclose(shift, expected, rtol=2e-6)


def test_a_camera_off_centre():
  rng = np.random.default_rng(5)
  k = np.array(
    [
      [[0.9, 0.05, 0.3], [0, 1.4, 0.62], [0, 0, 1]],
      [[0.7, 0, 0.5], [0, 0.6, 0.4], [0, 0, 1]],
    ],
    np.float32,
  )
  sizes = ((50, 80), (100, 70))
  true = np.array([0.8, -0.4], np.float32)
  maps = []
  for one, size, shift in zip(k, sizes, true, strict=True):
    depth = _scene(rng, size, 1.0)[0][..., 2]
    points = geometry.unproject(depth / depth.min() + shift, one)
    maps.append(points - np.array([0, 0, shift], np.float32))
  batch, size = _canvas(maps)
  shift = solve.recover_shift(batch, None, k, size=size)
  np.testing.assert_allclose(shift, true, atol=2e-5)
  centred = k.copy()
  centred[:, :2, 2] = 0.5
  wrong = solve.recover_shift(batch, None, centred, size=size)
  assert (np.abs(wrong - true) > 0.05).all()
  one = solve.recover_shift(batch[:1], None, k[0], size=size[:1])
  np.testing.assert_allclose(one, true[:1], atol=2e-5)


@pytest.mark.parametrize("x64", [False, True])
def test_inside_another_jit_and_in_float32(x64):
  points, mask, _ = _scene(np.random.default_rng(6), (90, 60), 1.3, noise=0.03)
  expected = _recover(points, mask)
  with jax.enable_x64(x64):
    batch, size = _canvas([points])
    masks, _ = _canvas([mask])

    @jax.jit
    def outer(points, mask, size):
      focal, shift = solve.recover(points, mask, size=size)
      _, again = solve.recover(points, mask, size=size, focal=focal)
      return focal, shift, again

    got = outer(jnp.asarray(batch), masks, size)
    assert {a.dtype for a in got} == {jnp.dtype("float32")}
    np.testing.assert_allclose(np.array(got)[:2, 0], expected, rtol=1e-6)
    # No array of float64; weak Python numbers may pass by as scalars.
    assert "xf64" not in outer.lower(jnp.asarray(batch), masks, size).as_text()


def test_what_does_not_fit_is_refused():
  points = np.ones((2, 8, 9, 3), np.float32)
  with pytest.raises(ValueError, match=r"points are \(8, 9, 3\), expected"):
    solve.recover(points[0])
  with pytest.raises(ValueError, match=r"mask is \(2, 9, 8\), expected"):
    solve.recover(points, np.ones((2, 9, 8), bool))
  with pytest.raises(ValueError, match=r"size is \(2,\), expected \(2, 2\)"):
    solve.recover(points, size=(8, 9))
  with pytest.raises(ValueError, match=r"\[8, 10\]\], expected 1 to \(8, 9\)"):
    solve.recover(points, size=[(8, 9), (8, 10)])
  with pytest.raises(ValueError, match=r"intrinsics are \(3, 3, 3\), expected"):
    solve.recover_shift(points, None, np.ones((3, 3, 3)))
