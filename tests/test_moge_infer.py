"""Pictures of any size to point maps; numbers are in test_tools_parity."""

import json
import pathlib

import golden_moge
import jax
import numpy as np
import pytest

from hispatial_jax.moge import infer, metric

_GOLDEN = pathlib.Path(__file__).parent / "golden"
_TOKENS = 24


@pytest.fixture(scope="module")
def eyes():
  return _eyes()


def _eyes(dtype="float32"):
  config = golden_moge.config(_GOLDEN)
  return infer.MoGe(config, golden_moge.params(_GOLDEN), dtype=dtype)


@pytest.fixture(scope="module")
def picture():
  return golden_moge.arrays(_GOLDEN, "cases.npz")["img0/image_u8"]


def _same(a, b, rtol=1e-4):
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
    x, y = np.asarray(x), np.asarray(y)
    assert x.shape == y.shape
    finite = np.isfinite(y)
    np.testing.assert_array_equal(np.isfinite(x), finite)
    size = np.abs(y[finite]).max()
    np.testing.assert_allclose(x[finite], y[finite], atol=rtol * size, rtol=0)


def test_a_batch_of_several_sizes_equals_one_by_one(eyes, picture):
  pictures = [picture, picture[:, :97], picture[1:]]
  assert len({eyes.bucket(p.shape[:2], _TOKENS) for p in pictures}) == 1
  together = eyes.infer_batch(pictures, num_tokens=_TOKENS, pad_to=4)
  for one, found in zip(pictures, together, strict=True):
    assert found.depth.shape == one.shape[:2]
    _same(found, eyes.infer(one, num_tokens=_TOKENS))


@pytest.mark.slow
def test_the_order_is_kept_whatever_the_buckets(eyes, picture):
  pictures = [picture, picture.swapaxes(0, 1), picture[:, :97], picture[:40]]
  found = eyes.infer_many(pictures, batch_size=2, num_tokens=_TOKENS)
  for one, alone in zip(pictures, found, strict=True):
    _same(alone, eyes.infer(one, num_tokens=_TOKENS))


def test_pictures_of_a_bucket_share_one_program(eyes, picture):
  eyes.infer_batch([picture], num_tokens=_TOKENS, pad_to=2)
  before = infer.network._cache_size(), metric.point_map._cache_size()
  eyes.infer_batch([picture[:, 1:], picture[2:]], num_tokens=_TOKENS)
  after = infer.network._cache_size(), metric.point_map._cache_size()
  assert after == before


def test_points_are_depth_along_the_rays(eyes, picture):
  found = eyes.infer(picture, num_tokens=_TOKENS)
  h, w = picture.shape[:2]
  mask = np.asarray(found.mask)
  assert 0.1 < mask.mean() < 0.99
  v, u = (np.mgrid[:h, :w] + 0.5) / np.array([h, w])[:, None, None]
  pixels = np.asarray(found.points)[mask] @ np.asarray(found.intrinsics).T
  where = pixels[:, :2] / pixels[:, 2:]
  np.testing.assert_allclose(where[:, 0], u[mask], atol=1e-5)
  np.testing.assert_allclose(where[:, 1], v[mask], atol=1e-5)
  assert np.isinf(np.asarray(found.depth)[~mask]).all()
  lengths = np.linalg.norm(np.asarray(found.normals), axis=-1)
  np.testing.assert_allclose(lengths, mask, atol=1e-5)


def test_a_known_camera_is_kept(eyes, picture):
  h, w = picture.shape[:2]
  by_fov = eyes.infer(picture, num_tokens=_TOKENS, fov_x_deg=70)
  fx = 0.5 / np.tan(np.radians(35))
  assert float(by_fov.intrinsics[0, 0]) == pytest.approx(fx)
  matrix = np.array([[fx, 0, 0.5], [0, fx * w / h, 0.5], [0, 0, 1]], np.float32)
  _same(eyes.infer(picture, num_tokens=_TOKENS, intrinsics=matrix), by_fov)
  matrix[0, 2] = 0.6
  off_centre = eyes.infer(picture, num_tokens=_TOKENS, intrinsics=matrix)
  np.testing.assert_array_equal(off_centre.intrinsics, matrix)
  assert not np.allclose(off_centre.depth, by_fov.depth)


