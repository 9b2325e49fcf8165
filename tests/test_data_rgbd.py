"""Measured depth keeps its metres and its rays, whatever the layout."""

import json
import pickle
import re

import cv2
import numpy as np
import pytest

from hispatial_jax.core import geometry
from hispatial_jax.data import records, scannet, tum
from hispatial_jax.pp import cameras, codec, points

_COLOUR, _DEPTH = (96, 130), (48, 64)  # as ScanNet's, a tenth of the size


def _intrinsic(fx, fy, cx, cy):
  matrix = np.eye(4)
  matrix[[0, 1, 0, 1], [0, 1, 2, 2]] = fx, fy, cx, cy
  return matrix


_K_COLOUR = _intrinsic(117, 117.2, 64.9, 47.9)
_K_DEPTH = _intrinsic(57.8, 56.2, 31.3, 23.8)


def _pixel(xyz, matrix):
  """Where points appear, in pixels with whole-numbered centres."""
  u = matrix[0, 0] * xyz[..., 0] / xyz[..., 2] + matrix[0, 2]
  v = matrix[1, 1] * xyz[..., 1] / xyz[..., 2] + matrix[1, 2]
  return u, v


@pytest.fixture
def scene(tmp_path):
  """A scene whose picture says of every pixel where its ray goes."""
  folder = tmp_path / "scene0001_00"
  for name in ("color", "depth", "pose", "intrinsic"):
    (folder / name).mkdir(parents=True)
  i, j = np.indices(_COLOUR)
  x = (j - _K_COLOUR[0, 2]) / _K_COLOUR[0, 0]
  y = (i - _K_COLOUR[1, 2]) / _K_COLOUR[1, 1]
  image = np.stack([127 + 180 * x, 127 + 180 * y, 0 * x], -1)
  image = np.rint(image).astype(np.uint8)
  depth = np.full(_DEPTH, 2500, np.uint16)
  depth[:, 32:] = 700
  depth[10:20, 10:20] = 0
  for frame in (0, 10, 9):
    cv2.imwrite(str(folder / f"color/{frame}.png"), image[..., ::-1])
    cv2.imwrite(str(folder / f"depth/{frame}.png"), depth)
    np.savetxt(folder / f"pose/{frame}.txt", np.eye(4))
  np.savetxt(folder / "intrinsic/intrinsic_color.txt", _K_COLOUR)
  np.savetxt(folder / "intrinsic/intrinsic_depth.txt", _K_DEPTH)
  return folder


@pytest.mark.parametrize("size", [0, 32])
def test_scannet_picture_and_depth_share_their_rays(scene, size):
  record = scannet.ScanNet(str(scene.parent), size).make("scene0001_00/9")
  image, depth = record["image"].astype(float), record["depth_m"]
  assert image.shape[:2] == depth.shape == ((24, 32) if size else _DEPTH)
  xyz = geometry.unproject(depth, record["intrinsics"])
  # Half a pixel amiss would be 1.5 levels or more. Cones at the border are
  # partly outside of the picture: there the mean is of what is inside.
  known = depth > 0
  for channel in (0, 1):
    said = (image[..., channel] - 127) / 180
    is_ray = xyz[..., channel] / np.where(known, depth, 1)
    off = np.where(known, np.abs(said - is_ray) * 180, 0)
    assert off[1:-1, 1:-1].max() < 1
    assert off.max() < 2.5
  assert np.isin(depth, np.float32([0, 0.7, 2.5])).all()  # never blended
  back = records.decode(records.encode(record))
  np.testing.assert_allclose(back["depth_m"][known], depth[known], rtol=1e-4)


def test_scannet_matches_a_ray_by_ray_resampling(scene):
  record = scannet.ScanNet(str(scene)).make("scene0001_00/0")
  picture = cv2.imread(str(scene / "color/0.png"))[..., ::-1].astype(np.float32)
  i, j = np.indices(_DEPTH)
  ray = np.stack([(j - 31.3) / 57.8, (i - 23.8) / 56.2, np.ones(_DEPTH)], -1)
  u, v = _pixel(ray, _K_COLOUR)
  want = cv2.remap(
    picture, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR,
    borderMode=cv2.BORDER_REPLICATE,
  )  # fmt: skip
  inside = (u > -0.5) & (u < 129.5) & (v > -0.5) & (v < 95.5)
  assert 0 < (~inside).sum() < 200  # the depth camera sees a little more
  off = np.abs(record["image"] - want)
  assert off[inside].max() <= 1.5
  measured = cv2.imread(str(scene / "depth/0.png"), cv2.IMREAD_UNCHANGED) > 0
  np.testing.assert_array_equal(record["depth_m"] > 0, measured & inside)


def test_scannet_frames(scene):
  source = scannet.ScanNet(str(scene.parent))
  names = [f"scene0001_00/{n}" for n in (0, 9, 10)]
  assert source.splits == {"train": names}
  assert scannet.ScanNet(str(scene)).splits == {"train": names}
  every_other = scannet.ScanNet(str(scene), stride=2)
  assert every_other.splits == {"train": [names[0], names[2]]}
  data = pickle.dumps(source)
  assert len(data) < 300
  assert pickle.loads(data).make(names[0])["id"] == names[0]
  assert json.dumps(source.describe()) != json.dumps(every_other.describe())


