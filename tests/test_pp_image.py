"""Image operations on tiny pictures."""

import numpy as np

from hispatial_jax.pp import image


def test_normalise_is_the_processors_formula():
  got = image.normalise(np.array([0, 51, 255], np.uint8))
  assert got.dtype == np.float32
  np.testing.assert_allclose(got, [-1, -0.6, 1], atol=1e-7)


def test_resize_is_bilinear_without_antialias():
  stripes = np.zeros((1, 8, 3), np.uint8)
  stripes[:, ::2] = 200
  # Half-pixel centres: each output pixel is the mean of two neighbours.
  assert (image.resize(np.repeat(stripes, 8, 0), 4) == 100).all()


def test_jitter_keeps_geometry_and_depends_on_the_generator():
  picture = np.full((4, 4, 3), 100, np.uint8)
  picture[2, 1] = 180
  one = image.jitter(picture, np.random.default_rng(0), 0.3, 0.3, 0.3)
  again = image.jitter(picture, np.random.default_rng(0), 0.3, 0.3, 0.3)
  other = image.jitter(picture, np.random.default_rng(1), 0.3, 0.3, 0.3)
  np.testing.assert_array_equal(one, again)
  assert (one != other).any()
  assert np.argmax(one.sum(-1)) == 2 * 4 + 1
  still = image.jitter(picture, np.random.default_rng(0), 0, 0, 0)
  np.testing.assert_array_equal(still, picture)
