"""The command line: quick help, files read as promised, one line on errors."""

import json
import subprocess
import sys

import cv2
import moge_fake
import numpy as np
import pytest
import tiny

from hispatial_jax import cli
from hispatial_jax.pp import codec, given

_K = [[0.9, 0, 0.5], [0, 1.2, 0.5], [0, 0, 1]]
_PIXELS = {"fx": 28.8, "fy": 28.8, "cx": 16, "cy": 12, "width": 32}


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  return tiny.save(tmp_path_factory.mktemp("run"))


@pytest.fixture
def files(tmp_path):
  """image.png, depth.npy, depth.png (mm), log.png and their cameras."""
  depth = np.linspace(0.5, 4, 24 * 32, dtype=np.float32).reshape(24, 32)
  cv2.imwrite(str(tmp_path / "image.png"), np.full((24, 32, 3), 90, np.uint8))
  np.save(tmp_path / "depth.npy", depth)
  cv2.imwrite(str(tmp_path / "depth.png"), (depth * 1000).astype(np.uint16))
  codes, near, far = codec.encode_depth(depth)
  (tmp_path / "log.png").write_bytes(codec.write_png(codes))
  log = {"intrinsics": _K, "near": near, "far": far}
  (tmp_path / "log.json").write_text(json.dumps(log))
  (tmp_path / "k.json").write_text(json.dumps({"intrinsics": _K}))
  return tmp_path


def _run(capsys, *argv):
  code = cli.main([str(a) for a in argv])
  out, err = capsys.readouterr()
  return code, out.strip(), err.strip()


def test_help_is_quick_and_light():
  code = (
    "import sys, time; t = time.time(); from hispatial_jax import cli\n"
    "try: cli.main(['ask', '--help'])\n"
    "except SystemExit as e: assert e.code == 0\n"
    "assert time.time() - t < 0.5\n"
    "assert not {'jax', 'numpy', 'cv2'} & set(sys.modules)"
  )
  subprocess.run([sys.executable, "-c", code], check=True)


def test_ask_with_and_without_depth(capsys, workdir, files):
  ask = ("ask", files / "image.png", "How wide?", "--checkpoint", workdir)
  ask += ("--max-new-tokens", 4)
  code, out, err = _run(capsys, *ask)
  assert code == 0
  assert "from RGB alone: no depth given" in err
  deep = (*ask, "--depth", files / "depth.npy")
  deep += ("--intrinsics", files / "k.json", "--json")
  code, out, err = _run(capsys, *deep)
  assert code == 0
  answer = json.loads(out)
  assert answer["used_depth"] is True
  assert answer["known_depth"] == 1.0


def test_depth_files_hold_the_same_metres(files):
  exact = np.load(files / "depth.npy")
  for name, camera in (("depth.png", "k.json"), ("log.png", "log.json")):
    got = given.read_depth(files / name, given.read_json(files / camera))
    np.testing.assert_allclose(got, exact, atol=1e-3)
  assert given.read_depth(files / "depth.npy", {}).dtype == np.float32


def test_intrinsics_in_pixels_are_normalised():
  got = given.intrinsics({**_PIXELS, "height": 24}, "k.json")
  np.testing.assert_allclose(got, _K, rtol=1e-6)


@pytest.mark.parametrize(
  ("camera", "says"),
  [
    ({"fx": 1}, "expected key intrinsics, or fx, fy"),
    ({}, "got nothing"),
    ({"intrinsics": [[500, 0, 16], [0, 500, 12], [0, 0, 1]]}, "normalised"),
    ({"intrinsics": [1, 2]}, "shape"),
    ({"intrinsics": "wide"}, "k.json"),
    ({**_PIXELS, "height": 0}, "height 0"),
  ],
)
def test_bad_intrinsics_files(capsys, files, camera, says):
  (files / "k.json").write_text(json.dumps(camera))
  code, _, err = _run(
    capsys,
    *("ask", files / "image.png", "How wide?", "--checkpoint", "none"),
    *("--depth", files / "depth.npy", "--intrinsics", files / "k.json"),
  )
  assert code == 2
  assert says in err
  assert err.startswith("hispatial: error: ")
  assert "\n" not in err


def _bad(files):
  image, depth, camera = "image.png", "depth.npy", "k.json"
  (files / "half.png").write_bytes((files / image).read_bytes()[:60])
  (files / "text.json").write_text("{")
  (files / "list.json").write_text("[1]")
  (files / "half16.png").write_bytes((files / "depth.png").read_bytes()[:90])
  np.save(files / "small.npy", np.ones((8, 32), np.float32))
  np.save(files / "minus.npy", -np.ones((24, 32), np.float32))
  np.save(files / "nan.npy", np.full((24, 32), np.nan, np.float32))
  np.save(files / "object.npy", np.array([{}], object), allow_pickle=True)
  return {
    "no image file": ("none.png", depth, camera),
    "truncated": ("half.png", depth, camera),
    "no picture": ("k.json", depth, camera),
    "no depth file": (image, "none.npy", camera),
    "no intrinsics file": (image, depth, "none.json"),
    "is not JSON": (image, depth, "text.json"),
    "expected a JSON object": (image, depth, "list.json"),
    "another size": (image, "small.npy", camera),
    "negative": (image, "minus.npy", camera),
    "no known value": (image, "nan.npy", camera),
    "object.npy": (image, "object.npy", camera),
    "truncated depth": (image, "half16.png", camera),
    "no uint16 PNG": (image, "image.png", camera),
    "no config.json": (image, depth, camera),
    "give both": (image, depth, None),
  }


