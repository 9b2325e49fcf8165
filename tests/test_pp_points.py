"""The point map of a tiny depth map, written out."""

import numpy as np
import pytest

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
