"""The point map of a tiny depth map, written out."""

import numpy as np
import pytest

from hispatial_jax.core import geometry
from hispatial_jax.pp import points

_K = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]], np.float32)


def test_points_exact():
  depth = np.array([[4, 0], [np.nan, 1000]], np.float32)
  got = points.points(depth, _K, 2)
  unknown = [250, 250, 250, 0]
  want = [[[-1, -1, 4, 1], unknown], [unknown, [250, 250, 250, 1]]]
  np.testing.assert_array_equal(got, np.array(want, np.float32))


def test_no_lower_limit_and_the_sky_is_unknown():
  depth = np.array([[2000, np.inf]], np.float32)
  got = points.points(depth, _K, 2)
  assert got[0, 0].tolist() == [-500, 0, 250, 1]
  assert got[0, 1].tolist() == [250, 250, 250, 0]


def test_unprojects_before_it_resizes():
  depth = np.full((4, 4), 1, np.float32)
  got = points.points(depth, _K, 2)
  # Corner aligned: pixels 0 and 2 of four, at their own centres.
  np.testing.assert_allclose(got[0, :, 0], [-0.375, 0.125])
  np.testing.assert_allclose(got[:, 0, 1], [-0.375, 0.125])


def test_drop_points():
  op = points.get_drop_points()
  out = op({"points": np.ones((2, 2, 4), np.float32)})
  assert (out["points"] == 0).all()
  with pytest.raises(ValueError, match="after points"):
    op({})


@pytest.mark.parametrize("native", [(72, 96), (80, 64), (30, 40)])
def test_stored_smaller_is_the_same_point_map(native):
  rng = np.random.default_rng(0)
  depth = rng.uniform(0.5, 9, native).astype(np.float32)
  stored = geometry.resize_nearest(depth, (56, 56))
  want = points.points(depth, _K, 56)
  got = points.points(stored, _K, 56, native=native)
  np.testing.assert_array_equal(got, want)


def test_only_what_stays_is_unprojected_and_nothing_else_changes():
  rng = np.random.default_rng(0)
  depth = rng.uniform(0.5, 400, (72, 96)).astype(np.float32)
  whole = np.minimum(geometry.unproject(depth, _K), 250)
  want = geometry.resize_nearest(whole, (448, 448))
  np.testing.assert_array_equal(points.points(depth, _K, 448)[..., :3], want)


def test_what_unknown_pixels_hold():
  depth = np.array([[0, 35], [np.inf, 4]], np.float32)
  default = points.points(depth, _K, 2, max_depth_m=30)
  assert default[..., 3].tolist() == [[0, 0], [0, 1]]
  assert (default[default[..., 3] == 0, :3] == 250).all()
  assert points.points(depth, _K, 2, unknown_m=0.0)[1, 0].tolist() == [0] * 4
  kept = points.points(depth, _K, 2, max_depth_m=30, unknown_m=None)
  assert kept[0, 0].tolist() == [0] * 4
  assert kept[0, 1].tolist() == [8.75, -8.75, 35, 0]
  assert kept[1, 0].tolist() == [250, 250, 250, 0]


def test_relative_depth():
  depth = np.linspace(2, 4, 101, dtype=np.float32).reshape(1, 101)
  depth[0, 7] = np.nan
  near = points.points(np.tile(depth, (101, 1)), _K, 101)
  got = points.get_relative_depth()({"points": near})["points"]
  assert not got[..., :2].any()
  np.testing.assert_array_equal(got[..., 3], near[..., 3])
  assert got[0, 7].tolist() == [0, 0, 0, 0]
  # 2 % at either end are 0 and 1; between them it is linear.
  assert (got[0, :2, 2] == 0).all()
  assert (got[0, 99:, 2] == 1).all()
  assert got[0, 50, 2] == pytest.approx(0.5, abs=0.01)
  # Neither the unit nor an offset can be told from it.
  far = points.points(np.tile(5 * depth + 3, (101, 1)), _K, 101)
  np.testing.assert_allclose(points.relative_depth(far), got, atol=1e-5)
  nothing = points.points(np.zeros((2, 2), np.float32), _K, 2)
  assert not points.relative_depth(nothing).any()
  flat = points.points(np.ones((2, 2), np.float32), _K, 2)
  assert (points.relative_depth(flat)[..., 2] == 0).all()
  with pytest.raises(ValueError, match="after points"):
    points.get_relative_depth()({})
