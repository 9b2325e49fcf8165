"""The command line of tools/build_records.py, as a user types it."""

import json
import pathlib
import subprocess
import sys

import cv2
import data_fakes

from hispatial_jax.core import tokenizer
from hispatial_jax.data import builder, records

_TOOL = pathlib.Path(__file__).parent.parent / "tools" / "build_records.py"


def _run(*args):
  command = [sys.executable, str(_TOOL), *map(str, args)]
  return subprocess.run(command, capture_output=True, text=True)


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


def test_errors_are_one_line(tmp_path):
  done = _run("toyworld", "--out", tmp_path, "--seed", 1000)
  assert done.returncode == 1
  assert done.stderr == "error: toy world: seed 1000 is not in 0..98\n"
  done = _run("jsonl", tmp_path / "none.jsonl", "--out", tmp_path)
  assert done.returncode == 1
  assert done.stderr.startswith("error: ")
  assert _run("--help").returncode == 0
