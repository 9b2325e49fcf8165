"""Cameras and boxes: inverses, conventions written out, reference tables."""

import json
import math

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

from hispatial_jax.core import geometry

_fov = st.floats(0.25, 2.0, width=32)


@st.composite
def _intrinsics(draw):
  k = np.eye(3, dtype=np.float32)
  k[0, 0], k[1, 1] = draw(st.floats(0.3, 4)), draw(st.floats(0.3, 4))
  k[0, 1] = draw(st.floats(-0.2, 0.2))
  k[0, 2], k[1, 2] = draw(st.floats(0.2, 0.8)), draw(st.floats(0.2, 0.8))
  return k


@hypothesis.given(
  _intrinsics(), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1)
)
def test_project_inverts_unproject(k, height, width, seed):
  depth = np.random.default_rng(seed).uniform(0.05, 80, (height, width))
  points = geometry.unproject(depth.astype(np.float32), k)
  u, v = geometry.pixel_centres((height, width))
  expected = np.stack(np.meshgrid(u, v), axis=-1)
  # f32: coordinates of at most 1, divided and multiplied by up to 4.
  np.testing.assert_allclose(geometry.project(points, k), expected, atol=5e-6)
  np.testing.assert_array_equal(points[..., 2], depth.astype(np.float32))


@hypothesis.given(_fov, _fov)
def test_fov_inverts_intrinsics(fov_x, fov_y):
  k = geometry.intrinsics_from_fov(fov_x, fov_y)
  np.testing.assert_allclose(
    geometry.fov_from_intrinsics(k), (fov_x, fov_y), rtol=2e-6
  )
  geometry.check_intrinsics(k)


def test_unproject_written_out():
  k = geometry.intrinsics_from_fov(math.pi / 2, math.pi / 2)
  points = geometry.unproject(np.array([[2, 4]], np.float32), k)
  # Pixel centres at u = 1/4 and 3/4, v = 1/2; f = 1/2.
  np.testing.assert_allclose(points, [[[-1, 0, 2], [2, 0, 4]]], atol=1e-6)


def test_unknown_and_sky_stay_visible():
  depth = np.array([[np.nan, np.inf]], np.float32)
  points = geometry.unproject(depth, geometry.intrinsics_from_fov(1.0, 1.0))
  assert np.isnan(points[0, 0]).all()
  assert np.isinf(points[0, 1, 2])


def test_jax_equals_numpy_and_batches():
  rng = np.random.default_rng(0)
  depth = rng.uniform(0.5, 9, (3, 5, 7)).astype(np.float32)
  k = geometry.intrinsics_from_fov(
    np.array([0.8, 1.0, 1.2], np.float32), np.array([0.7, 0.9, 1.1], np.float32)
  )
  points = geometry.unproject(depth, k)
  for i in range(3):
    single = geometry.unproject(depth[i], k[i])
    np.testing.assert_array_equal(points[i], single)
  on_jax = jax.jit(geometry.unproject)(jnp.asarray(depth), jnp.asarray(k))
  assert isinstance(on_jax, jax.Array)
  np.testing.assert_allclose(on_jax, points, rtol=1e-6, atol=1e-6)
  uv = geometry.project(points, k)
  np.testing.assert_allclose(
    jax.jit(geometry.project)(jnp.asarray(points), jnp.asarray(k)),
    uv,
    atol=1e-6,
  )
  down = np.array([0.1, 0.9, 0.3], np.float32)
  frame, ok = jax.jit(geometry.level_frame)(jnp.asarray(down))
  assert bool(ok)
  np.testing.assert_allclose(frame, geometry.level_frame(down)[0], atol=1e-6)
  axes = jnp.asarray(geometry.object_axes(30.0))
  box = (np.ones(3, np.float32), np.array([1, 2, 3], np.float32))
  np.testing.assert_allclose(
    geometry.box_corners(*map(jnp.asarray, box), axes),
    geometry.box_corners(*box, np.asarray(axes)),
    atol=1e-6,
  )


