"""The command line: quick help, files read as promised, one line on errors."""

import json
import subprocess
import sys

import cv2
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


def test_wrong_usage_exits_with_2():
  for argv in ([], ["answer"], ["ask", "x.png"]):
    with pytest.raises(SystemExit) as stop:
      cli.main(argv)
    assert stop.value.code == 2
