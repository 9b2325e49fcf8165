"""Writes a benchmark in the format of hispatial_custom.py."""

import json
import pathlib

from hispatial_jax.benchmarks import hispatial_custom, pictures

_KEPT = ("task", "question", "answer", "intrinsics")


def save(folder, questions) -> None:
  """Writes questions, each picture and depth map once.

  Args:
    folder: made if it isn't there; must hold no custom_bench.jsonl yet.
    questions: dicts of task, question, answer, image (bytes of a PNG) and
      maybe id, level, depth (bytes of a 16-bit PNG, millimetres) with
      intrinsics (3x3 of the unit image).

  Raises:
    FileExistsError: there is a benchmark already.
    DataError, ReadError: an answer or a picture that could not be read back.
  """
  folder, names = pathlib.Path(folder), {}
  file = folder / "custom_bench.jsonl"
  if file.exists():
    raise FileExistsError(f"{file} is there already: choose another folder")
  for part in ("images", "depth"):
    (folder / part).mkdir(parents=True, exist_ok=True)

  def keep(part: str, data: bytes, key: str) -> str:
    if (part, data) not in names:
      name = f"{part}/{sum(p == part for p, _ in names):05d}.png"
      (folder / name).write_bytes(pictures.checked(data, key))
      names[part, data] = name
    return names[part, data]

  lines = [_line(item, n, keep) for n, item in enumerate(questions)]
  file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _line(item: dict, number: int, keep) -> dict:
  task = item["task"]
  key = item.get("id", f"{task}/{number}")
  hispatial_custom.truth_of(item["answer"], key)
  level = item.get("level", 1 + hispatial_custom.TASKS.index(task))
  line = {"id": key, "level": level, **{k: item[k] for k in _KEPT if k in item}}
  line["image"] = keep("images", item["image"], key)
  if item.get("depth"):
    line["depth"] = keep("depth", item["depth"], key)
  return line
