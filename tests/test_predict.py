"""Answers from a tiny random model: forms of input, bad input, batching."""

import json

import cv2
import moge_fake
import numpy as np
import pytest
import tiny

from hispatial_jax import predict
from hispatial_jax.pp import given

_K = np.array([[0.9, 0, 0.5], [0, 0.9, 0.5], [0, 0, 1]], np.float32)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  return tiny.save(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def predictor(workdir):
  return predict.Predictor.load(workdir, max_new_tokens=6)


@pytest.fixture
def rgb():
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (24, 32, 3), np.uint8)


@pytest.fixture
def depth():
  return np.linspace(0.5, 4, 24 * 32, dtype=np.float32).reshape(24, 32)


def test_depth_is_used_and_said(predictor, rgb, depth):
  plain = predictor.ask(rgb, "How wide is the red chair?")
  deep = predictor.ask(rgb, "How wide is the red chair?", depth, _K)
  assert not plain.used_depth
  assert deep.used_depth
  assert deep.known_depth == 1.0
  assert plain.logp != deep.logp


def test_unknown_depth_is_counted(predictor, rgb, depth):
  depth[:6], depth[6:12] = np.nan, 0
  depth[12] = np.inf
  answer = predictor.ask(rgb, "How wide?", depth, _K)
  assert answer.known_depth == pytest.approx(12 / 24)


def test_a_batch_answers_as_one_by_one(predictor, rgb, depth):
  texts = ["How wide?", "Is it?", "How wide is the red chair? " * 4] * 2
  many = [
    predict.Question(rgb, t, *((depth, _K) if i % 2 else ()))
    for i, t in enumerate(texts)
  ]
  together = predictor.ask_many(many)
  for item, answer in zip(many, together, strict=True):
    alone = predictor.ask_many([item])[0]
    assert alone.text == answer.text
    assert alone.used_depth == answer.used_depth
    assert alone.logp == pytest.approx(answer.logp, abs=1e-4)


def test_depth_may_have_another_resolution(predictor, rgb, depth):
  assert predictor.ask(rgb, "How wide?", depth[::2, ::2], _K).used_depth


def _with_moge(predictor, eyes):
  options = {"max_new_tokens": 6, "batch_size": 1, "moge": eyes}
  config = predictor.config
  return predict.Predictor(config, tiny.params(), tiny.words(), **options)


def test_moge_gives_the_depth_that_is_missing(predictor, rgb, depth):
  eyes = moge_fake.MoGe()
  seeing = _with_moge(predictor, eyes)
  answer = seeing.ask(rgb, "How wide?")
  assert (answer.depth_source, answer.used_depth) == ("moge", True)
  assert answer.known_depth == 0.75
  wall = moge_fake.point_map((24, 32))
  same = predictor.ask(rgb, "How wide?", wall.depth, wall.intrinsics)
  assert same.depth_source == "given"
  assert (same.text, same.logp) == (answer.text, answer.logp)
  given_depth = seeing.ask(rgb, "How wide?", depth, _K)
  assert given_depth.depth_source == "given"
  assert given_depth == predictor.ask(rgb, "How wide?", depth, _K)
  assert len(eyes.asked) == 1
  assert predictor.ask(rgb, "How wide?").depth_source == "none"


def test_a_known_camera_is_handed_to_moge(predictor, rgb):
  eyes = moge_fake.MoGe()
  seeing = _with_moge(predictor, eyes)
  assert seeing.ask(rgb, "How?", intrinsics=_K.tolist()).used_depth
  np.testing.assert_array_equal(eyes.asked[0]["intrinsics"], _K)
  with pytest.raises(ValueError, match="not normalised"):
    seeing.ask(rgb, "How?", intrinsics=np.eye(3) * [[500], [500], [1]])


def test_moge_sees_a_picture_once_and_reduced(predictor, rgb, tmp_path):
  cv2.imwrite(str(tmp_path / "x.png"), np.zeros((3000, 40, 3), np.uint8))
  eyes = moge_fake.MoGe()
  seeing = _with_moge(predictor, eyes)
  items = [{"image": i, "question": q} for q in "ab" for i in (rgb, rgb + 1)]
  path = str(tmp_path / "x.png")
  items += [{"image": path, "question": q} for q in "abc"]
  answers = seeing.ask_many(items)
  # rgb + 1 is made anew for each question, and nobody compares pixels.
  assert len(eyes.asked) == 1 + 2 + 1
  assert eyes.asked[-1]["shape"] == (2048, 27, 3)
  assert {answer.depth_source for answer in answers} == {"moge"}
  assert answers[0] == seeing.ask(rgb, "a")


