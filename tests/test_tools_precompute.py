"""tools/precompute_points.py: from the command line to records and a page."""

import importlib.util
import inspect
import json
import pathlib

import cv2
import golden_moge
import numpy as np
import precompute_fakes as fakes
import pytest

from hispatial_jax.data import builder, records
from hispatial_jax.moge import checkpoint, infer
from hispatial_jax.pp import given
from hispatial_jax.weights import lazy

_PATH = pathlib.Path(__file__).parent.parent / "tools" / "precompute_points.py"


@pytest.fixture(scope="module")
def tool():
  spec = importlib.util.spec_from_file_location("precompute_points", _PATH)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.fixture
def photos(tmp_path):
  folder = tmp_path / "photos"
  fakes.write_photos(folder, 20, broken=(7,))
  return folder


@pytest.fixture
def model(tmp_path, monkeypatch):
  path = tmp_path / "model.pt"
  path.write_bytes(b"weights")

  def load(cls, path, *, dtype, devices=None):
    assert pathlib.Path(path).read_bytes() == b"weights"
    assert dtype == "float32"
    return fakes.Eyes(devices)

  monkeypatch.setattr(infer.MoGe, "load", classmethod(load))
  return path


def _args(photos, tmp_path, model, *more):
  out = ["--out", str(tmp_path / "out"), "--shard-size", "8"]
  return [str(photos), *out, "--moge", str(model), *more]


def test_the_fake_is_asked_what_the_model_takes():
  for name in ("tokens", "bucket", "infer_batch"):
    asked = inspect.signature(getattr(fakes.Eyes, name)).parameters.keys()
    takes = inspect.signature(getattr(infer.MoGe, name)).parameters.keys()
    if "options" in takes:
      takes |= inspect.signature(infer.MoGe._infer).parameters.keys()
    assert asked <= takes, name


def test_a_folder_becomes_records(tool, photos, model, tmp_path, capsys):
  args = _args(photos, tmp_path, model, "--val", "0.2", "--size", "48")
  assert tool.main([*args, "--max-bad-share", "0.1"]) == 0
  said = capsys.readouterr().out
  assert "19 records of" in said
  assert "1 bad picture left out (truncated: 1)" in said
  out = tmp_path / "out"
  train = builder.open_split(out, "train")
  assert len(train) + len(builder.open_split(out, "val")) == 19
  assert max(records.decode(train[0])["image"].shape) == 48
  facts = json.loads((out / "plan.json").read_text())
  assert facts["model"]["file"] == "model.pt"
  page = (out / "report.html").read_text()
  assert "19 records of 20 pictures; 1 could not be used." in page
  assert page.count('<figure><div class="pair">') == 19
  assert "p0007.jpg" in page
  assert "http://" not in page.replace("http://www.w3.org", "")


def test_devices_make_the_same_files(tool, photos, model, tmp_path, capsys):
  args = _args(photos, tmp_path, model, "--max_bad_share", "0.1")
  assert tool.main(args) == 0
  shards = tmp_path / "out" / "records" / "1.0.0"
  before = {path.name: path.read_bytes() for path in shards.iterdir()}
  args[args.index("--out") + 1] = str(tmp_path / "other")
  assert tool.main([*args, "--on_devices"]) == 0
  shards = tmp_path / "other" / "records" / "1.0.0"
  assert before == {path.name: path.read_bytes() for path in shards.iterdir()}


@pytest.mark.parametrize(
  ("more", "said"),
  [
    (["--num_wrkers", "2"], "unknown flags: --num_wrkers (did you mean"),
    (["--kind", "tar", "--stride", "2"], "--stride: not for --kind tar"),
    (["--size", "8"], "size 8 is less than 32 pixels"),
    (["--moge", "nowhere.pt"], "no model at nowhere.pt"),
    ([], "1 of 20 pictures could not be used (truncated: 1)"),
  ],
)
def test_errors_are_one_clear_line(
  tool, photos, model, tmp_path, capsys, more, said
):
  assert tool.main(_args(photos, tmp_path, model, *more)) == 1
  errors = capsys.readouterr().err
  assert "error: " in errors
  assert said in errors
  assert "Traceback" not in errors


def test_other_options_need_overwrite(tool, photos, model, tmp_path, capsys):
  args = _args(photos, tmp_path, model, "--max-bad-share", "0.1")
  assert tool.main(args) == 0
  assert tool.main([*args, "--batch-size", "3"]) == 1
  assert "options.batch_size was 8, is 3" in capsys.readouterr().err
  assert tool.main([*args, "--batch-size", "3", "--overwrite"]) == 0


@pytest.mark.slow
def test_records_hold_what_the_network_says(tool, golden, tmp_path, capsys):
  """The real network, of the fixture's size, through Beam."""
  model, photos = tmp_path / "moge.npz", tmp_path / "real"
  theirs = {n: lazy.of(x) for n, x in golden_moge.state(golden).items()}
  config = golden_moge.config(golden)
  found = checkpoint.adopt(theirs, config, "moge-pt", "golden")
  checkpoint.save(model, found)
  photos.mkdir()
  whole = golden_moge.arrays(golden, "cases.npz")["img0/image_u8"]
  for i in range(3):
    picture = np.ascontiguousarray(whole[:, i:, ::-1])
    cv2.imwrite(str(photos / f"{i}.png"), picture)
  (photos / "none.jpg").write_bytes(b"no picture")
  args = _args(photos, tmp_path, model, "--max-bad-share", "0.5")
  args += ["--batch-size", "2"]
  assert tool.main(args) == 0
  assert "1 bad picture left out (image: 1)" in capsys.readouterr().out
  eyes, out = infer.MoGe.load(model), tmp_path / "out"
  for stored in builder.open_split(str(out), "train"):
    record = records.decode(stored)
    picture = given.read_image(photos / record["id"])
    (seen,) = eyes.infer_batch([picture], pad_to=2)
    np.testing.assert_allclose(record["depth_m"], seen.depth, rtol=2e-4)
    np.testing.assert_allclose(record["intrinsics"], seen.intrinsics, atol=1e-5)
    assert np.isinf(record["depth_m"]).any()
