"""The `hispatial` command.

    hispatial ask photo.jpg "How wide is the table?" --checkpoint runs/toy \\
      --depth depth.png --intrinsics camera.json
    hispatial ask photo.jpg "How wide is the table?" --checkpoint runs/toy \\
      --moge model.pt
    hispatial points photo.jpg holiday/ --moge model.pt --out points

Heavy packages are imported only once a command runs.
"""

import argparse
import json
import sys

_DEPTH_HELP = """16-bit PNG in millimetres, 0 unknown (log-coded when the
intrinsics file holds near and far), or .npy in metres"""
_INTRINSICS_HELP = """JSON: {"intrinsics": 3x3 matrix, first row divided by the
width, second by the height} or {"fx", "fy", "cx", "cy", "width", "height"} in
pixels"""
_MOGE_HELP = "file of a MoGe-2 model"
_POINTS = """Metric 3-D points of photos: for each a folder in OUT with
points.npz, depth.png + camera.json (what `ask --depth --intrinsics` reads),
depth.jpg, cloud.ply, mesh.glb and page.html, to look at and to measure in."""


def parser() -> argparse.ArgumentParser:
  """All subcommands with their arguments."""
  top = argparse.ArgumentParser(
    prog="hispatial", description="Metric 3-D questions about one image."
  )
  commands = top.add_subparsers(dest="command", required=True)
  ask = commands.add_parser("ask", help="answer a question about a picture")
  ask.add_argument("image", help="picture file")
  ask.add_argument("question")
  ask.add_argument("--checkpoint", required=True, help="WORKDIR or a step")
  ask.add_argument("--depth", help=_DEPTH_HELP)
  ask.add_argument("--intrinsics", help=_INTRINSICS_HELP)
  ask.add_argument("--moge", help=f"{_MOGE_HELP}: estimates the depth")
  ask.add_argument("--max-new-tokens", type=int, default=64)
  ask.add_argument("--json", action="store_true", help="print all of it")
  ask.set_defaults(run=_ask)
  points = commands.add_parser(
    "points", help="depth, cloud, mesh and page of photos", description=_POINTS
  )
  add = points.add_argument
  add("photos", nargs="+", metavar="PHOTO", help="picture files and folders")
  add("--moge", required=True, metavar="MODEL", help=_MOGE_HELP)
  add("--out", required=True, metavar="DIR", help="gets a folder a photo")
  add("--fov-x", type=float, metavar="DEG", help="field of view, if known")
  add("--intrinsics", metavar="K.json", help=_INTRINSICS_HELP)
  add("--tokens", type=int, metavar="N", help="more: finer and slower")
  add("--flip", action="store_true", help="average with the mirrored photo")
  add("--max-side", type=int, default=2048, help="pixels (2048)")
  add("--dtype", choices=("float32", "bfloat16"), default="float32")
  add("--formats", default="npz,png,ply,glb,page", help="some of (%(default)s)")
  points.set_defaults(run=_points)
  return top


def main(argv: list[str] | None = None) -> int:
  """Runs a subcommand; 0, or 2 after one clear line on bad input."""
  args = parser().parse_args(argv)
  try:
    return args.run(args)
  except (OSError, ValueError, ModuleNotFoundError) as error:
    print(f"hispatial: error: {error}", file=sys.stderr)
    return 2


def _ask(args) -> int:
  from hispatial_jax.pp import given

  if args.depth and args.moge:
    raise ValueError("--depth and --moge: give one of them")
  if args.depth and not args.intrinsics:
    raise ValueError("--depth and --intrinsics go together: give both")
  if args.intrinsics and not (args.depth or args.moge):
    raise ValueError("--intrinsics goes with --depth or --moge: give one")
  depth = camera = matrix = None
  if args.intrinsics:
    camera = given.read_json(args.intrinsics)
    matrix = given.intrinsics(camera, args.intrinsics)
  if args.depth:
    depth = given.read_depth(args.depth, camera)

  # A wrong picture is found before the checkpoint is read.
  image = given.read_image(args.image, given.MAX_SIDE)
  if args.depth:
    given.check_depth(depth, matrix, image.shape[:2])
  from hispatial_jax import predict

  predictor = predict.Predictor.load(
    args.checkpoint, moge=args.moge, max_new_tokens=args.max_new_tokens
  )
  answer = predictor.ask(image, args.question, depth, matrix)
  if args.json:
    print(json.dumps(vars(answer)))
    return 0
  print(answer.text)
  if not answer.used_depth:
    why = "no depth given, see --depth and --moge"
    why = "MoGe found no surface" if args.moge else why
    why = why if predictor.takes_depth else "the model takes no points"
    print(f"(from RGB alone: {why})", file=sys.stderr)
  elif answer.known_depth < 0.5:
    share = f"{100 * answer.known_depth:.0f} %"
    print(f"(only {share} of the depth is known)", file=sys.stderr)
  if not answer.ended:
    print("(cut: see --max-new-tokens)", file=sys.stderr)
  return 0


def _points(args) -> int:
  from hispatial_jax.core import mirror, remote
  from hispatial_jax.report import point_run

  def load():
    from hispatial_jax import moge

    return moge.load(args.moge, dtype=args.dtype)

  with mirror.of(args.out) as out:
    code = point_run.run(
      [remote.fetch(photo) for photo in args.photos],
      load,
      out,
      fov_x_deg=args.fov_x,
      intrinsics=args.intrinsics,
      num_tokens=args.tokens,
      flip=args.flip,
      max_side=args.max_side,
      formats=args.formats.split(","),
      facts={"moge": args.moge, "dtype": args.dtype},
    )
  if remote.is_remote(args.out):
    print(f"all of it is in {args.out}")
  return code


if __name__ == "__main__":
  sys.exit(main())