def test_nearest_equals_reference_tables(golden):
  text = (golden / "hispatial_data" / "reference.json").read_text()
  expected = json.loads(text)["functions"]["nearest_resize"]
  for name, table in expected["index_tables"].items():
    source, target = map(int, name.split("->"))
    assert geometry.nearest_indices(source, target).tolist() == table
  differs = expected["source_sizes_where_exact_integer_floor_differs"]
  for target, sizes in differs.items():
    target = int(target)
    exact = np.arange(target)
    found = [
      n
      for n in range(1, max(sizes) + 1)
      if (geometry.nearest_indices(n, target) != exact * n // target).any()
    ]
    assert found == sizes


def test_resize_nearest_takes_rows_and_columns():
  x = np.arange(4 * 6 * 2).reshape(4, 6, 2)
  small = geometry.resize_nearest(x, (2, 3))
  np.testing.assert_array_equal(small, x[::2, ::2])
  on_jax = geometry.resize_nearest(jnp.asarray(x), (2, 3))
  np.testing.assert_array_equal(on_jax, small)


def test_box_corners_written_out():
  corners = geometry.box_corners(
    np.array([1, 2, 3]), np.array([2, 4, 6]), np.eye(3)
  )
  expected = [
    [0, 0, 0], [2, 0, 0], [0, 4, 0], [2, 4, 0],
    [0, 0, 6], [2, 0, 6], [0, 4, 6], [2, 4, 6],
  ]  # fmt: skip
  np.testing.assert_array_equal(corners, expected)


@pytest.mark.parametrize(
  ("yaw", "forward", "right"),
  [
    (0, (0, 0, 1), (1, 0, 0)),
    (90, (1, 0, 0), (0, 0, -1)),
    (180, (0, 0, -1), (-1, 0, 0)),
    (-90, (-1, 0, 0), (0, 0, 1)),
  ],
)
def test_yaw_convention(yaw, forward, right):
  axes = geometry.object_axes(yaw)
  np.testing.assert_allclose(axes[:, 0], right, atol=1e-6)
  np.testing.assert_array_equal(axes[:, 1], (0, -1, 0))
  np.testing.assert_allclose(axes[:, 2], forward, atol=1e-6)


@hypothesis.given(st.floats(-60, 60), st.floats(-20, 20))
def test_level_frame_undoes_pitch_and_roll(pitch_deg, roll_deg):
  p, r = math.radians(pitch_deg), math.radians(roll_deg)
  level = np.array([0, math.cos(p), math.sin(p)])
  turn = np.array(
    [[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]]
  )
  frame, ok = geometry.level_frame(3 * turn @ level)
  assert ok
  np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-5)
  assert np.linalg.det(frame) == pytest.approx(1, abs=1e-5)
  np.testing.assert_allclose(frame @ turn @ level, [0, 1, 0], atol=1e-5)
  view = frame @ np.array([0, 0, 1], np.float32)
  assert abs(view[0]) < 1e-5  # the heading is kept
  assert view[2] > 0


def test_level_frame_without_heading():
  frame, ok = geometry.level_frame(np.array([0, 0, 1]))
  assert not ok
  np.testing.assert_allclose(frame, [[1, 0, 0], [0, 0, 1], [0, -1, 0]])


def test_check_intrinsics_lists_what_is_wrong():
  pixels = np.array([[500, 0, 320], [0, 500, 240], [0, 0, 1]], np.float32)
  with pytest.raises(ValueError, match="divide the first row"):
    geometry.check_intrinsics(pixels)
  pixels[2, 2] = 2
  with pytest.raises(ValueError, match=r"divide.*expected \[\[fx"):
    geometry.check_intrinsics(pixels)
  with pytest.raises(ValueError, match="shape"):
    geometry.check_intrinsics(np.eye(4))
  with pytest.raises(ValueError, match="not finite"):
    geometry.check_intrinsics(np.full((3, 3), np.nan))
  with pytest.raises(ValueError, match="positive"):
    geometry.check_intrinsics(np.diag([1, -1, 1]))


def test_check_depth():
  geometry.check_depth(np.array([[0, np.nan, np.inf, 3]], np.float32))
  with pytest.raises(ValueError, match="2 of 3 values are negative"):
    geometry.check_depth(np.array([[-1, -2, 3]], np.float32))
  with pytest.raises(ValueError, match="uint16"):
    geometry.check_depth(np.ones((2, 2), np.uint16))
  with pytest.raises(ValueError, match="shape"):
    geometry.check_depth(np.ones((2, 2, 1), np.float32))
