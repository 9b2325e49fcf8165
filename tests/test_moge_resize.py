"""Resize matrices against torch's own numbers and by hand."""

import golden_moge
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from hispatial_jax.moge import resize

_SIDES = st.integers(1, 60)


@pytest.fixture
def stored(golden):
  return golden_moge.arrays(golden, "modules.npz")


@pytest.mark.parametrize(
  ("kind", "matrix"),
  [
    ("bilinear", resize.bilinear_matrix),
    ("bilinear_antialias", resize.antialias_matrix),
  ],
)
def test_torch_resizes_alike(kind, matrix, stored):
  x = stored["resize/x"]
  sizes = [n.split("/")[2] for n in stored if n.startswith(f"resize/{kind}/")]
  assert len(sizes) == 6
  for size in sizes:
    h, w = map(int, size.split("x"))
    rows, columns = matrix(31, h), matrix(44, w)
    assert rows.dtype == columns.dtype == np.float32
    found = np.einsum("hH,wW,BCHW->BChw", rows, columns, x)
    want = stored[f"resize/{kind}/{size}"]
    # torch counts source positions in float32: 1e-6 of a pixel.
    np.testing.assert_allclose(found, want, atol=2e-5, err_msg=size)


def test_nearest_takes_torchs_pixels(stored):
  x = stored["resize/x"]
  for h, w in ((64, 64), (9, 50)):
    rows, columns = resize.nearest_index(31, h), resize.nearest_index(44, w)
    found = x[:, :, rows][..., columns]
    np.testing.assert_array_equal(found, stored[f"resize/nearest/{h}x{w}"])


def test_token_grids_of_154_images(stored):
  table = stored["token_grid/H_W_n_rows_cols"].tolist()
  assert len(table) == 154
  for height, width, num_tokens, rows, columns in table:
    found = resize.token_grid(height, width, num_tokens)
    assert found == (rows, columns), (height, width, num_tokens)


def test_halves_of_a_token_round_to_even():
  # sqrt(36 * 9 / 16) = 4.5 rows, sqrt(100 * 9 / 16) = 7.5 rows.
  assert resize.token_grid(9, 16, 36) == (4, 8)
  assert resize.token_grid(9, 16, 100)[0] == 8
  with pytest.raises(ValueError, match="10 x 4000 has no patch at num_tokens"):
    resize.token_grid(10, 4000, 50)


def test_by_hand():
  np.testing.assert_allclose(
    resize.bilinear_matrix(2, 4),
    [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]],
    atol=1e-7,
  )
  # Halving: bilinear sees two pixels, the wide triangle four.
  np.testing.assert_allclose(
    resize.bilinear_matrix(4, 2), [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]
  )
  np.testing.assert_allclose(
    resize.antialias_matrix(4, 2),
    [[3 / 7, 3 / 7, 1 / 7, 0], [0, 1 / 7, 3 / 7, 3 / 7]],
    atol=1e-7,
  )
  # Source coordinate 0.5 * 2 / (1 + 0.1) - 0.5 of the only output.
  at = 0.5 * 2 / 1.1 - 0.5
  left, far = (1 - at), (2 - at)
  near = 1.25 * at**3 - 2.25 * at**2 + 1
  next_to = 1.25 * left**3 - 2.25 * left**2 + 1
  beyond = -0.75 * (far**3 - 5 * far**2 + 8 * far - 4)
  before = 1 - near - next_to - beyond
  found = resize.position_matrix(2, 1)[0]
  np.testing.assert_allclose(
    found, [before + near, next_to + beyond], atol=1e-6
  )
  np.testing.assert_allclose(
    resize.position_matrix(2, 1, offset=0), [[0.5] * 2]
  )


@pytest.mark.parametrize(
  "matrix",
  [
    resize.bilinear_matrix,
    resize.antialias_matrix,
    resize.position_matrix,
    lambda i, o: resize.position_matrix(i, o, 0.0, True),
  ],
)
@hypothesis.given(n_in=_SIDES, n_out=_SIDES)
@hypothesis.settings(max_examples=50)
def test_a_constant_stays_constant(matrix, n_in, n_out):
  found = matrix(n_in, n_out)
  assert found.shape == (n_out, n_in)
  assert found.dtype == np.float32
  np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
  "matrix", [resize.bilinear_matrix, resize.antialias_matrix]
)
@hypothesis.given(n=_SIDES)
@hypothesis.settings(max_examples=20)
def test_the_same_size_changes_nothing(matrix, n):
  np.testing.assert_array_equal(matrix(n, n), np.eye(n))
