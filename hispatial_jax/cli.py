"""The `hispatial` command.

    hispatial ask photo.jpg "How wide is the table?" --checkpoint runs/toy \\
      --depth depth.png --intrinsics camera.json

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
  ask.add_argument("--max-new-tokens", type=int, default=64)
  ask.add_argument("--json", action="store_true", help="print all of it")
  ask.set_defaults(run=_ask)
  return top


def main(argv: list[str] | None = None) -> int:
  """Runs a subcommand; 0, or 2 after one clear line on bad input."""
  args = parser().parse_args(argv)
  try:
    args.run(args)
  except (OSError, ValueError) as error:
    print(f"hispatial: error: {error}", file=sys.stderr)
    return 2
  return 0


def _ask(args) -> None:
  from hispatial_jax.pp import given

  if bool(args.depth) != bool(args.intrinsics):
    raise ValueError("--depth and --intrinsics go together: give both")
  depth = camera = matrix = None
  if args.depth:
    camera = given.read_json(args.intrinsics)
    matrix = given.intrinsics(camera, args.intrinsics)
    depth = given.read_depth(args.depth, camera)

  # A wrong picture is found before the checkpoint is read.
  image = given.read_image(args.image)
  given.check_depth(depth, matrix, image.shape[:2])
  from hispatial_jax import predict

  predictor = predict.Predictor.load(
    args.checkpoint, max_new_tokens=args.max_new_tokens
  )
  answer = predictor.ask(image, args.question, depth, matrix)
  if args.json:
    print(json.dumps(vars(answer)))
    return
  print(answer.text)
  if not answer.used_depth:
    why = "no depth given" if depth is None else "the model takes no points"
    print(f"(from RGB alone: {why})", file=sys.stderr)
  elif answer.known_depth < 0.5:
    share = f"{100 * answer.known_depth:.0f} %"
    print(f"(only {share} of the depth is known)", file=sys.stderr)
  if not answer.ended:
    print("(cut: see --max-new-tokens)", file=sys.stderr)


if __name__ == "__main__":
  sys.exit(main())
