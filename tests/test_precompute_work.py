"""A shard depends on its ids alone, and nothing in it is lost or disturbed."""

import cv2
import numpy as np
import precompute_fakes as fakes
import pytest

from hispatial_jax.data import records
from hispatial_jax.pp import codec, image, points
from hispatial_jax.precompute import pictures, plan, tally, work


@pytest.fixture
def photos(tmp_path):
  folder = tmp_path / "photos"
  fakes.write_photos(folder, 12)
  return fakes.Photos(str(folder), measured=("p0003.jpg",))


def _shard(source, eyes=None, batch=4, **options):
  options = plan.Options(batch_size=batch, **options)
  ids = source.splits["train"]
  eyes = eyes or fakes.Eyes()
  return work.make_shard(eyes, source, ids, batch, options, threads=2)


def _by_id(shard):
  return {c["id"]: records.decode(c) for c in shard.columns}


def test_depth_is_what_the_model_saw(photos):
  eyes = fakes.Eyes()
  shard = _shard(photos, eyes)
  assert [c["id"] for c in shard.columns] == photos.splits["train"]
  assert shard.bad == []
  found = _by_id(shard)
  for name, record in found.items():
    if name in photos.measured:
      continue
    seen = fakes.points(record["image"])
    sky = np.isinf(seen.depth)
    np.testing.assert_array_equal(np.isinf(record["depth_m"]), sky)
    # Half a step of the log code: 0.5 * log(far / near) / 65533 < 3e-5.
    np.testing.assert_allclose(
      record["depth_m"][~sky], seen.depth[~sky], rtol=3e-5
    )
    np.testing.assert_array_equal(record["intrinsics"], seen.intrinsics)
    assert record["qa"] == [fakes.qa(name)]
    assert record["objects"] == {"name": name}
  # Three shapes of 4, 3 (one has its own depth) and 4 pictures.
  assert (eyes.calls, eyes.padded) == (3, 1)
  assert shard.tally["batches"] == {"rows": 12, "filled": 11}


def test_measured_depth_is_kept(photos):
  record = _by_id(_shard(photos))["p0003.jpg"]
  np.testing.assert_allclose(record["depth_m"], 3)
  assert record["depth_m"].shape == (24, 32)
  assert record["intrinsics"][0, 0] == np.float32(0.9)


def test_records_with_depth_need_no_model(photos):
  options = plan.Options()
  ids = photos.splits["train"][3:5]
  shard = work.make_shard(None, photos, ids, 4, options)
  assert [c["id"] for c in shard.columns] == ["p0003.jpg"]
  assert [(b.id, b.reason) for b in shard.bad] == [("p0004.jpg", "no_depth")]


def test_known_intrinsics_are_told_to_the_model(photos):
  matrix = np.array([[0.7, 0, 0.5], [0, 0.7, 0.5], [0, 0, 1]], np.float32)

  class Known(fakes.Photos):
    def make(self, name):
      return super().make(name) | {"intrinsics": matrix}

  for record in _by_id(_shard(Known(photos.folder))).values():
    np.testing.assert_array_equal(record["intrinsics"], matrix)


def test_bytes_of_a_jpeg_are_kept_and_other_files_encoded(photos, tmp_path):
  path = tmp_path / "photos" / "p0001.jpg"
  before = path.read_bytes()
  # The picture of the next one, as a PNG.
  whole = codec.read_image((tmp_path / "photos" / "p0002.jpg").read_bytes())
  png = cv2.imencode(".png", whole[..., ::-1])[1].tobytes()
  (tmp_path / "photos" / "p0002.jpg").write_bytes(png)
  stored = {c["id"]: c["image"] for c in _shard(photos).columns}
  assert stored["p0001.jpg"] == before
  assert stored["p0002.jpg"][:2] == b"\xff\xd8"
  back = codec.read_image(stored["p0002.jpg"]).astype(int)
  assert np.abs(back - whole).mean() < 3  # JPEG at quality 95


def test_larger_pictures_are_made_smaller(photos):
  shard = _shard(photos, size=32)
  shapes = {c["id"]: records.decode(c) for c in shard.columns}
  for name, record in shapes.items():
    assert max(record["image"].shape) == 32, name
    assert record["depth_m"].shape == record["image"].shape[:2] or (
      name == "p0003.jpg"
    )
  same = {c["id"]: c["image"] for c in _shard(photos, size=64).columns}
  assert same["p0000.jpg"] == photos.make("p0000.jpg")["image"]