def test_every_bad_input_is_one_line_and_a_failure(capsys, files):
  for says, (image, depth, camera) in _bad(files).items():
    argv = ["ask", files / image, "How?", "--checkpoint", files / "nowhere"]
    argv += ["--depth", files / depth]
    argv += ["--intrinsics", files / camera] if camera else []
    code, out, err = _run(capsys, *argv)
    assert (code, out) == (2, "")
    assert says in err
    assert "\n" not in err


def test_ask_takes_its_depth_from_moge(capsys, monkeypatch, workdir, files):
  eyes = moge_fake.MoGe()
  loaded = moge_fake.install(monkeypatch, eyes)
  ask = ("ask", files / "image.png", "How wide?", "--checkpoint", workdir)
  ask += ("--max-new-tokens", 4, "--moge", "model.pt", "--json")
  code, out, _ = _run(capsys, *ask)
  assert code == 0
  answer = json.loads(out)
  assert answer["depth_source"] == "moge"
  assert answer["used_depth"] is True
  assert answer["known_depth"] == 0.75
  assert loaded == [("model.pt", {})]
  code, _, _ = _run(capsys, *ask, "--intrinsics", files / "k.json")
  assert code == 0
  assert eyes.asked[0]["intrinsics"] is None
  np.testing.assert_allclose(eyes.asked[1]["intrinsics"], _K)
  eyes.sky = 1.0
  code, _, err = _run(capsys, *ask[:-1])
  assert code == 0
  assert "from RGB alone: MoGe found no surface" in err


def test_ask_with_moge_and_more(capsys, monkeypatch, workdir, files):
  moge_fake.install(monkeypatch, moge_fake.MoGe())
  ask = ("ask", files / "image.png", "How wide?", "--checkpoint", workdir)
  depth = ("--depth", files / "depth.npy", "--intrinsics", files / "k.json")
  for more, says in (
    ((*depth, "--moge", "model.pt"), "--depth and --moge: give one"),
    (depth[2:], "--intrinsics goes with --depth or --moge"),
    (("--moge", "none"), "no MoGe-2 model none"),
  ):
    code, out, err = _run(capsys, *ask, *more)
    assert (code, out) == (2, "")
    assert says in err
    assert "\n" not in err


@pytest.fixture
def eyes(monkeypatch):
  model = moge_fake.MoGe()
  model.loaded = moge_fake.install(monkeypatch, model)
  return model


def _points(capsys, files, *argv, out="out"):
  moge = ("--moge", "model.pt", "--out", files / out)
  return _run(capsys, "points", *argv, *moge)


def test_points_of_a_photo_feed_ask(capsys, files, eyes, workdir):
  code, out, err = _points(capsys, files, files / "image.png")
  assert code == 0
  names = "points.npz depth.png camera.json depth.jpg cloud.ply mesh.glb"
  assert f"out/image: {names} page.html" in out
  assert "1 of 1 photos written" in out
  assert "75 % known, 1.00 to 3.00 m" in err
  assert "ETA" not in err
  code, out, _ = _run(
    capsys,
    *("ask", files / "image.png", "How wide?", "--checkpoint", workdir),
    *("--depth", files / "out/image/depth.png", "--json"),
    *("--max-new-tokens", 4),
    *("--intrinsics", files / "out/image/camera.json"),
  )
  assert code == 0
  assert json.loads(out)["depth_source"] == "given"


def test_options_reach_moge(capsys, files, eyes):
  argv = (files / "image.png", "--fov-x", 70, "--tokens", 300, "--flip")
  argv += ("--dtype", "bfloat16", "--formats", "png", "--max-side", 28)
  code, _, _ = _points(capsys, files, *argv)
  assert code == 0
  assert eyes.loaded == [("model.pt", {"dtype": "bfloat16"})]
  (asked,) = eyes.asked
  assert asked["shape"] == (21, 28, 3)
  assert (asked["fov_x_deg"], asked["num_tokens"]) == (70, 300)
  assert asked["flip"] is True
  assert asked["intrinsics"] is None
  camera = json.loads((files / "out/image/camera.json").read_text())
  assert camera["fov_x_deg"] == pytest.approx(70, abs=0.01)
  names = {path.name for path in (files / "out/image").iterdir()}
  assert names == {"depth.png", "camera.json", "depth.jpg"}
  known = (files / "image.png", "--intrinsics", files / "k.json")
  assert _points(capsys, files, *known)[0] == 0
  np.testing.assert_allclose(eyes.asked[1]["intrinsics"], _K)