def test_a_sky_is_answered_from_rgb(predictor, rgb):
  seeing = _with_moge(predictor, moge_fake.MoGe(sky=1.0))
  answer = seeing.ask(rgb, "How wide?")
  assert (answer.depth_source, answer.used_depth) == ("none", False)
  assert answer == predictor.ask(rgb, "How wide?")


def test_moge_is_loaded_from_its_file(monkeypatch, workdir, rgb):
  eyes = moge_fake.MoGe()
  loaded = moge_fake.install(monkeypatch, eyes)
  model = predict.Predictor.load(workdir, moge="m.pt", max_new_tokens=6)
  assert loaded == [("m.pt", {})]
  assert model.ask(rgb, "How?").used_depth
  again = predict.Predictor.load(workdir, moge=eyes, max_new_tokens=6)
  assert again.ask(rgb, "How?") == model.ask(rgb, "How?")
  assert len(loaded) == 1


def test_loads_from_a_step_as_from_the_workdir(workdir, predictor, rgb):
  step = predict.Predictor.load(workdir / "checkpoints/7", max_new_tokens=6)
  assert step.ask(rgb, "How wide?") == predictor.ask(rgb, "How wide?")


def test_a_run_without_points_stays_blind(workdir, tmp_path, rgb, depth):
  folder = tmp_path / "blind"
  folder.mkdir()
  for name in ("tokenizer.model", "checkpoints"):
    (folder / name).symlink_to(workdir / name)
  config = json.loads((workdir / "config.json").read_text())
  config["data"]["pp"] = "points(28)|resize(28)|drop_points"
  (folder / "config.json").write_text(json.dumps(config))
  eyes = moge_fake.MoGe()
  blind = predict.Predictor.load(folder, max_new_tokens=4, moge=eyes)
  answer = blind.ask(rgb, "How wide?", depth, _K)
  assert not blind.takes_depth
  assert not answer.used_depth
  assert answer.depth_source == "none"
  assert answer == blind.ask(rgb, "How wide?")
  assert not eyes.asked


def test_a_run_on_relative_depth_sees_no_metres(
  workdir, tmp_path, rgb, depth, predictor
):
  for name in ("tokenizer.model", "checkpoints"):
    (tmp_path / name).symlink_to(workdir / name)
  config = json.loads((workdir / "config.json").read_text())
  config["data"]["pp"] = "points(28)|resize(28)|relative_depth"
  (tmp_path / "config.json").write_text(json.dumps(config))
  model = predict.Predictor.load(tmp_path, max_new_tokens=4)
  answer = model.ask(rgb, "How wide?", depth, _K)
  assert answer.used_depth
  assert model.ask(rgb, "How wide?", 2 * depth, _K).logp == answer.logp
  one, two = (
    predictor.ask(rgb, "How wide?", d, _K) for d in (depth, 2 * depth)
  )
  assert one.logp != two.logp


def _with_exif(rgb, orientation):
  """JPEG bytes with an EXIF orientation tag put in by hand."""
  data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])
  data = data[1].tobytes()
  tag = b"\x01\x12\x00\x03\x00\x00\x00\x01" + bytes([0, orientation, 0, 0])
  body = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01" + tag + bytes(4)
  segment = b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
  return data[:2] + segment + data[2:]


def test_exif_orientation_is_honoured():
  rgb = np.zeros((16, 32, 3), np.uint8)
  rgb[:, :16] = 255
  upright = given.read_image(_with_exif(rgb, 1))
  turned = given.read_image(_with_exif(rgb, 6))
  assert upright.shape == (16, 32, 3)
  assert turned.shape == (32, 16, 3)
  assert turned[:12].mean() > 200 > 50 > turned[20:].mean()


def test_forms_of_a_picture_agree(rgb, tmp_path):
  path = tmp_path / "x.png"
  cv2.imwrite(str(path), rgb[..., ::-1])
  for form in (path, str(path), path.read_bytes(), rgb):
    np.testing.assert_array_equal(given.read_image(form), rgb)
  deep = rgb.astype(np.uint16) * 257
  np.testing.assert_array_equal(given.read_image(deep), rgb)
  grey = given.read_image(rgb[..., 0])
  np.testing.assert_array_equal(grey, np.repeat(rgb[..., :1], 3, axis=2))
  _, png = cv2.imencode(".png", rgb[..., 0].astype(np.uint16) * 257)
  assert np.abs(given.read_image(png.tobytes()).astype(int) - grey).max() <= 1
  _, webp = cv2.imencode(".webp", rgb)
  assert given.read_image(webp.tobytes()).shape == rgb.shape


