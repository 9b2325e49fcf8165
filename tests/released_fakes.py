"""Tiny shards in the layouts that HiSpatial's authors released."""

import io
import json
import struct
import tarfile
import zlib

import cv2
import numpy as np
import torch

H, W = 6, 8
CAMERA = [[0.9, 0.0, 0.5], [0.0, 1.2, 0.5], [0.0, 0.0, 1.0]]
WILD_ITEM = {
  "qa_type": "vqa_distance_single",
  "question": "How far is the mug?",
  "answer": "1 m",
}
CA1M_ITEM = {"qa_type": "orientation", "prefix": "Where to?", "suffix": "left"}
TURNS = [
  {"from": "human", "value": "<image>\nWhat is it?"},
  {"from": "gpt", "value": "A mug."},
]


class Bomb:
  """Unpickled, it would make a file."""

  def __init__(self, path):
    self.path = str(path)

  def __reduce__(self):
    return open, (self.path, "w")


def saved(content, **options) -> bytes:
  """The bytes of a file of torch.save."""
  file = io.BytesIO()
  torch.save(content, file, **options)
  return file.getvalue()


def jpeg(height=H, width=W) -> bytes:
  image = np.arange(height * width * 3, dtype=np.uint8) % 251
  return cv2.imencode(".jpg", image.reshape(height, width, 3))[1].tobytes()


def huge_jpeg() -> bytes:
  """One whose header says 20,000 x 10,000 pixels."""
  data = bytearray(jpeg())
  at = data.find(b"\xff\xc0")
  struct.pack_into(">HH", data, at + 5, 10_000, 20_000)
  return bytes(data)


def damaged_jpeg() -> bytes:
  """One that is there to its end, but without a sane table of codes."""
  data = bytearray(jpeg())
  at = data.find(b"\xff\xc4")
  data[at + 5 : at + 21] = b"\x7f" * 16
  return bytes(data)


def chunk(kind: bytes, content: bytes) -> bytes:
  """A chunk of a PNG."""
  check = zlib.crc32(kind + content)
  return struct.pack(">I", len(content)) + kind + content + check.to_bytes(4)


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
  """A PNG with more chunks after its header."""
  return png[:33] + b"".join(chunks) + png[33:]


def png(height=H, width=W, texts=(("near", "0.5"), ("far", "8.0"))) -> bytes:
  """Log depth: codes 0, 65535, 1, 65534 and more."""
  codes = np.linspace(1, 65534, height * width).astype(np.uint16)
  codes[1:3] = 0, 65535
  data = cv2.imencode(".png", codes.reshape(height, width))[1].tobytes()
  chunks = [chunk(b"tEXt", f"{k}\0{v}".encode()) for k, v in texts]
  return with_chunks(data, *chunks)


def npy(depth) -> bytes:
  file = io.BytesIO()
  np.save(file, depth, allow_pickle=True)
  return file.getvalue()


def depth(height=H, width=W) -> np.ndarray:
  """f32[H,W] metres."""
  return np.linspace(0.5, 4, height * width, dtype=np.float32).reshape(
    height, width
  )


def points(height=H, width=W, camera=CAMERA) -> np.ndarray:
  """f32[H,W,3] of `depth` and a camera."""
  (fx, _, cx), (_, fy, cy), _ = camera
  u = (np.arange(width) + 0.5)[None] / width
  v = (np.arange(height) + 0.5)[:, None] / height
  z = depth(height, width)
  return np.stack([(u - cx) / fx * z, (v - cy) / fy * z, z], -1).astype("f4")


def wild(**changes) -> dict[str, bytes]:
  """End of the name -> file; a change of None leaves one out."""
  return _changed(
    {
      ".jpg": jpeg(),
      ".png": png(),
      ".intrinsics.pt": saved(torch.tensor(CAMERA)),
      ".pt": saved({"level1_list": [WILD_ITEM]}),
    },
    changes,
  )


def ca1m(**changes) -> dict[str, bytes]:
  k = torch.tensor([[7.0, 0, W / 2 - 0.5], [0, 7.0, H / 2 - 0.5], [0, 0, 1]])
  return _changed(
    {
      "_image.jpg": jpeg(),
      "_depth.npy": npy(depth()),
      "_intrinsics.pt": saved({"K": k}),
      "_qa.pt": saved([CA1M_ITEM]),
    },
    changes,
  )


def general(**changes) -> dict[str, bytes]:
  return _changed(
    {".jpg": jpeg(), ".pt": moge(), ".json": json.dumps(TURNS).encode()},
    changes,
  )


def moge(**changes) -> bytes:
  """The .pt of a general sample; a change of None leaves a key out."""
  content = {
    "points": torch.tensor(points()),
    "depth": torch.tensor(depth()),
    "mask": torch.ones(H, W, dtype=torch.bool),
    "intrinsics": torch.tensor(CAMERA),
  }
  content |= changes
  return saved({k: v for k, v in content.items() if v is not None})


def _changed(files, changes):
  ends = {end.lstrip("._").replace(".", "_"): end for end in files}
  files = files | {ends[key]: value for key, value in changes.items()}
  return {end: data for end, data in files.items() if data is not None}


def write(path, samples) -> str:
  """A tar of [(key, end -> bytes)]."""
  with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
    for key, files in samples:
      for end, data in files.items():
        member = tarfile.TarInfo(key + end)
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
  return str(path)