def test_sizes_are_those_of_the_source(photos):
  """So that points go along the rays of the pixels that depth is from."""
  for name, record in _by_id(_shard(photos, size=32)).items():
    whole = codec.read_image(photos.make(name)["image"]).shape[:2]
    depth = record["depth_m"].shape
    if name in photos.measured:
      depth = (24, 32)
    assert record["native"].tolist() == [list(whole), list(depth)], name


def test_what_needs_no_depth_is_kept_without(photos):
  ids = photos.splits["train"][2:5]
  options = plan.Options(depth_optional=True)
  shard = work.make_shard(None, photos, ids, 4, options)
  assert shard.bad == []
  found = _by_id(shard)
  assert list(found) == ids
  assert np.isnan(found["p0004.jpg"]["depth_m"]).all()
  assert found["p0003.jpg"]["depth_m"].max() == 3
  assert shard.tally["without_depth"] == 2
  assert shard.tally["pixels"]["all"] == 24 * 32
  # Where there is a model, it is asked.
  eyes = fakes.Eyes()
  _shard(photos, eyes, depth_optional=True)
  assert eyes.calls == 3


def test_a_square_record_gives_the_points_of_the_whole_one(photos):
  class Ramps(fakes.Photos):
    def make(self, name):
      record = super().make(name)
      depth = np.linspace(1, 9, 30 * 40, dtype=np.float32).reshape(30, 40)
      depth[::7, ::5] = 0
      matrix = np.array([[0.9, 0, 0.52], [0, 1.1, 0.47], [0, 0, 1]], np.float32)
      return record | {"depth_m": depth, "intrinsics": matrix}

  source = Ramps(photos.folder)
  ids = source.splits["train"][::3]  # those that are 4:3
  options = plan.Options(square=28)
  shard = work.make_shard(None, source, ids, 4, options)
  assert [b.reason for b in shard.bad] == []
  for name, record in _by_id(shard).items():
    raw = source.make(name)
    whole = codec.read_image(raw["image"])
    assert record["native"].tolist() == [list(whole.shape[:2]), [30, 40]]
    jpeg = codec.write_jpeg(None, image.resize(whole, 28), 95)
    np.testing.assert_array_equal(record["image"], codec.read_image(jpeg))
    seen = points.points(
      record["depth_m"],
      record["intrinsics"],
      28,
      native=tuple(record["native"][1]),
    )
    want = points.points(raw["depth_m"], raw["intrinsics"], 28)
    np.testing.assert_array_equal(seen[..., 3], want[..., 3])
    np.testing.assert_allclose(seen, want, rtol=6e-5)


def test_a_square_hides_no_wrong_depth(photos):
  class Wrong(fakes.Photos):
    def make(self, name):
      depth = np.ones((24, 24), np.float32)
      if name == "p0003.jpg":
        depth = np.ones((24, 32), np.float32)
        depth[1, 1] = -1
      if name == "p0006.jpg":
        depth = np.ones(24, np.float32)
      matrix = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]], np.float32)
      return super().make(name) | {"depth_m": depth, "intrinsics": matrix}

  shard = _shard(Wrong(photos.folder), square=16)
  reasons = {item.id: item.reason for item in shard.bad}
  # Every third one, p0002.jpg ..., is as wide as high and agrees.
  assert reasons == {
    f"p{k:04d}.jpg": "depth" if k in (3, 6) else "depth_size"
    for k in range(12)
    if k % 3 != 2
  }


def test_notes_are_counted_and_the_first_listed(photos):
  class Noting(fakes.Photos):
    def make(self, name):
      notes = [("empty_qa", f"{name}: item {k} is empty") for k in range(15)]
      return super().make(name) | {"notes": [*notes, ("roles", f"{name}: odd")]}

  shard = _shard(Noting(photos.folder))
  assert shard.tally["noted"] == {"empty_qa": 180, "roles": 12}
  assert shard.notes[0] == (
    "p0000.jpg",
    "empty_qa",
    "p0000.jpg: item 0 is empty",
  )
  assert shard.notes[15].reason == "roles"
  assert len(shard.notes) == 100
  assert len(shard.columns) == 12


