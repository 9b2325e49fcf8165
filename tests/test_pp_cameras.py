"""The camera of a point map is found, and what is off its rays."""

import numpy as np
import pytest
import released_fakes

from hispatial_jax.pp import cameras

_CAMERA = [[0.7, 0.0, 0.47], [0.0, 1.1, 0.52], [0.0, 0.0, 1.0]]


def _map(height=40, width=60):
  points = released_fakes.points(height, width, _CAMERA).astype(np.float64)
  return points, np.ones((height, width), bool)


@pytest.mark.parametrize("size", [(40, 60), (150, 200)])
def test_a_camera_is_found_among_wrong_points(size):
  points, known = _map(*size)
  rng = np.random.default_rng(0)
  wrong = rng.random(known.shape) < 0.15
  points[wrong, :2] += rng.normal(0, 5, (wrong.sum(), 2))
  known[:5] = False
  points[:5] = np.inf
  found = cameras.fit(points, known)
  np.testing.assert_allclose(found, _CAMERA, atol=2e-6)
  on_rays = cameras.on_rays(points, found, known)
  np.testing.assert_array_equal(on_rays, known & ~wrong)


def test_noise_is_averaged():
  points, known = _map(150, 200)
  rng = np.random.default_rng(0)
  noise = rng.normal(0, 3e-4, (150, 200, 2))
  points[..., :2] += noise * points[..., 2:]
  # A slope of 4,096 pairs: 1.25 * sqrt(2) * 3e-4 / 64 / 0.3, or 3e-5.
  np.testing.assert_allclose(cameras.fit(points, known), _CAMERA, atol=3e-5)


def test_a_point_may_be_a_thousandth_of_its_depth_beside_the_ray():
  points, known = _map()
  z = points[..., 2]
  matrix = np.array(_CAMERA, np.float32)
  for axis in (0, 1):
    for part, on in ((0.9e-3, True), (1.1e-3, False)):
      moved = points.copy()
      moved[..., axis] += part * z
      assert (cameras.on_rays(moved, matrix, known) == on).all()


def test_what_is_of_no_camera():
  points, known = _map()
  few = np.zeros_like(known)
  few[:3, :3] = True
  with pytest.raises(ValueError, match="9 known points are too few"):
    cameras.fit(points, few)
  with pytest.raises(ValueError, match="0 known points are too few"):
    cameras.fit(points, few & False)
  line = np.zeros_like(known)
  line[:, 7] = True  # a column says nothing of fx
  with pytest.raises(ValueError, match="too few"):
    cameras.fit(points, line)
  mirrored = points * [-1, 1, 1]
  with pytest.raises(ValueError, match="of no pinhole"):
    cameras.fit(mirrored, known)
  flat = points * [0, 0, 1]
  with pytest.raises(ValueError, match="of no pinhole"):
    cameras.fit(flat, known)
