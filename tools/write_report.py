"""Writes the report of a run: one HTML page that opens without a network.

  python tools/write_report.py runs/toy                 -> runs/toy/report.html
  python tools/write_report.py runs/toy --photo runs/toy/photo.jpg

--photo also saves one held-out picture with its depth, camera and a question
about it, to be answered:

  hispatial ask runs/toy/photo.jpg "$(cat runs/toy/photo.question.txt)" \\
    --depth runs/toy/photo.depth.png \\
    --intrinsics runs/toy/photo.camera.json --checkpoint runs/toy
"""

import argparse
import json
import sys

# The task whose first question goes with --photo.
_SHOWN = "distance_to_camera"


def main(argv=None) -> int:
  """Returns the exit code: 0, or 2 after one line of error."""
  args = parser().parse_args(argv)
  try:
    write(args)
  except (OSError, ValueError, ImportError) as error:
    print(f"write_report.py: error: {error}", file=sys.stderr)
    return 2
  return 0


def parser() -> argparse.ArgumentParser:
  """The command line."""
  out = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  out.add_argument("workdir", help="of training")
  out.add_argument("--eval", help="folder of evaluate.py (WORKDIR/eval)")
  out.add_argument("--out", help="the page (WORKDIR/report.html)")
  out.add_argument("--photo", help="FILE.jpg, a held-out picture to save")
  out.add_argument("--title", help="of the page")
  return out


def write(args) -> None:
  """Writes the page, and the photo if asked for."""
  from hispatial_jax import report
  from hispatial_jax.core import remote
  from hispatial_jax.report import page

  workdir = remote.path(args.workdir)
  if not workdir.is_dir():
    raise FileNotFoundError(f"no folder {workdir}")
  more = {"title": args.title} if args.title else {}
  out = report.write(workdir, evaluation=args.eval, out=args.out, **more)
  print(f"wrote {out}, {out.stat().length / 1e6:.1f} MB")
  if args.photo:
    folder = remote.path(args.eval or workdir / "eval")
    result, rows = page.read_evaluation(folder)
    if not rows:
      raise FileNotFoundError(f"--photo needs the predictions of {folder}")
    records = page.open_records(result["data"])
    row = next((row for row in rows if row["task"] == _SHOWN), rows[0])
    photo = remote.path(args.photo)
    save_photo(photo, records(row["index"]))
    photo.with_suffix(".question.txt").write_text(row["question"] + "\n")
    print(f"  {row['question']}  (truth: {row['truth']})")


def save_photo(path, record: dict) -> None:
  """Writes PATH, its .depth.png in millimetres and its .camera.json."""
  import cv2
  import numpy as np

  depth = np.nan_to_num(record["depth_m"], nan=0, posinf=0)
  millimetres = np.clip(np.round(1000 * depth), 0, 65535).astype(np.uint16)
  camera = {"intrinsics": np.asarray(record["intrinsics"]).tolist()}
  bgr = cv2.cvtColor(record["image"], cv2.COLOR_RGB2BGR)
  quality = [int(cv2.IMWRITE_JPEG_QUALITY), 95]
  path.write_bytes(cv2.imencode(".jpg", bgr, quality)[1].tobytes())
  depth_path = path.with_suffix(".depth.png")
  depth_path.write_bytes(cv2.imencode(".png", millimetres)[1].tobytes())
  camera_path = path.with_suffix(".camera.json")
  camera_path.write_text(json.dumps(camera) + "\n")
  print(f"wrote {path}, {depth_path}, {camera_path}")


if __name__ == "__main__":
  sys.exit(main())
