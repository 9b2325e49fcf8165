"""The command line of tools/build_records.py, as a user types it."""

import importlib.util
import io
import json
import pathlib
import subprocess
import sys
import tarfile
import time

import cv2
import data_fakes
import numpy as np
import pytest

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


def test_toy_world_and_tokenizer(tmp_path, capsys):
  args = ["toyworld", "--out", tmp_path, "--train", 3, "--val", 2]
  args += ["--size", 32]
  words = tmp_path / "words.model"
  done = _run(*args, "--workers", 2, "--tokenizer", words)
  assert done.returncode == 0, done.stderr
  assert "train: 3 records" in done.stdout
  assert done.stdout.count(f"  {tmp_path}/report.html\n") == 1
  assert len(builder.open_split(tmp_path, "val")) == 2
  record = records.decode(builder.open_split(tmp_path, "train")[0])
  assert record["source"] == "toyworld"
  assert tokenizer.load(words).encode("red chair")
  code, out, _ = _main(capsys, *args)
  assert code == 0
  assert "already holds these records: nothing to do" in out
  code, _, err = _main(capsys, *args, "--seed", 1)
  assert code == 1
  assert "source.seed was 0, is 1" in err.splitlines()[-1]
  code, out, _ = _main(capsys, *args, "--seed", 1, "--overwrite")
  assert code == 0
  assert "train: 3 records" in out
  assert builder.description(tmp_path)["source"]["seed"] == 1


def _bytes(out):
  folder = out / "records" / "1.0.0"
  return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_killed_with_three_workers_and_gone_on_with_one(tmp_path, capsys):
  args = ["toyworld", "--train", 44, "--val", 4, "--size", 48]
  args += ["--shard-size", 4, "--out"]
  assert _main(capsys, *args, tmp_path / "plain")[0] == 0
  out = tmp_path / "killed"
  command = [sys.executable, _TOOL, *args, out, "--workers", 3]
  process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
  while len(found := sorted((out / "shards").glob("*.json"))) < 2:
    assert process.poll() is None
    time.sleep(0.01)
  process.kill()
  process.wait()
  assert not (out / "records/1.0.0/dataset_info.json").exists()
  finished = {path: path.stat().st_mtime_ns for path in found}
  code, said, err = _main(capsys, *args, out)
  assert code == 0, err
  assert "train: 44 records" in said
  assert finished == {path: path.stat().st_mtime_ns for path in found}
  assert _bytes(out) == _bytes(tmp_path / "plain")


def test_jsonl_with_a_bad_record(tmp_path, capsys):
  image = data_fakes.record()["image"]
  data = cv2.imencode(".jpg", image)[1].tobytes()
  (tmp_path / "good.jpg").write_bytes(data)
  (tmp_path / "bad.jpg").write_bytes(data[:-50])
  lines = [{"id": n, "image": f"{n}.jpg"} for n in ("good", "bad")]
  file = tmp_path / "own.jsonl"
  file.write_text("\n".join(map(json.dumps, lines)))
  args = ["jsonl", file, "--out", tmp_path / "out"]
  stopped = _run(*args, "--workers", 1)
  assert stopped.returncode == 1
  assert "Traceback" not in stopped.stderr
  assert "bad (truncated): truncated" in stopped.stderr.splitlines()[-1]
  code, out, err = _main(capsys, *args, "--skip-bad")
  assert code == 0, err
  assert "1 bad picture left out (truncated: 1): see" in out
  (bad,) = (tmp_path / "out/quarantine.jsonl").read_text().splitlines()
  assert json.loads(bad)["id"] == "bad"
  record = records.decode(builder.open_split(tmp_path / "out", "train")[0])
  assert np.isnan(record["depth_m"]).all()
  # Repaired, only its shard is made again; the share is none by default.
  (tmp_path / "bad.jpg").write_bytes(data)
  code, out, err = _main(capsys, *args, "--redo-bad")
  assert code == 0, err
  assert "train: 2 records" in out


def test_records_of_records_made_square(tmp_path, capsys):
  data_fakes.write(data_fakes.Source(train=3, val=1, size=40), tmp_path / "a")
  args = ["tfds", tmp_path / "a", "--out", tmp_path / "b", "--size", 20]
  code, out, err = _main(capsys, *args)
  assert code == 0, err
  assert "val: 1 records" in out
  record = records.decode(builder.open_split(tmp_path / "b", "train")[2])
  assert record["id"] == "r0002"
  assert record["image"].shape[:2] == record["depth_m"].shape == (20, 20)
  assert record["native"].tolist() == [[40, 40], [40, 40]]
  # Made smaller once more, boxes and rays still go by the source's pixels.
  again = ["tfds", tmp_path / "b", "--out", tmp_path / "c", "--size", 16]
  assert _main(capsys, *again)[0] == 0
  record = records.decode(builder.open_split(tmp_path / "c", "val")[0])
  assert record["depth_m"].shape == (16, 16)
  assert record["native"].tolist() == [[40, 40], [40, 40]]
  code, _, err = _main(capsys, *args, "--max-side", 32)
  assert code == 1
  assert "size 32 and square 20: give one" in err


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
  args = ["scannet", folder, "--out", tmp_path, "--max-side", 32]
  code, _, err = _main(capsys, *args)
  assert code == 1
  assert "scene0025_00/500: no file" in err.splitlines()[-1]
  code, out, err = _main(capsys, *args, "--skip-bad")
  assert code == 0, err
  assert "train: 2 records" in out
  assert "1 bad picture left out (no_depth: 1)" in out
  record = records.decode(builder.open_split(tmp_path, "train")[0])
  assert record["image"].shape[:2] == record["depth_m"].shape == (24, 32)
  assert record["native"][0].tolist() == [48, 64]


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


@pytest.mark.parametrize(
  ("more", "said"),
  [
    (["--seed", 1000], "toy world: seed 1000 is not in 0..98"),
    (["--overwrit"], "unknown flags: --overwrit (did you mean '--overwrite'?)"),
    (["--projct=p"], "unknown flags: --projct (did you mean '--project'?)"),
    (["--shard-size", -1], "options: shard size -1 is less than 1"),
  ],
)
def test_errors_are_one_line(tmp_path, capsys, more, said):
  code, _, err = _main(capsys, "toyworld", "--out", tmp_path, *more)
  assert code == 1
  assert err == f"error: {said}\n"


def test_flags_of_beam_may_follow(tmp_path, capsys):
  args = ["toyworld", "--out", tmp_path, "--train", 2, "--val", 0, "--size", 32]
  more = ["--direct_num_workers", 1, "--direct_running_mode", "in_memory"]
  code, out, err = _main(capsys, *args, *more)
  assert code == 0, err
  assert "train: 2 records" in out


def test_a_file_that_is_not_there(tmp_path):
  done = _run("jsonl", tmp_path / "none.jsonl", "--out", tmp_path)
  assert done.returncode == 1
  assert done.stderr.startswith("error: ")
  assert len(done.stderr.splitlines()) == 1
