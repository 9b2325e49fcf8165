"""Attention masks and positions, written out."""

import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hispatial_jax.models import masks


def _mask(text):
  return np.array([[int(c) for c in row] for row in text.split()], bool)


def test_prefix_is_mutual_and_suffix_causal():
  mask_ar = jnp.array([[0, 0, 1, 1]])  # question question answer padding
  real = jnp.array([[True, True, True, False]])
  got = masks.image_and_text(2, mask_ar, real)
  want = _mask("""
    111100
    111100
    111100
    111100
    111110
    000000
  """)
  np.testing.assert_array_equal(got[0], want)


def test_text_behind_an_image_that_does_not_see_it():
  mask_ar = jnp.array([[0, 0, 1, 1]])
  real = jnp.array([[True, True, True, False]])
  got = masks.text_after_image(2, mask_ar, real)
  want = _mask("""
    111100
    111100
    111110
    110000
  """)
  np.testing.assert_array_equal(got[0], want)


def test_padding_does_not_shift_positions():
  real = jnp.array([[1, 1, 0, 0, 1]], bool)
  got = masks.positions(2, real)
  np.testing.assert_array_equal(got, [[0, 1, 2, 3, 3, 3, 4]])


@settings(deadline=None, max_examples=20)
@given(
  st.integers(1, 4), st.integers(0, 4), st.integers(0, 3), st.integers(0, 3)
)
def test_masks_by_their_rule(image, prefix, suffix, padding):
  text = prefix + suffix + padding
  mask_ar = jnp.array([[0] * prefix + [1] * (suffix + padding)], jnp.int32)
  real = jnp.array([[True] * (prefix + suffix) + [False] * padding], bool)
  got = masks.image_and_text(image, mask_ar, real)[0]
  start, end = image + prefix, image + prefix + suffix
  for i in range(image + text):
    for j in range(image + text):
      allowed = (j < start or j <= i) and max(i, j) < end
      assert got[i, j] == allowed
