"""Some of the records for the page: pictures, depth, what is asked of them."""

from typing import Any

import numpy as np

from hispatial_jax.core import geometry, remote
from hispatial_jax.data import builder, records
from hispatial_jax.precompute import questions, watch
from hispatial_jax.precompute import store as store_lib
from hispatial_jax.report import pictures

COUNT = 48
_SIDE = 300
_ASKED = 2
_LONGEST = 400
_SLOTS = ("raw", "raw_i", "raw_j", "raw_k", "raw_l", "raw_m", "raw_n")


def cards(store: store_lib.Store, seen: watch.Watch) -> list[dict[str, Any]]:
  """Records drawn at random, by the plan's fingerprint, in their order.

  None of those in a bucket, whose shards cannot be read at random.
  """
  if remote.is_remote(store.out):
    return []
  counts = {name: row["records"] for name, row in seen.splits().items()}
  total = sum(counts.values())
  rng = np.random.default_rng(int(store.plan.fingerprint, 16))
  chosen = rng.choice(total, min(COUNT, total), replace=False)
  found, first = [], 0
  for split, count in counts.items():
    here = sorted(n - first for n in chosen if first <= n < first + count)
    first += count
    if here:
      stored = builder.open_split(store.out, split)
      found += [card(records.decode(stored[number])) for number in here]
  return found


def card(record: dict[str, Any]) -> dict[str, Any]:
  """What the page shows of a record."""
  rows = record["qa"]
  shown = {
    "id": record["id"],
    "image": pictures.data_uri(_small(record["image"]), _SIDE),
    "asked": [_asked(row) for row in rows[:_ASKED]],
    "more": max(0, len(rows) - _ASKED),
    "objects": _names(record["objects"]),
  }
  depth_m = record["depth_m"]
  known = np.isfinite(depth_m) & (depth_m > 0)
  if not known.any() and not np.isinf(depth_m).any():
    return shown | {"depth": None, "note": "no depth"}
  colours, near, far = pictures.depth_rgb(_small(depth_m))
  fov_x, _ = geometry.fov_from_intrinsics(record["intrinsics"])
  text = f"{near:.2g} – {far:.3g} m" if far else "nothing valid"
  return shown | {
    "depth": pictures.data_uri(colours, _SIDE),
    "note": f"{text}, {np.degrees(float(fov_x)):.0f}°",
  }


def _small(array: np.ndarray) -> np.ndarray:
  """By nearest neighbour, to what the page can show; never larger."""
  scale = min(1.0, 2 * _SIDE / max(array.shape[:2]))
  size = tuple(max(1, round(n * scale)) for n in array.shape[:2])
  return geometry.resize_nearest(array, size)


def _asked(row: dict[str, Any]) -> dict[str, Any]:
  """A stored question; of a released item its first pair, and its boxes."""
  level, released = row["level"], row["format"] == records.RELEASED
  found = questions.pairs(row)
  name = str(row["task"]).removeprefix("vqa_").replace("_", " ")
  parts = [f"level {level}" if level >= 0 else "", name, row["format"]]
  if released:
    item = row["meta"]
    boxes = _boxes(item if isinstance(item, dict) else {})
    parts[2] = found[0].form if found else "nothing to ask"
    parts.append(f"1 of {len(found)} pairs" if len(found) > 1 else "")
    parts.append(f"boxes: {boxes}" if boxes else "")
  first = found[0] if found else questions.Pair("", "", "")
  return {
    "css": f"l{level}" if 0 <= level <= 3 else "all",
    "head": " · ".join(part for part in parts if part),
    "question": _cut(pictures.words(first.question)),
    "answer": _cut(first.answer),
    "options": [_cut(option) for option in first.options],
  }


def _boxes(item: dict[str, Any]) -> int:
  """Boxes that a released item knows, in pixels of its picture."""
  inside, meta = item.get("object"), item.get("meta")
  slots = [inside.get(k) for k in _SLOTS] if isinstance(inside, dict) else []
  count = sum(isinstance(one, dict) and "raw_bbox" in one for one in slots)
  return count + int(isinstance(meta, dict) and bool(meta.get("2dbox")))


def _names(annotated) -> str:
  """The annotated objects of a record in one line."""
  found = annotated.get("objects") if isinstance(annotated, dict) else None
  names = [
    str(one.get("name") or one.get("cat") or "?")
    for one in (found if isinstance(found, list) else ())
    if isinstance(one, dict)
  ]
  return _cut(", ".join(names))


def _cut(text: str) -> str:
  text = text.replace("<image>", "").strip()
  return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
