"""Image operations on tiny pictures."""

import numpy as np
import pytest

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


@pytest.mark.parametrize("shape", [(5, 7, 3), (2, 4, 4, 3), (6,), (0, 4, 3)])
def test_normalise_is_the_processors_arithmetic(shape):
  picture = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
  want = ((picture / 255 - 0.5) / 0.5).astype(np.float32)
  np.testing.assert_array_equal(image.normalise(picture), want)
  out = np.zeros(shape, np.float32)
  assert image.normalise(picture, out) is out
  np.testing.assert_array_equal(out, want)
  np.testing.assert_array_equal(image.normalise(want), want)


def test_normalise_writes_into_one_piece_only():
  with pytest.raises(ValueError, match="copy"):
    image.normalise(
      np.zeros((4, 4, 3), np.uint8), np.zeros((4, 8, 3), np.float32)[:, ::2]
    )