def test_transparent_pixels_lie_on_white(rgb):
  rgba = np.concatenate([rgb, np.full((24, 32, 1), 255, np.uint8)], axis=2)
  rgba[:12, ..., 3] = 0
  _, png = cv2.imencode(".png", rgba[..., [2, 1, 0, 3]])
  for form in (rgba, png.tobytes()):
    out = given.read_image(form)
    assert (out[:12] == 255).all()
    np.testing.assert_array_equal(out[12:], rgb[12:])


def test_bad_pictures_say_what_is_wrong(predictor, rgb, tmp_path):
  _, data = cv2.imencode(".jpg", rgb)
  half = data.tobytes()[: len(data) // 2]
  with pytest.raises(ValueError, match="truncated"):
    predictor.ask(half, "How wide?")
  (tmp_path / "half.jpg").write_bytes(half)
  with pytest.raises(ValueError, match=r"half\.jpg: truncated"):
    predictor.ask(tmp_path / "half.jpg", "How wide?")
  with pytest.raises(FileNotFoundError, match="no image file"):
    predictor.ask(tmp_path / "none.jpg", "How wide?")
  with pytest.raises(ValueError, match="no picture"):
    predictor.ask(b"%PDF-1.4 no picture", "How wide?")
  with pytest.raises(ValueError, match="no picture in 0 bytes"):
    predictor.ask(b"", "How wide?")
  with pytest.raises(ValueError, match="missing"):
    predictor.ask(None, "How wide?")
  with pytest.raises(ValueError, match=r"uint8\[H,W,3\].*float64"):
    predictor.ask(rgb / 255.0, "How wide?")
  with pytest.raises(ValueError, match="empty"):
    predictor.ask(rgb[:0], "How wide?")


def test_bad_depth_says_what_is_wrong(predictor, rgb, depth):
  def ask(depth_m, matrix=_K):
    predictor.ask(rgb, "How wide?", depth_m, matrix)

  with pytest.raises(ValueError, match="another size: 24x32"):
    ask(depth.T)
  negative = depth.copy()
  negative[0, :3] = -1
  with pytest.raises(ValueError, match="3 of 768 values are negative"):
    ask(negative)
  with pytest.raises(ValueError, match="no known value"):
    ask(np.full_like(depth, np.nan))
  with pytest.raises(ValueError, match=r"\[H, W\]"):
    ask(depth[..., None])
  with pytest.raises(ValueError, match=r"not normalised.*divide"):
    ask(depth, np.array([[500, 0, 16], [0, 500, 12], [0, 0, 1]]))
  with pytest.raises(ValueError, match=r"\(3, 3\)"):
    ask(depth, np.eye(4))
  with pytest.raises(ValueError, match="depth without intrinsics"):
    ask(depth, None)
  with pytest.raises(ValueError, match="intrinsics without depth"):
    ask(None, _K)


def test_bad_questions(predictor, rgb):
  with pytest.raises(ValueError, match="empty"):
    predictor.ask(rgb, "  ")
  with pytest.raises(ValueError, match="tokens; at most"):
    predictor.ask(rgb, "chair " * 2000)
  items = [{"image": rgb, "question": "a?"}, {"image": rgb, "question": ""}]
  with pytest.raises(ValueError, match="question 1: the question is empty"):
    predictor.ask_many(items)


def test_missing_and_foreign_checkpoints(workdir, tmp_path):
  with pytest.raises(FileNotFoundError, match=r"config\.json"):
    predict.Predictor.load(tmp_path)
  for name in ("tokenizer.model", "checkpoints"):
    (tmp_path / name).symlink_to(workdir / name)
  config = json.loads((workdir / "config.json").read_text())
  config["model"]["img"]["mlp_dim"] = 64
  (tmp_path / "config.json").write_text(json.dumps(config))
  with pytest.raises(ValueError, match=r"(?s)MlpBlock.*\n.*MlpBlock"):
    predict.Predictor.load(tmp_path)
