"""Which part an example is from: exact shares, the same at every restart."""

import collections

import numpy as np
import pytest

from hispatial_jax.data import mixture

_PAPER = {"coyo": 0.35, "o365": 0.33, "general": 0.12, "ca1m": 0.2}


def _made(weights=None, **options):
  options = {"batch_size": 64, "seed": 3, **options}
  return mixture.Mixture(weights or _PAPER, **options)


def _counts(mix, positions):
  found = collections.Counter(mix(position)[0] for position in positions)
  return np.array([found[n] for n in range(len(mix.shares(0)))])


def test_every_part_comes_in_its_own_order():
  mix = _made()
  found = {number: [] for number in range(4)}
  for position in range(2500):
    number, index = mix(position)
    found[number].append(index)
  for indices in found.values():
    assert indices == list(range(len(indices)))


def test_shares_over_20000_draws():
  counts = _counts(_made(), range(20_000))
  np.testing.assert_allclose(counts / 20_000, list(_PAPER.values()), atol=1e-4)
  # One process of three sees them but for chance: 0.3 points is one sigma.
  mine = _counts(_made(), range(1, 60_000, 3))
  np.testing.assert_allclose(mine / 20_000, list(_PAPER.values()), atol=0.01)


def test_rounding_is_made_up_for():
  weights = {"a": 1, "b": 1, "c": 1, "d": 0.01}
  mix = _made(weights, block=10)
  wanted = np.array([1, 1, 1, 0.01]) / 3.01
  for blocks in (1, 7, 40, 500):
    counts = _counts(mix, range(10 * blocks))
    assert np.abs(counts - wanted * 10 * blocks).max() < 2


def test_any_position_first_and_the_same_again():
  ahead = [_made()(position) for position in (123_456, 7, 99_999)]
  mix = _made()
  behind = {position: mix(position) for position in (7, 99_999, 123_456)}
  assert ahead == [behind[position] for position in (123_456, 7, 99_999)]
  other = [_made(seed=4)(position)[0] for position in range(300)]
  assert other != [mix(position)[0] for position in range(300)]
  assert mix(0) != mix(1000)


def test_a_curriculum_is_linear_between_its_steps():
  mix = _made({"a": 1.0, "b": [[100, 0.0], [300, 3.0]]}, batch_size=100)
  assert mix.shares(0) == mix.shares(100) == {"a": 1.0, "b": 0.0}
  assert mix.shares(200) == pytest.approx({"a": 0.4, "b": 0.6})
  assert mix.shares(900) == {"a": 0.25, "b": 0.75}
  # Blocks of 1000 positions are ten steps of a hundred.
  assert _counts(mix, range(11_000)).tolist() == [11_000, 0]
  assert _counts(mix, range(20_000, 21_000)).tolist() == [400, 600]
  assert _counts(mix, range(60_000, 64_000)).tolist() == [1000, 3000]


def test_a_part_whose_weight_is_gone_gives_nothing_more():
  weights = {"a": [[0, 1], [1, 0]], "b": 2, "c": 2}
  mix = _made(weights, batch_size=10, block=7)
  assert _counts(mix, range(7))[0] > 0
  assert _counts(mix, range(14, 1400))[0] == 0


@pytest.mark.parametrize(
  ("shares", "owed", "counts"),
  [
    ([0.26, 0.74], [0, 0], [3, 7]),
    ([0.25, 0.75], [0.5, -0.5], [3, 7]),
    # A part without a share gets nothing, whatever it is owed.
    ([0, 0.5, 0.5], [0.9, -0.45, -0.45], [0, 5, 5]),
    # None gets less than nothing.
    ([0.01, 0.01, 0.98], [-0.6, -0.6, 1.2], [0, 0, 10]),
  ],
)
def test_dealing_ten(shares, owed, counts):
  shares, owed = np.array(shares, float), np.array(owed, float)
  got, left = mixture.deal(shares, owed, 10)
  assert got.tolist() == counts
  np.testing.assert_allclose(left, shares * 10 + owed - counts)


@pytest.mark.parametrize(
  ("weights", "message"),
  [
    ({"a": -1, "b": "x"}, r"a: -1; b: 'x'"),
    ({"a": [[5, 1], [5, 2]]}, "rising steps"),
    ({"a": [[0, 1], [9, float("nan")]]}, "nan"),
    ({"a": [[0, 1], [9, 0]], "b": 0}, "all weights are 0 at step 9"),
  ],
)
def test_weights_out_of_form(weights, message):
  with pytest.raises(ValueError, match=message):
    _made(weights)
