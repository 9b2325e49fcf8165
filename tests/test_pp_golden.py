"""Our transforms give the reference's numbers on its six wild samples."""

import numpy as np
import pytest

from hispatial_jax.pp import codec, image, points

_WILD = [f"o365_000000{i}" for i in range(1, 5)] + [
  "coyo_0000005",
  "coyo_0000006",
]
_CA1M = [f"47331_000{i}" for i in range(1, 7)]


@pytest.fixture(scope="module")
def reference():
  import pathlib

  folder = pathlib.Path(__file__).parent / "golden" / "hispatial_data"
  with np.load(folder / "transforms_56.npz") as arrays:
    return dict(arrays)


@pytest.mark.parametrize("name", _WILD)
def test_point_map(reference, name):
  codes = codec.read_png(reference[f"{name}/png"].tobytes())
  depth = codec.decode_depth(codes, *reference[f"{name}/near_far"])
  got = points.points(depth, reference[f"{name}/intrinsics"], 56)
  want = np.moveaxis(reference[f"{name}/xyz_56"], 0, -1)
  np.testing.assert_array_equal(got[..., 3], want[..., 3])
  known = want[..., 3] > 0
  # FORMAT.md, "Tolerances": 5e-5 absolute, coordinates up to 250.
  np.testing.assert_allclose(got[known], want[known], rtol=2e-6, atol=5e-5)
  # Unknown is (0, 0, 0) in the reference's wild samples, 250 in ours (and in
  # its general samples).
  assert (got[~known, :3] == 250).all()


@pytest.mark.parametrize("name", _WILD + _CA1M)
def test_image_resize(reference, name):
  picture = codec.read_image(reference[f"{name}/jpg"].tobytes())
  got = image.resize(picture, 56).astype(int)
  # FORMAT.md, "Tolerances": one grey level. JPEG decoders of different
  # versions may add another.
  assert np.abs(got - reference[f"{name}/image_56"]).max() <= 2
