"""Depth and pictures survive their coding; what is broken is named."""

import cv2
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis.extra import numpy as hnp

from hispatial_jax.pp import codec, headers

_METRES = st.floats(float(np.float32(0.2)), 250, width=32)
_DEPTH = _METRES | st.sampled_from([0.0, np.nan, np.inf])


@hypothesis.given(hnp.arrays(np.float32, (3, 5), elements=_DEPTH))
def test_depth_round_trip_is_within_2e_4(depth):
  codes, near, far = codec.encode_depth(depth)
  back = codec.decode_depth(codec.read_png(codec.write_png(codes)), near, far)
  np.testing.assert_array_equal(np.isnan(back), np.isnan(depth) | (depth == 0))
  np.testing.assert_array_equal(back == np.inf, depth == np.inf)
  known = np.isfinite(depth) & (depth > 0)
  # Half a step of ln(1250) / 65533 is 5.4e-5, the rest is f32.
  np.testing.assert_allclose(back[known], depth[known], rtol=6e-5)


def test_depth_round_trip_over_the_whole_range():
  depth = np.geomspace(0.2, 250, 200_000, dtype=np.float32).reshape(400, 500)
  back = codec.decode_depth(*codec.encode_depth(depth))
  error = np.abs(back / depth - 1).max()
  assert 5e-5 < error < 6e-5  # as above; smaller would mean another coding


def test_depth_codes_exact():
  depth = np.array([[0, np.nan, np.inf], [1, 4, 1]], np.float32)
  codes, near, far = codec.encode_depth(depth)
  assert codes.tolist() == [[0, 0, 65535], [1, 65534, 1]]
  assert (near, far) == (1.0, 4.0)
  back = codec.decode_depth(codes, near, far)
  assert np.isnan(back[0, :2]).all()
  assert back[0, 2] == np.inf
  np.testing.assert_allclose(back[1], [1, 4, 1], rtol=6e-5)


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_depth_without_a_range(value):
  depth = np.full((2, 2), value, np.float32)
  back = codec.decode_depth(*codec.encode_depth(depth))
  np.testing.assert_allclose(back, depth if value else np.nan)


@pytest.mark.parametrize("span", [(0, 1), (2, 1), (1, np.inf), (np.nan, 1)])
def test_decode_depth_refuses_what_is_no_range(span):
  with pytest.raises(codec.BadInput, match="no range"):
    codec.decode_depth(np.ones((2, 2), np.uint16), *span)


def _picture(size=40):
  noise = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
  return cv2.resize(noise, (size, size), interpolation=cv2.INTER_LINEAR)


def test_jpeg_round_trip():
  image = _picture()
  back = codec.read_image(codec.write_jpeg(None, image, 95))
  assert np.abs(back.astype(int) - image).mean() < 6


@pytest.mark.parametrize("kind", [".jpg", ".png"])
def test_truncated_pictures_are_found_at_every_length(kind):
  data = cv2.imencode(kind, _picture())[1].tobytes()
  codec.read_image(data)
  for length in range(0, len(data) - 1, 7):
    with pytest.raises(codec.BadInput):
      codec.read_image(data[:length])


def test_a_thumbnail_does_not_hide_a_truncation():
  data = cv2.imencode(".jpg", _picture())[1].tobytes()
  thumbnail = cv2.imencode(".jpg", _picture(8))[1].tobytes()
  segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
  whole = data[:2] + segment + data[2:]
  assert headers.jpeg_end(whole) == len(whole)
  with pytest.raises(codec.BadInput, match="truncated"):
    codec.read_image(whole[:-40])


def test_what_follows_a_jpeg_is_cut():
  data = cv2.imencode(".jpg", _picture())[1].tobytes()
  image = codec.read_image(data + b"\0\0trailer")
  assert codec.write_jpeg(data + b"\0\0trailer", image, 95) == data


@pytest.mark.parametrize(
  ("given", "reason"),
  [
    (None, "missing"),
    (b"", "missing"),
    (b"%PDF-1.4", "expected JPEG, PNG"),
    (np.zeros((4, 4), np.uint8), "must be uint8"),
    (np.zeros((4, 4, 3), np.float32), "must be uint8"),
  ],
)
def test_check_image_refuses(given, reason):
  with pytest.raises(codec.BadInput, match=reason):
    codec.check_image(given)


def test_check_sizes():
  codec.check_sizes((30, 40), (480, 640))
  codec.check_sizes((31, 40), (480, 640))
  with pytest.raises(ValueError, match="another size: 40x40"):
    codec.check_sizes((40, 40), (480, 640))


def test_png_of_depth():
  codes = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
  data = codec.write_png(codes)
  np.testing.assert_array_equal(codec.read_png(data), codes)
  with pytest.raises(codec.BadInput, match="truncated"):
    codec.read_png(data[:-5])
  with pytest.raises(codec.BadInput, match="no uint16"):
    codec.read_png(cv2.imencode(".png", _picture())[1].tobytes())


def test_smooth_depth_takes_few_bytes_and_noise_not_more_than_it_has_to():
  smooth = (20_000 + 90 * np.mgrid[:64, :64].sum(0)).astype(np.uint16)
  noise = np.random.default_rng(0).integers(1, 65_000, (64, 64))
  for codes, most in ((smooth, 1_000), (noise.astype(np.uint16), 8_400)):
    data = codec.write_png(codes)
    assert len(data) < most
    np.testing.assert_array_equal(codec.read_png(data), codes)