def _reason(source, name):
  with pytest.raises(codec.BadInput) as error:
    source.make(name)
  assert name in str(error.value) or "\n" not in str(error.value)
  return error.value.reason


def test_scannet_frames_that_cannot_be_used_say_why(scene):
  source = scannet.ScanNet(str(scene))
  np.savetxt(scene / "pose/0.txt", np.full((4, 4), -np.inf))
  assert _reason(source, "scene0001_00/0") == "pose"
  (scene / "depth/9.png").unlink()
  assert _reason(source, "scene0001_00/9") == "no_depth"
  cv2.imwrite(str(scene / "depth/10.png"), np.zeros(_DEPTH, np.uint16))
  assert _reason(source, "scene0001_00/10") == "no_depth"
  data = (scene / "color/10.png").read_bytes()
  (scene / "color/10.png").write_bytes(data[: len(data) // 2])
  assert _reason(source, "scene0001_00/10") == "truncated"
  with pytest.raises(codec.BadInput, match="no file"):
    source.make("scene0001_00/9")


def test_scannet_intrinsics_of_another_size_are_refused(scene):
  source = scannet.ScanNet(str(scene))
  np.savetxt(scene / "intrinsic/intrinsic_color.txt", _K_COLOUR * 10)
  with pytest.raises(codec.BadInput, match="of another size") as error:
    source.make("scene0001_00/0")
  assert error.value.reason == "intrinsics"
  (scene / "intrinsic/intrinsic_color.txt").unlink()
  with pytest.raises(codec.BadInput, match=r"130x96 and depth of 64x48 cannot"):
    source.make("scene0001_00/0")
  (scene / "intrinsic/intrinsic_depth.txt").unlink()
  with pytest.raises(codec.BadInput, match="no intrinsic_depth"):
    source.make("scene0001_00/0")


def test_golden_points_of_scannet(golden):
  """The reference's pixels have whole-numbered centres, ours lie at +0.5.

  So (u - cx) / fx of theirs is (j + 0.5 - (cx + 0.5)) / fx of ours: with the
  half pixel in the intrinsics both are the same rays, in f32.
  """
  folder = golden / "qspatial"
  source = scannet.ScanNet(str(folder / "scannet_images"))
  want = np.load(folder / "expected_xyz.npz")
  name = str(want["key"])
  record = source.make(name)
  xyz = geometry.unproject(record["depth_m"], record["intrinsics"])
  mask = want["mask"]
  np.testing.assert_array_equal(record["depth_m"] > 0.01, mask)
  np.testing.assert_allclose(
    xyz[mask], want["points"][mask], rtol=1e-5, atol=1e-6
  )
  # Without the half pixel every point would be off by half a pixel's width.
  matrix = np.load(folder / f"scannet_images/{name[:12]}/intrinsics_depth.npy")
  shifted = record["intrinsics"] - np.array(
    [[0, 0, 0.5 / 64], [0, 0, 0.5 / 48], [0, 0, 0]], np.float32
  )
  off = geometry.unproject(record["depth_m"], shifted) - want["points"]
  half = 0.5 * record["depth_m"] / matrix[0, 0]
  np.testing.assert_allclose(off[mask][:, 0], half[mask], rtol=1e-3)


def test_golden_samples_of_the_models_input(golden):
  folder = golden / "qspatial"
  source = scannet.ScanNet(str(folder / "scannet_images"))
  expected = json.loads((folder / "expected_xyz.json").read_text())
  assert len(expected) == 2
  for name, want in expected.items():
    record = source.make(name)
    got = points.points(record["depth_m"], record["intrinsics"], 448)
    assert int(got[..., 3].sum()) == want["model_input_valid"]
    for at in want["samples"]:
      x, y, z, mask = got[at["row"], at["col"]]
      assert mask == at["mask"]
      if mask:
        np.testing.assert_allclose(
          [x, y, z], [at["x"], at["y"], at["z"]], rtol=1e-5, atol=1e-6
        )
  (missing,) = set(source.splits["train"]) - set(expected)
  assert _reason(source, missing) == "no_depth"


def _sequence(folder, pictures, depths, size=(48, 64)):
  for kind in ("rgb", "depth"):
    (folder / kind).mkdir(parents=True)
  for kind, times in (("rgb", pictures), ("depth", depths)):
    lines = [f"{t:.4f} {kind}/{t:.4f}.png" for t in times]
    text = "# timestamp filename\n" + "\n".join(lines) + "\n"
    (folder / f"{kind}.txt").write_text(text)
  for time in pictures:
    image = np.full((*size, 3), round(time * 100) % 256, np.uint8)
    cv2.imwrite(str(folder / f"rgb/{time:.4f}.png"), image)
  for time in depths:
    depth = np.full(size, round(time * 5000), np.uint16)
    depth[:, ::2] += 5000
    depth[:4] = 0
    cv2.imwrite(str(folder / f"depth/{time:.4f}.png"), depth)


def test_tum_pairs_by_time(tmp_path):
  folder = tmp_path / "rgbd_dataset_freiburg2_desk"
  # 1.033 has no map of its own: that of 1.018 is nearer to 1.010.
  _sequence(folder, [1.01, 1.033, 1.07, 1.2], [1.018, 1.085, 1.2211])
  source = tum.Tum(str(tmp_path))
  names = [f"{folder.name}/{t}" for t in ("1.0100", "1.0330", "1.0700")]
  assert source.splits["train"] == [*names, f"{folder.name}/1.2000"]
  record = source.make(names[0])
  assert record["image"].max() == 101
  assert np.isin(record["depth_m"], np.float32([0, 1.018, 2.018])).all()
  assert (record["depth_m"][:4] == 0).all()
  assert _reason(source, names[1]) == "no_depth"
  assert source.make(names[2])["depth_m"].max() == np.float32(2.085)
  assert _reason(source, f"{folder.name}/1.2000") == "no_depth"  # 21 ms
  assert tum.Tum(str(folder), stride=3).splits["train"][1][-6:] == "1.2000"
  reduced = pickle.loads(pickle.dumps(tum.Tum(str(tmp_path), size=32)))
  record = reduced.make(names[0])
  assert record["image"].shape == (24, 32, 3)
  assert np.isin(record["depth_m"], np.float32([0, 1.018, 2.018])).all()


def test_tum_cameras(tmp_path):
  _sequence(tmp_path / "fr1_xyz", [1.0], [1.0])
  matrix = tum.Tum(str(tmp_path)).make("fr1_xyz/1.0000")["intrinsics"]
  want = [[517.3 / 640, 0, 319.1 / 640], [0, 516.5 / 480, 255.8 / 480]]
  np.testing.assert_allclose(matrix[:2], want, rtol=1e-6)
  _sequence(tmp_path / "kitchen", [1.0], [1.0])
  with pytest.raises(ValueError, match=r"kitchen is not known.*--intrinsics"):
    tum.Tum(str(tmp_path))
  own = np.float32([[0.8, 0, 0.5], [0, 1.1, 0.4], [0, 0, 1]])
  source = tum.Tum(str(tmp_path), intrinsics=own)
  assert hash(source) == hash(pickle.loads(pickle.dumps(source)))
  found = source.make("kitchen/1.0000")["intrinsics"]
  np.testing.assert_array_equal(found, own)


def test_what_is_wrong_with_a_folder_is_said(tmp_path):
  for kind, text in ((scannet.ScanNet, "color/"), (tum.Tum, "rgb.txt")):
    with pytest.raises(FileNotFoundError, match=re.escape(text)):
      kind(str(tmp_path))
    with pytest.raises(ValueError, match="stride 0"):
      kind(str(tmp_path), stride=0)
  _sequence(tmp_path / "fr3", [1.0], [1.0])
  (tmp_path / "fr3/depth.txt").write_text("1.0 depth/a.png\nnonsense\n")
  with pytest.raises(ValueError, match=r"depth\.txt line 2: .*nonsense"):
    tum.Tum(str(tmp_path)).splits  # noqa: B018


def test_seeing_with_the_same_camera_changes_nothing():
  image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
  camera = np.float32([[0.9, 0, 0.48], [0, 1.2, 0.53], [0, 0, 1]])
  seen, inside = cameras.see(image, camera, camera, (20, 30))
  np.testing.assert_array_equal(seen, image)
  assert inside.all()
  half, _ = cameras.see(image, camera, camera, (10, 15))
  area = cv2.resize(image, (15, 10), interpolation=cv2.INTER_AREA)
  assert np.abs(half.astype(int) - area).max() <= 1
  double, _ = cameras.see(image, camera, camera, (40, 60))
  linear = cv2.resize(image, (60, 40), interpolation=cv2.INTER_LINEAR)
  inner = np.abs(double.astype(int) - linear)[1:-1, 1:-1]
  assert inner.max() <= 1


def test_what_a_narrower_camera_sees():
  image = np.zeros((10, 12, 3), np.uint8)
  image[:, 3:9] = 200
  camera = np.float32([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
  narrow = np.float32([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
  seen, inside = cameras.see(image, camera, narrow, (5, 6))
  assert (seen == 200).all()
  assert inside.all()
  wide = np.float32([[0.5, 0, 0.5], [0, 0.5, 0.5], [0, 0, 1]])
  seen, inside = cameras.see(image, camera, wide, (20, 24))
  assert inside.sum() == 10 * 12
  assert inside[5:15, 6:18].all()
  np.testing.assert_array_equal(seen[5:15, 6:18], image)


def test_nearest_takes_the_pixel_of_the_centre():
  depth = np.arange(12, dtype=np.float32).reshape(2, 6)
  assert cameras.nearest(depth, (2, 6)) is depth
  np.testing.assert_array_equal(cameras.nearest(depth, (1, 2)), [[7, 10]])
