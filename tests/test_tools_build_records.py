"""The command line of tools/build_records.py, as a user types it."""

import importlib.util
import io
import json
import pathlib
import subprocess
import sys
import tarfile

import cv2
import data_fakes
import numpy as np

from hispatial_jax.core import tokenizer
from hispatial_jax.data import builder, records

_TOOL = pathlib.Path(__file__).parent.parent / "tools" / "build_records.py"


def _run(*args):
  command = [sys.executable, str(_TOOL), *map(str, args)]
  return subprocess.run(command, capture_output=True, text=True)


def _main(capsys, *args):
  """The same in this process, which is quicker: (code, stdout, stderr)."""
  spec = importlib.util.spec_from_file_location("build_records", _TOOL)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  code = module.main([*map(str, args), "--workers", "1"])
  return code, *capsys.readouterr()


def test_toy_world_and_tokenizer(tmp_path):
  args = ["toyworld", "--out", tmp_path, "--train", 3, "--val", 2]
  args += ["--size", 32, "--workers", 2]
  words = tmp_path / "words.model"
  done = _run(*args, "--tokenizer", words)
  assert done.returncode == 0, done.stderr
  assert "train: 3 records" in done.stdout
  assert len(builder.open_split(tmp_path, "val")) == 2
  record = records.decode(builder.open_split(tmp_path, "train")[0])
  assert record["source"] == "toyworld"
  assert tokenizer.load(words).encode("red chair")
  again = _run(*args)
  assert again.returncode == 0
  assert "nothing to do" in again.stdout
  other = _run(*args, "--seed", 1)
  assert other.returncode == 1
  assert "other settings" in other.stderr.splitlines()[-1]


def test_jsonl_with_a_bad_record(tmp_path):
  image = data_fakes.record()["image"]
  data = cv2.imencode(".jpg", image)[1].tobytes()
  (tmp_path / "good.jpg").write_bytes(data)
  (tmp_path / "bad.jpg").write_bytes(data[:-50])
  lines = [{"id": n, "image": f"{n}.jpg"} for n in ("good", "bad")]
  file = tmp_path / "own.jsonl"
  file.write_text("\n".join(map(json.dumps, lines)))
  args = ["jsonl", file, "--out", tmp_path / "out", "--workers", 1]
  stopped = _run(*args)
  assert stopped.returncode == 1
  assert "Traceback" not in stopped.stderr
  assert "truncated" in stopped.stderr.splitlines()[-1]
  done = _run(*args, "--skip-bad")
  assert done.returncode == 0, done.stderr
  assert "1 bad ones left out" in done.stdout
  assert "'bad'" in done.stderr


def test_pictures_of_a_damaged_tar(tmp_path, capsys):
  path = tmp_path / "x.tar"
  data = cv2.imencode(".jpg", data_fakes.record()["image"])[1].tobytes()
  with tarfile.open(path, "w") as tar:
    for number in range(3):
      member = tarfile.TarInfo(f"{number}.jpg")
      member.size = len(data)
      tar.addfile(member, io.BytesIO(data))
  each = 512 - len(data) // -512 * 512
  path.write_bytes(path.read_bytes()[: 2 * each + 600])
  code, _, err = _main(capsys, "images", path, "--out", tmp_path / "out")
  assert code == 0, err
  assert "left out (truncated_tar): " in err
  train = builder.open_split(tmp_path / "out", "train")
  assert {r["id"] for r in train} == {b"x.tar/0", b"x.tar/1"}


def test_scannet_frames_without_depth_are_left_out(tmp_path, capsys):
  folder = pathlib.Path(__file__).parent / "golden/qspatial/scannet_images"
  args = ["scannet", folder, "--out", tmp_path, "--size", 32]
  code, _, err = _main(capsys, *args)
  assert code == 1
  assert "scene0025_00/500: no file" in err.splitlines()[-1]
  code, out, err = _main(capsys, *args, "--skip-bad")
  assert code == 0, err
  assert "train: 2 records" in out
  assert "1 bad ones left out" in out
  record = records.decode(builder.open_split(tmp_path, "train")[0])
  assert record["image"].shape[:2] == record["depth_m"].shape == (24, 32)


def test_tum_needs_a_camera(tmp_path, capsys):
  folder = tmp_path / "kitchen"
  for kind in ("rgb", "depth"):
    (folder / kind).mkdir(parents=True)
    (folder / f"{kind}.txt").write_text(f"1.0 {kind}/1.png\n")
  cv2.imwrite(str(folder / "rgb/1.png"), np.zeros((24, 32, 3), np.uint8))
  depth = np.full((24, 32), 7500, np.uint16)
  cv2.imwrite(str(folder / "depth/1.png"), depth)
  args = ["tum", folder, "--out", tmp_path / "out"]
  code, _, err = _main(capsys, *args)
  assert code == 1
  assert "give its intrinsics (--intrinsics)" in err
  camera = {"intrinsics": [[0.9, 0, 0.5], [0, 1.2, 0.5], [0, 0, 1]]}
  (tmp_path / "k.json").write_text(json.dumps(camera))
  code, _, err = _main(capsys, *args, "--intrinsics", tmp_path / "k.json")
  assert code == 0, err
  (record,) = map(records.decode, builder.open_split(tmp_path / "out", "train"))
  assert record["id"] == "kitchen/1.0"
  np.testing.assert_allclose(record["depth_m"], 1.5, rtol=1e-4)
  np.testing.assert_allclose(record["intrinsics"], camera["intrinsics"])


def test_errors_are_one_line(tmp_path):
  done = _run("toyworld", "--out", tmp_path, "--seed", 1000)
  assert done.returncode == 1
  assert done.stderr == "error: toy world: seed 1000 is not in 0..98\n"
  done = _run("jsonl", tmp_path / "none.jsonl", "--out", tmp_path)
  assert done.returncode == 1
  assert done.stderr.startswith("error: ")
  assert _run("--help").returncode == 0
