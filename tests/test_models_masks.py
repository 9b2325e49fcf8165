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


def test_segments_share_the_image_only():
  # Two questions of one image, each prefix then suffix, then padding.
  mask_ar = jnp.array([[0, 1, 0, 0, 1, 1]])
  segments = jnp.array([[1, 1, 2, 2, 2, 0]])
  got = masks.image_and_text(2, mask_ar, jnp.ones((1, 6), bool), segments)
  want = _mask("""
    11000000
    11000000
    11100000
    11110000
    11001100
    11001100
    11001110
    11000001
  """)
  np.testing.assert_array_equal(got[0], want)


def test_positions_restart_behind_the_image():
  segments = jnp.array([[1, 1, 2, 2, 2, 0]])
  got = masks.positions(3, jnp.ones((1, 6), bool), segments)
  np.testing.assert_array_equal(got, [[0, 1, 2, 3, 4, 3, 4, 5, 3]])


def test_padding_does_not_shift_positions():
  real = jnp.array([[1, 1, 0, 0, 1]], bool)
  got = masks.positions(2, real)
  np.testing.assert_array_equal(got, [[0, 1, 2, 3, 3, 3, 4]])


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=3))
def test_each_segment_is_as_if_alone(questions):
  mask_ar = [bit for n, m in questions for bit in [0] * n + [1] * m] + [1]
  segments = [
    i for i, nm in enumerate(questions, 1) for _ in range(sum(nm))
  ] + [0]
  real = jnp.ones((1, len(mask_ar)), bool)
  mask = masks.image_and_text(
    2, jnp.array([mask_ar]), real, jnp.array([segments])
  )
  start = 2
  for n, m in questions:
    alone = masks.image_and_text(
      2,
      jnp.array([[0] * n + [1] * m]),
      jnp.ones((1, n + m), bool),
      jnp.ones((1, n + m), jnp.int32),
    )
    rows = slice(start, start + n + m)
    np.testing.assert_array_equal(mask[0, rows, rows], alone[0, 2:, 2:])
    assert mask[0, rows].sum() == alone[0, 2:].sum()
    start += n + m
