"""A tar shard laid out as the released wild data, for tools/bench_input.py.

Its pictures are toy-world scenes of a photo's size and grain; its questions are
ours, in the authors' form: several phrasings, options apart, boxes in pixels.
"""

import io
import struct
import tarfile
import zlib

import cv2
import numpy as np

_TYPES = {
  "distance_to_camera": "vqa_distance_single",
  "size_height": "vqa_object_size_single",
  "size_width": "vqa_object_size_single",
  "orientation": "vqa_orientation",
  "distance": "vqa_distance_multi",
  "left_right": "vqa_object_relation_multi",
  "above_below": "vqa_object_relation_multi",
  "nearer_farther": "vqa_object_relation_multi",
  "size_comparison": "vqa_comparison_multiple_objects",
  "perspective": "vqa_relative_position_new_perspective",
  "perspective_facing": "vqa_relative_position_new_perspective_no_orient",
  "counting": "vqa_counting_objects",
}
_FORMATS = {"text": "text", "mcq": "mcq", "yes_no": "true_false"}
_QUESTIONS = 96
_GRAIN = 4.0  # standard deviation of the noise, grey levels


def write(path, count: int, size: tuple[int, int]) -> None:
  """Writes `count` samples.

  Args:
    path: of the tar.
    count: samples.
    size: (width, height) of image and depth.
  """
  import torch

  from hispatial_jax.toyworld import scenes

  with tarfile.open(path, "w") as tar:
    for number in range(count):
      record = scenes.make(number, min(size))
      members = {
        "jpg": _jpeg(record["image"], size, number),
        "png": _png(record["depth_m"], size, number),
        "intrinsics.pt": _saved(
          torch, torch.tensor(np.asarray(record["intrinsics"]))
        ),
        "pt": _saved(torch, _items(record, size)),
      }
      for kind, data in members.items():
        info = tarfile.TarInfo(f"o365_{number:07d}.{kind}")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))


def _saved(torch, content) -> bytes:
  out = io.BytesIO()
  torch.save(content, out)
  return out.getvalue()


def _jpeg(image, size, seed) -> bytes:
  large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
  grain = np.random.default_rng(seed).normal(0, _GRAIN, large.shape)
  noisy = np.clip(large + grain, 0, 255).astype(np.uint8)
  quality = [cv2.IMWRITE_JPEG_QUALITY, 90]
  return cv2.imencode(".jpg", noisy[..., ::-1], quality)[1].tobytes()


def _png(depth_m, size, seed) -> bytes:
  """Log-coded, with its range in text chunks."""
  from hispatial_jax.pp import codec

  large = cv2.resize(depth_m, size, interpolation=cv2.INTER_NEAREST)
  grain = np.random.default_rng(seed).normal(1, 0.003, large.shape)
  codes, near, far = codec.encode_depth(large * grain.astype(np.float32))
  png = codec.write_png(codes)
  texts = b"".join(
    _chunk(b"tEXt", name + b"\0" + f"{value!r}".encode())
    for name, value in ((b"near", near), (b"far", far))
  )
  return png[:33] + texts + png[33:]


def _chunk(kind: bytes, data: bytes) -> bytes:
  body = kind + data
  size, check = struct.pack(">I", len(data)), zlib.crc32(body)
  return size + body + struct.pack(">I", check)


def _items(record, size) -> dict[str, list]:
  """Level lists of items, as the authors name them."""
  from hispatial_jax.qa import generate, released

  lists: dict[str, list] = {}
  by_task: dict[str, list] = {}
  for qa in generate.draw(record, 0, _QUESTIONS):
    if qa.task in _TYPES:
      by_task.setdefault(qa.task, []).append(qa)
  rng = np.random.default_rng(0)
  for task, found in by_task.items():
    kind = _TYPES[task]
    for first in range(0, len(found), 6):
      item = {
        "qa_type": kind,
        "object": _object(rng, size),
        "qa_pairs": [_pair(qa) for qa in found[first : first + 6]],
      }
      level = released.level("wild", kind)
      lists.setdefault(f"level{level}_{task}_list", []).append(item)
  return lists


def _pair(qa) -> dict:
  question, answer, options = qa.question, qa.answer, None
  if qa.format == "mcq":
    question, *lines = question.split("\n")
    shown = dict(line.split(". ", 1) for line in lines)
    options, answer = list(shown.values()), shown[answer]
  phrasings = [question, f"In this picture: {question}", f"{question} "]
  return {
    "question": phrasings,
    "answer": answer,
    "options": options,
    "format": _FORMATS[qa.format],
    "qa_type": qa.task,
  }


def _object(rng, size) -> dict:
  width, height = size
  x, y = rng.uniform(0, width / 2), rng.uniform(0, height / 2)
  box = [x, y, x + width / 4, y + height / 4]
  return {
    "referring_i": "the thing (highlighted by the red box)",
    "raw_i": {"raw_bbox": [float(v) for v in box], "class": "thing"},
  }