def test_bad_pictures_are_set_aside_and_disturb_nothing(photos, tmp_path):
  folder = tmp_path / "photos"
  whole = {c["id"]: c for c in _shard(photos).columns}
  (folder / "p0001.jpg").write_bytes(b"no picture")
  (folder / "p0006.jpg").write_bytes((folder / "p0006.jpg").read_bytes()[:400])
  thin = cv2.imencode(".jpg", np.zeros((2, 90, 3), np.uint8))[1].tobytes()
  (folder / "p0007.jpg").write_bytes(thin)

  class Failing(fakes.Photos):
    def make(self, name):
      if name == "p0009.jpg":
        raise OSError("the disk says no")
      if name == "p0010.jpg":
        raise LookupError
      record = super().make(name)
      if name == "p0011.jpg":
        record["qa"] = [{"question": "?"}]
      return record

  shard = _shard(Failing(photos.folder, photos.measured))
  assert [(b.id, b.reason) for b in shard.bad] == [
    ("p0001.jpg", "image"),
    ("p0006.jpg", "truncated"),
    ("p0007.jpg", "shape"),
    ("p0009.jpg", "unreadable"),
    ("p0010.jpg", "LookupError"),
    ("p0011.jpg", "qa"),
  ]
  assert "the disk says no" in shard.bad[3].message
  assert shard.tally["bad"]["truncated"] == 1
  assert shard.tally["images"] == 12
  for columns in shard.columns:
    before = whole[columns["id"]]
    assert columns["image"] == before["image"]
    assert columns["depth"] == before["depth"]


def test_a_sky_without_a_valid_pixel_is_kept(photos, tmp_path):
  white = np.full((48, 64, 3), 255, np.uint8)
  data = cv2.imencode(".jpg", white)[1].tobytes()
  (tmp_path / "photos" / "p0000.jpg").write_bytes(data)

  class Blind(fakes.Eyes):
    def infer_batch(self, images, **kwargs):
      found = super().infer_batch(images, **kwargs)
      nan = np.full((3, 3), np.nan, np.float32)
      return [
        one._replace(intrinsics=nan) if np.isinf(one.depth).all() else one
        for one in found
      ]

  shard = _shard(photos, Blind())
  codes = codec.read_png(shard.columns[0]["depth"])
  assert (codes == codec.INFINITE).all()
  assert shard.tally["all_sky"] == 1
  assert np.isinf(records.decode(shard.columns[0])["depth_m"]).all()
  assert shard.bad == []


def test_waiting_pictures_have_a_limit(photos, monkeypatch):
  whole = _shard(photos)
  monkeypatch.setattr(work, "_WAITING", 3 * 64 * 48 * 3)
  eyes = fakes.Eyes()
  tight = _shard(photos, eyes)
  assert eyes.calls > 3
  assert [c["depth"] for c in tight.columns] == [
    c["depth"] for c in whole.columns
  ]


def test_a_watch_can_stop_it(photos):
  seen = []

  def watch(done):
    seen.append(done)
    if done > 3:
      raise KeyError("enough")

  options = plan.Options(batch_size=2)
  with pytest.raises(KeyError):
    work.make_shard(
      fakes.Eyes(), photos, photos.splits["train"], 2, options, watch=watch
    )
  assert seen == sorted(seen)


def test_a_missing_package_is_no_bad_picture():
  class NoTorch:
    def make(self, name):
      raise ImportError("needs torch")

  with pytest.raises(ImportError, match="torch"):
    pictures.read(NoTorch(), "a", 0)


def test_reading_runs_ahead_but_not_far(photos):
  made = []

  class Slow(fakes.Photos):
    def make(self, name):
      made.append(name)
      return super().make(name)

  source = Slow(photos.folder)
  ids = source.splits["train"]

  class Now:
    """An executor that does everything at once."""

    def submit(self, function, *args):
      result = function(*args)
      return type("Done", (), {"result": lambda self: result})()

  reader = pictures.Reader(Now(), source, ids, size=0, ahead=4)
  assert made == ids[:4]
  assert next(iter(reader)).record["id"] == ids[0]
  assert made == ids[:5]


def test_tallies_add_up():
  depth = np.array([[1.0, 2.0], [np.nan, np.inf]], np.float32)
  matrix = np.array([[0.4, 0, 0.5], [0, 0.5, 0.5], [0, 0, 1]], np.float32)
  one = tally.of_record(
    depth, {"image": b"123", "depth": b"12", "intrinsics": matrix}
  )
  assert one["pixels"] == {"all": 4, "valid": 2, "unknown": 1, "infinite": 1}
  assert one["fov"][20] == 1  # 102.7 degrees
  assert [k for k, n in enumerate(one["depth"]) if n] == [24, 27]
  two = tally.add(tally.empty(), one, one)
  assert two["pixels"]["valid"] == 4
  assert two["fov"][20] == 2
  assert two["bytes"]["image"] == 6
  assert tally.add(two, {"bad": {"x": 2}})["bad"] == {"x": 2}