def test_bad_photos_fail_alone(capsys, files, eyes):
  folder = files / "photos"
  (folder / "more").mkdir(parents=True)
  (folder / "a.jpg").write_bytes(b"no picture at all")
  (folder / "b.png").write_bytes((files / "image.png").read_bytes()[:60])
  for name in ("c.png", "more/c.png"):
    (folder / name).write_bytes((files / "image.png").read_bytes())
  argv = (folder, files / "none.jpg", folder / "more", "--formats", "ply")
  code, out, err = _points(capsys, files, *argv)
  assert code == 2
  lines = err.splitlines()
  assert len(lines) == 5
  assert "[1/5] failed" in lines[0]
  assert "a.jpg: no picture" in lines[0]
  assert "ETA" in lines[0]
  assert "b.png: truncated" in lines[1]
  assert "no image file" in lines[3]
  assert "2 of 5 photos written" in out
  assert "3 failed" in out
  assert (files / "out/c/cloud.ply").exists()
  assert (files / "out/c-2/cloud.ply").exists()
  assert len(eyes.loaded) == 1


def test_a_photo_that_moge_refuses_fails_alone(capsys, files, eyes):
  def refuse(images, **options):
    raise ValueError("too thin\nfor its tokens")

  eyes.infer_batch = refuse
  code, _, err = _points(capsys, files, files / "image.png")
  assert code == 2
  assert err.endswith("image.png: too thin for its tokens")


def test_all_sky_is_said_and_written(capsys, files, eyes):
  eyes.sky = 1.0
  code, out, err = _points(capsys, files, files / "image.png")
  assert code == 0
  assert "no surface found" in err
  assert "page.html" in out
  assert "mesh.glb" not in out


def test_bad_points_options_are_one_line(capsys, files, eyes):
  (files / "empty").mkdir()
  (files / "file").write_text("")
  portrait = {"intrinsics": _K, "width": 24, "height": 32}
  (files / "portrait.json").write_text(json.dumps(portrait))
  image = files / "image.png"
  for argv, says in (
    ((files / "empty",), "no pictures right in the folder"),
    ((image, "--formats", "obj"), "unknown formats obj; there are npz"),
    ((image, "--fov-x", 190), "--fov-x 190 is not within"),
    ((image, "--tokens", 0), "--tokens 0"),
    ((image, "--max-side", 3), "--max-side 3"),
    ((image, "--intrinsics", files / "none.json"), "no intrinsics file"),
    (
      (image, "--fov-x", 60, "--intrinsics", files / "k.json"),
      "--fov-x and --intrinsics: give one",
    ),
    ((image, "--moge", "none"), "no MoGe-2 model none"),
  ):
    moge = () if "--moge" in argv else ("--moge", "model.pt")
    code, out, err = _run(
      capsys, "points", *argv, *moge, "--out", files / "out"
    )
    assert (code, out) == (2, ""), argv
    assert says in err
    assert err.startswith("hispatial: error: ")
    assert "\n" not in err
  code, out, err = _points(capsys, files, image, out="file/out")
  assert (code, out) == (2, "")
  assert "cannot make the folder" in err
  code, _, err = _points(
    capsys, files, image, "--intrinsics", files / "portrait.json"
  )
  assert code == 2
  assert "camera of a picture of 24x32, this one has 32x24" in err


def _tiny_moge(golden, path):
  """A checkpoint of random parameters at a tiny width."""
  from hispatial_jax.moge import checkpoint
  from hispatial_jax.weights import lazy

  if not (golden / "moge2/weights.npz").exists():
    pytest.skip("no golden/moge2")
  config = json.loads((golden / "moge2/config.json").read_text())
  meta = json.loads((golden / "moge2/meta.json").read_text())
  config["encoder"]["backbone"] = meta["tiny_backbone"]
  with np.load(golden / "moge2/weights.npz") as archive:
    state = {
      k: lazy.of(archive[k]) for k in archive.files if k != "config_json"
    }
  found = checkpoint.adopt(state, config, "moge-npz", "golden")
  checkpoint.save(path, found)
  return path


@pytest.mark.slow
def test_points_with_a_real_network(capsys, files, golden):
  model = _tiny_moge(golden, files / "moge.npz")
  noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
  cv2.imwrite(str(files / "noise.png"), noise)
  argv = ("points", files / "noise.png", "--moge", model)
  argv += ("--out", files / "out", "--tokens", 24)
  code, _, err = _run(capsys, *argv)
  assert code == 0, err
  from hispatial_jax import moge

  (want,) = moge.load(model).infer_batch([noise[..., ::-1]], num_tokens=24)
  got = np.load(files / "out/noise/points.npz")
  assert 0 < want.mask.sum() < want.mask.size
  np.testing.assert_array_equal(got["points"], want.points)
  np.testing.assert_array_equal(got["normals"], want.normals)
  assert (files / "out/noise/page.html").exists()


def test_wrong_usage_exits_with_2():
  for argv in ([], ["answer"], ["ask", "x.png"], ["points", "x.png"]):
    with pytest.raises(SystemExit) as stop:
      cli.main(argv)
    assert stop.value.code == 2
