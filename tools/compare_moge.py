"""Our MoGe-2 and Microsoft's, photo by photo.

    pip install -r tools/requirements-upstream.txt     # or set MOGE_DIR
    python tools/compare_moge.py photo.jpg holiday/ --moge model.pt
    python tools/compare_moge.py photo.jpg --moge model.pt --out differences

Prints a line a photo: how far depths differ where both are valid (relative,
median and largest), focal lengths and fields of view, pixels that only one of
the masks has, metric scales, seconds of each. Writes nothing but with --out: a
picture a photo, both depths and where they differ.
"""

import argparse
import math
import pathlib
import sys
import time
from typing import NamedTuple


class Found(NamedTuple):
  """How two point maps of one photo differ.

  Attributes:
    median, largest: relative differences of depth where both are valid.
    focal: relative difference of the focal length in pixels of the width.
    fov_deg: (ours, theirs), horizontal.
    mask: share of pixels that only one of both has.
    scale: median of our depth over theirs, less 1.
  """

  median: float
  largest: float
  focal: float
  fov_deg: tuple[float, float]
  mask: float
  scale: float


def main(argv=None) -> int:
  """Returns the exit code: 0, or 1 after one line of error."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add = parser.add_argument
  add("photos", nargs="+", metavar="PHOTO", help="picture files and folders")
  add("--moge", required=True, metavar="MODEL", help="a model.pt")
  add("--out", type=pathlib.Path, metavar="DIR", help="gets a picture a photo")
  add("--tokens", type=int, metavar="N", help="fewer: coarser and faster")
  add("--fov-x", type=float, metavar="DEG", help="field of view, if known")
  add("--max-side", type=int, default=2048, help="pixels (%(default)s)")
  add("--dtype", choices=("float32", "bfloat16"), default="float32")
  args = parser.parse_args(argv)
  try:
    _run(args)
  except (ValueError, OSError, ModuleNotFoundError) as error:
    print(f"compare_moge: error: {error}", file=sys.stderr)
    return 1
  return 0


def _run(args) -> None:
  from hispatial_jax.moge import infer, upstream
  from hispatial_jax.pp import given
  from hispatial_jax.report import point_run

  photos = point_run.pictures(args.photos)
  names = point_run.folder_names(photos)
  half = "float16" if args.dtype == "bfloat16" else "float32"
  theirs = upstream.load(args.moge, dtype=half)
  ours = infer.MoGe.load(args.moge, dtype=args.dtype)
  if args.out:
    args.out.mkdir(parents=True, exist_ok=True)
  options = {"num_tokens": args.tokens, "fov_x_deg": args.fov_x}
  print(
    "photo | depth: median, largest | focal | fov, degrees | mask | scale |"
    " seconds"
  )
  lines = []
  for path in photos:
    image = given.read_image(path, args.max_side)
    # What is compiled or set up for a size is not counted.
    _timed(ours, image, options)
    (one, s), (two, t) = (
      _timed(eyes, image, options) for eyes in (ours, theirs)
    )
    found = compare(one, two)
    lines.append((found, s, t))
    print(f"{path.name} | {_line(found)} | {s:.2f} and {t:.2f}", flush=True)
    if args.out:
      _draw(args.out / f"{names[path]}.jpg", image, one, two)
  print(_summary(lines))


def _timed(eyes, image, options):
  begin = time.perf_counter()
  found = eyes.infer_batch([image], **options)[0]
  return found, time.perf_counter() - begin


def compare(ours, theirs) -> Found:
  """How two PointMaps of one photo differ."""
  import numpy as np

  from hispatial_jax.core import geometry

  with np.errstate(invalid="ignore"):
    valid = ours.mask & theirs.mask & (ours.depth > 0) & (theirs.depth > 0)
  ratio = ours.depth[valid] / theirs.depth[valid] - 1
  fovs = [
    math.degrees(geometry.fov_from_intrinsics(x.intrinsics)[0])
    for x in (ours, theirs)
  ]
  nothing = float("nan")
  return Found(
    median=float(np.median(np.abs(ratio))) if valid.any() else nothing,
    largest=float(np.abs(ratio).max()) if valid.any() else nothing,
    focal=abs(float(ours.intrinsics[0, 0] / theirs.intrinsics[0, 0]) - 1),
    fov_deg=tuple(fovs),
    mask=float(np.mean(ours.mask != theirs.mask)),
    scale=float(np.median(ratio)) if valid.any() else nothing,
  )


def _line(found) -> str:
  one, two = found.fov_deg
  return (
    f"{found.median:.1e}, {found.largest:.1e} | {found.focal:.1e} | "
    f"{one:.3f} and {two:.3f} | {found.mask:.2%} | {found.scale:+.1e}"
  )


def _summary(lines) -> str:
  """One line: the worst of all, and the time."""
  found, ours, theirs = zip(*lines, strict=True)
  # nan, of a photo without valid depth, is no difference.
  depth = max((f.largest for f in found if f.largest >= 0), default=0.0)
  return (
    f"{len(lines)} photos, largest differences: depth {depth:.1e}, focal "
    f"{max(f.focal for f in found):.1e}, mask {max(f.mask for f in found):.2%};"
    f" {sum(ours):.2f} s ours, {sum(theirs):.2f} s theirs: "
    f"{sum(theirs) / sum(ours):.2f} times as fast"
  )


def _draw(path, image, ours, theirs) -> None:
  """Photo, our depth, theirs, and their difference up to 1 percent."""
  import cv2
  import numpy as np

  from hispatial_jax.report import pictures

  with np.errstate(invalid="ignore"):
    off = np.abs(ours.depth / theirs.depth - 1) / 0.01
  off = np.where(ours.mask != theirs.mask, 1, np.nan_to_num(np.clip(off, 0, 1)))
  off = np.repeat(np.uint8(255 * off)[..., None], 3, axis=2)
  depths = [pictures.depth_rgb(x.depth)[0] for x in (ours, theirs)]
  sheet = np.concatenate([image, *depths, off], axis=1)
  if not cv2.imwrite(str(path), sheet[..., ::-1]):
    raise OSError(f"cannot write {path}")


if __name__ == "__main__":
  sys.exit(main())
