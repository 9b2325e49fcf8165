"""Puts evaluated runs side by side: a table to paste, and their curves.

  python tools/compare_runs.py runs/toy runs/toy_rgb --names points "RGB only" \
    --out docs/toy.png

Each run has been trained and evaluated into RUN/eval (tools/evaluate.py). The
table is markdown: accuracy in percent by task and level beside the best
constant answer of the training set.
"""

import argparse
import io
import json
import sys

from hispatial_jax.core import remote

_COLOURS = ("#4c6ef5", "#e8590c", "#2b8a3e", "#862e9c")


def main(argv=None) -> int:
  """Returns the exit code: 0, or 2 after one line of error."""
  args = parser().parse_args(argv)
  try:
    runs = [remote.path(run) for run in args.runs]
    names = args.names or [run.name for run in runs]
    if len(names) != len(runs):
      raise ValueError(f"{len(runs)} runs, but {len(names)} --names")
    print(table([read(run) for run in runs], names))
    if args.out:
      draw(runs, names, args.out)
      print(f"wrote {args.out}", file=sys.stderr)
  except (OSError, ValueError, ImportError) as error:
    print(f"compare_runs.py: error: {error}", file=sys.stderr)
    return 2
  return 0


def parser() -> argparse.ArgumentParser:
  """The command line."""
  out = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  out.add_argument("runs", nargs="+", help="work directories, the first leads")
  out.add_argument("--names", nargs="+", help="of the columns")
  out.add_argument("--out", help="PNG of the curves")
  return out


def read(run) -> dict[tuple, dict]:
  """(cut, name) -> line of RUN/eval/metrics.json, in its order."""
  path = run / "eval" / "metrics.json"
  if not path.exists():
    raise FileNotFoundError(f"no {path}: run tools/evaluate.py first")
  lines = json.loads(path.read_text())["table"]["lines"]
  return {(line["cut"], line["name"]): line for line in lines}


def table(found: list[dict], names: list[str]) -> str:
  """Markdown; intervals and the constant are those of the first run."""
  titles = ["", "n", "constant", names[0], "95 %", *names[1:]]
  rows = [titles, ["---"] + ["---:"] * (len(titles) - 1)]
  for key, line in found[0].items():
    bold = "**" if key[0] != "task" else ""
    cells = [line["name"], f"{line['n']:,}", _percent(line["constant"])]
    cells += [_percent(line["accuracy"]), _interval(line["interval"])]
    cells += [_percent(other[key]["accuracy"]) for other in found[1:]]
    rows.append([f"{bold}{cell}{bold}" for cell in cells])
  return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _percent(share) -> str:
  return "–" if share is None else f"{100 * share:.1f}"


def _interval(shares) -> str:
  if shares is None:  # too few to say
    return "–"
  low, high = shares
  return f"{100 * low:.0f}–{100 * high:.0f}"


def draw(runs, names, out) -> None:
  """Held-out loss, and held-out answers right by level, of every run."""
  from matplotlib import figure

  from hispatial_jax.benchmarks import levels
  from hispatial_jax.core import metrics
  from hispatial_jax.report import curves

  fig = figure.Figure(figsize=(11, 2.6), dpi=110)
  panels = fig.subplots(1, 5)
  for run, name, colour in zip(runs, names, _COLOURS, strict=False):
    lines = metrics.read(run)
    style = {"c": colour, "label": name, "lw": 1.4}
    held = curves.series(lines, r"val/loss")["val/loss"]
    panels[0].plot(*zip(*held, strict=True), **style)
    right = curves.series(lines, r"answers/accuracy/level(\d)")
    for level, points in right.items():
      steps, shares = zip(*points, strict=True)
      percent = [100 * share for share in shares]
      panels[1 + int(level)].plot(steps, percent, marker="o", ms=3, **style)
  titles = ["held-out loss"]
  titles += [f"{i} {levels.NAMES[i]}, % right" for i in range(4)]
  for panel, title in zip(panels, titles, strict=True):
    panel.set_title(title, fontsize=8.5, loc="left")
    panel.tick_params(labelsize=7.5, length=0)
    panel.grid(alpha=0.25)
    panel.spines[:].set_visible(False)
  panels[0].legend(fontsize=8, frameon=False)
  fig.tight_layout()
  out = remote.path(out)
  out.parent.mkdir(parents=True, exist_ok=True)
  image = io.BytesIO()
  fig.savefig(image)
  out.write_bytes(image.getvalue())


if __name__ == "__main__":
  sys.exit(main())