def test_flip_averages_the_mirror_image(eyes, picture):
  """Mirrored input, mirrored output: but for the solver, which looks at the
  left pixel of every 64th of the width."""
  a = eyes.infer(picture, num_tokens=_TOKENS, flip=True, fov_x_deg=60)
  b = eyes.infer(picture[:, ::-1], num_tokens=_TOKENS, flip=True, fov_x_deg=60)
  mirrored = np.asarray(b.depth)[:, ::-1]
  both = np.isfinite(mirrored) & np.isfinite(a.depth)
  assert both.mean() > 0.1
  np.testing.assert_allclose(
    np.asarray(a.depth)[both], mirrored[both], rtol=0.02
  )
  plain = eyes.infer(picture, num_tokens=_TOKENS, fov_x_deg=60)
  assert np.abs(np.asarray(plain.depth)[both] - mirrored[both]).max() > 0.05


def test_average_mirrors_back():
  rng = np.random.default_rng(0)
  raw = {
    "points": rng.normal(size=(1, 2, 4, 3)).astype(np.float32),
    "mask": rng.normal(size=(1, 2, 4)).astype(np.float32),
    "scale": rng.normal(size=(1,)).astype(np.float32),
  }
  mirrored = {
    "points": raw["points"][:, :, ::-1] * np.array([-1, 1, 1], np.float32),
    "mask": raw["mask"][:, :, ::-1],
    "scale": raw["scale"] + 2,
  }
  mean = metric.average(raw, mirrored)
  np.testing.assert_allclose(mean["points"], raw["points"])
  np.testing.assert_allclose(mean["mask"], raw["mask"])
  np.testing.assert_allclose(mean["scale"], raw["scale"] + 1, rtol=1e-6)


def test_bfloat16_is_close(eyes, picture):
  exact = eyes.infer(picture, num_tokens=_TOKENS)
  rough = _eyes("bfloat16").infer(picture, num_tokens=_TOKENS)
  both = np.asarray(exact.mask) & np.asarray(rough.mask)
  assert both.sum() > 0.9 * np.asarray(exact.mask).sum()
  ratio = np.asarray(rough.depth)[both] / np.asarray(exact.depth)[both]
  assert 0.9 < np.median(ratio) < 1.1
  assert rough.depth.dtype == np.float32


def test_all_sky_is_no_error(eyes, picture):
  """No valid pixel: everything is inf, the camera is the default one."""
  sky = infer.MoGe(eyes.config, jax.tree.map(np.asarray, eyes._params))
  head = sky._params["mask_head"]["level_4"]["output"]
  head["bias"] = head["bias"] - np.float32(1e4)
  found = sky.infer(picture, num_tokens=_TOKENS)
  assert not np.asarray(found.mask).any()
  assert np.isinf(np.asarray(found.points)).all()
  assert np.isfinite(np.asarray(found.intrinsics)).all()


def test_one_clear_error(eyes, picture):
  with pytest.raises(ValueError, match=r"uint8\[70, 98\], expected"):
    eyes.infer_many([picture[..., 0]])
  with pytest.raises(ValueError, match=r"int64\[70, 98, 3\]"):
    eyes.infer(picture.astype(np.int64))
  with pytest.raises(ValueError, match="picture is empty: 0x70"):
    eyes.infer_many([picture[:, :0]])
  with pytest.raises(ValueError, match="shares one bucket"):
    eyes.infer_batch([picture, picture.swapaxes(0, 1)])
  with pytest.raises(ValueError, match="not both"):
    eyes.infer(picture, fov_x_deg=60, intrinsics=np.eye(3))
  with pytest.raises(ValueError, match="fov_x_deg 190 is not between"):
    eyes.infer(picture, fov_x_deg=190)
  with pytest.raises(ValueError, match="resolution_level 10"):
    eyes.tokens(10)
  with pytest.raises(ValueError, match="no patch at num_tokens 64"):
    eyes.infer(np.zeros((1, 2000, 3), np.uint8))
  with pytest.raises(ValueError, match="pictures of one dtype"):
    eyes.infer_batch([picture, picture.astype(np.float32) / 255])
  params = jax.tree.map(np.asarray, eyes._params)
  del params["neck"]["level_1"]
  with pytest.raises(ValueError, match="-missing neck/level_1"):
    infer.MoGe(eyes.config, params)


def test_levels_of_resolution(eyes):
  meta = json.loads((_GOLDEN / "moge2" / "meta.json").read_text())
  want = meta["resolution_level_num_tokens"]
  assert {str(k): eyes.tokens(k) for k in range(10)} == want
