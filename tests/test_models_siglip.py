"""The vision tower's position tables, by numbers worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hispatial_jax.models import siglip


def _table(width=16, image_size=42, **changes):
  """[1,P,D], the position table of a new tower with patches of 14 px."""
  model = siglip.Model(
    width=width,
    depth=1,
    mlp_dim=8,
    num_heads=1,
    num_outputs=8,
    image_size=image_size,
    **changes,
  )
  image = jnp.zeros((1, image_size, image_size, 3))
  params = jax.jit(model.init)(jax.random.key(0), image)["params"]
  return np.asarray(params["pos_embedding"])


def test_waves_are_sin_and_cos_of_row_then_column():
  table = _table(wave_positions=True)
  assert table.shape == (1, 3 * 3, 16)
  assert table.dtype == np.float32
  # A quarter is 4 wide: 10000 ** -(0, 1, 2, 3) / 4.
  freqs = np.array([1.0, 0.1, 0.01, 0.001])
  for row, column in ((0, 0), (0, 1), (1, 0), (2, 1)):
    angles = (row * freqs, column * freqs)
    want = [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
    got = table[0, 3 * row + column]
    np.testing.assert_allclose(got, np.concatenate(want), atol=1e-6)
  first = [0, 0, 0, 0, 1, 1, 1, 1, 0.841471, 0.0998334, 0.00999983, 0.001]
  np.testing.assert_allclose(table[0, 1, :12], first, atol=1e-6)


def test_waves_leave_what_four_does_not_divide():
  table = _table(width=10, wave_positions=True)
  assert table.shape == (1, 9, 10)
  np.testing.assert_array_equal(table[..., 8:], 0)
  np.testing.assert_array_equal(
    table[..., :8], _table(width=8, wave_positions=True)
  )


def test_noise_is_the_default():
  table = _table(width=64)
  assert table.shape == (1, 9, 64)
  # 576 draws: their deviation from 1 / 8 is 3 percent, one sigma.
  assert abs(table.std() * 8 - 1) < 0.15
  assert np.abs(table - _table(width=64, wave_positions=True)).max() > 0.5


def test_resampled_table_keeps_corners_and_meets_in_the_middle():
  table = jnp.arange(4.0).reshape(1, 4, 1)  # 0 1 / 2 3
  got = siglip.resample_positions(table, (3, 2))
  np.testing.assert_allclose(got[0, :, 0], [0, 1, 1, 2, 2, 3], atol=1e-6)
  same = siglip.resample_positions(table, (2, 2))
  np.testing.assert_allclose(same, table, atol=1e-6)


def test_table_that_is_not_square_is_told():
  with pytest.raises(ValueError, match="table of 6 rows is not square"):
    siglip.resample_positions(jnp.zeros((1, 6, 2)), (3, 3))
