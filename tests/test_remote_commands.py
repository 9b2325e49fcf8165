"""Every command with gs:// paths, on a bucket that is a folder."""

import functools
import importlib.util
import json
import pathlib
import shutil

import cv2
import evaluation_fakes
import fake_bucket
import golden_moge
import moge_fake
import numpy as np
import pytest
import tiny
import train_driver
import weights_random

from hispatial_jax import cli, train
from hispatial_jax.core import metrics, npz, rundir
from hispatial_jax.data import pipeline
from hispatial_jax.moge import checkpoint as moge_checkpoint
from hispatial_jax.weights import export, lazy, source

_ROOT = pathlib.Path(__file__).parent.parent
_K = {"intrinsics": [[0.9, 0, 0.5], [0, 1.2, 0.5], [0, 0, 1]]}


@functools.cache
def _tool(name):
  path = _ROOT / "tools" / f"{name}.py"
  spec = importlib.util.spec_from_file_location(name, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def _run(name, *argv, code=0):
  assert _tool(name).main([str(x) for x in argv]) == code


@pytest.fixture
def root(tmp_path, monkeypatch):
  return fake_bucket.at(tmp_path, monkeypatch)


@pytest.fixture
def workdir(root):
  tiny.save(root / "b/run")
  return "gs://b/run"


@pytest.mark.parametrize(
  ("fused", "kinds"),
  [
    (False, ["npz", "huggingface", "orbax"]),
    (True, ["hispatial", "hispatial-safetensors", "orbax"]),
  ],
)
def test_weights_of_every_format(fused, kinds, root, tmp_path, capsys):
  cfg = weights_random.config(pointmap=fused)
  params = weights_random.params(cfg)
  arrays = {n: lazy.of(x) for n, x in params.items()}
  src = tmp_path / "start.npz"
  export.save(src, source.Checkpoint(arrays, cfg, "npz"))
  for kind in kinds:
    dst = f"gs://b/{kind}" + (".npz" if kind == "npz" else "")
    _run("convert_weights", src, dst, "--to", kind, "--verify")
    out = capsys.readouterr().out
    assert "largest difference of the round trip: 0\n" in out
    src = dst
  _run("convert_weights", src, tmp_path / "end.npz", "--verify")
  first, last = (source.open(tmp_path / f"{x}.npz") for x in ("start", "end"))
  assert export.difference(first, last) == (0, "")
  _run("convert_weights", src, dst, "--to", kind, code=1)
  assert "is there already" in capsys.readouterr().err
  _run("convert_weights", "gs://b/none.npz", "gs://b/x.npz", code=1)
  assert "gs://b/none.npz: no such file" in capsys.readouterr().err


def test_weights_of_moge(root, golden):
  theirs = {n: lazy.of(x) for n, x in golden_moge.state(golden).items()}
  config = golden_moge.config(golden)
  start = moge_checkpoint.adopt(theirs, config, "moge-pt", "golden")
  moge_checkpoint.save("gs://b/m/model.safetensors", start)
  again = moge_checkpoint.open("gs://b/m")
  assert export.difference(start, again) == (0, "")


def _train(*more, code=0):
  recipe = f"{_ROOT}/tests/train_config.py:tokenizer=gs://b/words.model"
  argv = ["--config", recipe, "--workdir", "gs://b/new"]
  assert train.main([*argv, *more]) == code


@pytest.mark.slow
def test_a_run_starts_and_goes_on(root, monkeypatch, capsys):
  monkeypatch.setattr(pipeline, "train_iterator", train_driver.Batches)
  (root / "b").mkdir()
  tiny.words().save(root / "b/words.model")
  npz.save(root / "b/init.npz", tiny.params())
  rundir.save_config(root / "b", {"model": tiny.config()})
  more = ["--config.total_steps=2", "--config.log.tensorboard=False"]
  _train("--config.init=gs://b/init.npz", *more)
  assert "gs://b/init.npz" in capsys.readouterr().out
  _train(*more)
  assert "resumed at step 2" in capsys.readouterr().out
  lines = metrics.read("gs://b/new")
  assert [line["step"] for line in lines] == [1, 2]
  steps = sorted(p.name for p in (root / "b/new/checkpoints").iterdir())
  assert steps == ["2"]
  assert (root / "b/new/checkpoints/2/seal-0.json").exists()


def _recipe(folder, data):
  words = "gs://b/run/tokenizer.model"
  return tiny.save_recipe(folder / "config.py", tokenizer=words, data=data)


def test_records_are_not_read_from_a_bucket(workdir, capsys, tmp_path):
  config = _recipe(tmp_path, "gs://b/data")
  run = ["--config", str(config), "--workdir", "gs://b/new"]
  assert train.main(run) == 1
  error = capsys.readouterr().err
  assert "gs://b/data: records can only be read from a local folder" in error
  assert error.count("\n") == 1
  for name, argv in {
    "precompute_points": ["gs://b/photos"],
    "build_records": ["images", "gs://b/photos"],
  }.items():
    _run(name, *argv, "--out", tmp_path / "out", code=1)
    assert "gcloud storage rsync" in capsys.readouterr().err


def test_records_are_written_to_a_bucket(root, capsys):
  args = ["toyworld", "--train", 3, "--val", 2, "--size", 56, "--workers", 1]
  _run("build_records", *args, "--out", "gs://b/toy")
  place = root / "b/toy/records/1.0.0"
  assert (place / "dataset_info.json").exists()
  assert list(place.glob("*.array_record*"))
  assert (root / "b/toy/report.html").exists()
  _run("build_records", *args, "--out", "gs://b/toy")
  assert "already holds these records" in capsys.readouterr().out


def _ask(workdir, *more):
  ask = ["ask", "gs://b/photo.png", "How wide?", "--checkpoint", workdir]
  return cli.main([*ask, "--max-new-tokens", "4", *more])


def _photo(root):
  (root / "b").mkdir(exist_ok=True)
  image = np.full((24, 32, 3), 90, np.uint8)
  cv2.imwrite(str(root / "b/photo.png"), image)


def test_ask(root, workdir, capsys):
  _photo(root)
  np.save(root / "b/depth.npy", np.ones((24, 32), np.float32))
  (root / "b/k.json").write_text(json.dumps(_K))
  depth = ["--depth", "gs://b/depth.npy", "--intrinsics", "gs://b/k.json"]
  assert _ask(workdir, *depth, "--json") == 0
  assert json.loads(capsys.readouterr().out)["used_depth"] is True
  assert _ask("gs://b/none") == 2
  assert "no config.json in gs://b/none" in capsys.readouterr().err


def test_points(root, monkeypatch, capsys):
  moge_fake.install(monkeypatch, moge_fake.MoGe())
  _photo(root)
  points = ["points", "gs://b/photo.png", "--moge", "gs://b/m.pt"]
  assert cli.main([*points, "--out", "gs://b/points"]) == 0
  assert "all of it is in gs://b/points" in capsys.readouterr().out
  made = {path.name for path in (root / "b/points/photo").iterdir()}
  assert {"points.npz", "depth.png", "camera.json", "cloud.ply"} <= made


def test_held_out_records_report_and_curves(root, workdir, tmp_path, capsys):
  build = ["toyworld", "--train", 4, "--val", 2, "--size", 56, "--workers", 1]
  _run("build_records", *build, "--out", tmp_path / "data")
  config = _recipe(tmp_path, tmp_path / "data")
  argv = ["--benchmark", "by_level", "--max-new-tokens", 2, "--batch-size", 4]
  argv += ["--config", config, "--checkpoint", workdir]
  _run("evaluate", *argv, "--out", "gs://b/run/eval")
  assert (root / "b/run/eval/metrics.json").exists()
  metrics.remote.append(
    metrics.remote.path(workdir) / metrics.FILE, '{"step": 7, "val/loss": 1}\n'
  )
  _run("write_report", workdir, "--photo", "gs://b/run/photo.jpg")
  assert "<html" in (root / "b/run/report.html").read_text()
  assert (root / "b/run/photo.camera.json").exists()
  _run("compare_runs", workdir, "--out", "gs://b/curves.png")
  assert (root / "b/curves.png").read_bytes().startswith(b"\x89PNG")
  assert "| run |" in capsys.readouterr().out


def test_a_benchmark_is_asked_scored_and_compared(root, capsys):
  shutil.copytree(evaluation_fakes.GOLDEN / "cvbench", root / "b/data/cvbench")
  common = ["--benchmark", "cvbench", "--data", "gs://b/data/cvbench"]
  said = "predictions:gs://b/data/cvbench/predictions.json"
  _run("evaluate", *common, "--model", said, "--out", "gs://b/said")
  _run("evaluate", *common, "--model", said, "--out", "gs://b/ours")
  rows = (root / "b/ours/predictions.jsonl").read_text().count("\n")
  assert rows == (root / "b/said/predictions.jsonl").read_text().count("\n")
  again = [*common, "--rescore", "--out", "gs://b/said"]
  before = (root / "b/said/metrics.json").read_bytes()
  (root / "b/said/metrics.json").unlink()
  _run("evaluate", *again)
  assert (root / "b/said/metrics.json").read_bytes() == before
  _run("compare_evals", "gs://b/said", "gs://b/ours")
  assert (root / "b/ours/vs_said/compare.json").exists()
  assert "wrote gs://b/ours/vs_said/compare.json" in capsys.readouterr().out
