"""Loss and accuracy over the steps, as SVG that takes the page's colours.

Matplotlib draws with the placeholder colours of `_COLOURS`; they are replaced
by the page's CSS variables, so that one drawing serves light and dark.
"""

import io
import re

from hispatial_jax.benchmarks import levels

_COLOURS = {
  "ink": "#000101",
  "faint": "#000102",
  "train": "#000103",
  **{f"l{i}": f"#00020{i}" for i in range(4)},
}


def series(lines: list[dict], pattern: str) -> dict[str, list]:
  """name -> [(step, value)] of the metrics whose whole name matches.

  Args:
    lines: of metrics.jsonl.
    pattern: regex; its first group, if any, names the series.
  """
  found: dict[str, list] = {}
  for line in lines:
    for key, value in line.items():
      match = re.fullmatch(pattern, key)
      if match and isinstance(value, int | float):
        name = match[1] if match.groups() else key
        found.setdefault(name, []).append((line["step"], value))
  return found


def smooth(points: list, weight: float = 0.8) -> list:
  """Exponential mean, corrected for its start."""
  out, total, mass = [], 0.0, 0.0
  for step, value in points:
    total = weight * total + (1 - weight) * value
    mass = weight * mass + (1 - weight)
    out.append((step, total / mass))
  return out


def loss(lines: list[dict]) -> str:
  """SVG of the training and held-out loss; "" without any."""
  train = series(lines, "train/loss").get("train/loss", [])
  held = series(lines, r"(?!train/)[^/]+/loss")
  if not train and not held:
    return ""

  def draw(axes):
    if train:
      axes.plot(*zip(*train, strict=True), c=_COLOURS["train"], lw=0.7)
      mean = smooth(train)
      style = {"c": _COLOURS["ink"], "lw": 1.4, "label": "training"}
      axes.plot(*zip(*mean, strict=True), **style)
    for points in held.values():
      style = {"c": _COLOURS["l0"], "lw": 1.4, "label": "held out"}
      axes.plot(*zip(*points, strict=True), marker="o", ms=4, **style)
    axes.set_ylim(bottom=0)

  return _svg(draw, "loss per answer token")


def accuracy(lines: list[dict], kind: str, constants: dict) -> str:
  """SVG of held-out accuracy by level; "" without any.

  Args:
    lines: of metrics.jsonl.
    kind: "token_accuracy" (teacher-forced) or "accuracy" (of answers).
    constants: level -> share that the constant answer reaches; dashed.
  """
  found = series(lines, rf"(?!train/)[^/]+/{kind}/level(\d)")
  if not found:
    return ""

  def draw(axes):
    for level, points in sorted(found.items()):
      colour = _COLOURS[f"l{level}"]
      steps, shares = zip(*points, strict=True)
      shares = [100 * share for share in shares]
      label = f"{level} {levels.NAMES[int(level)]}"
      axes.plot(steps, shares, c=colour, lw=1.4, marker="o", ms=4, label=label)
      if constants.get(int(level)) is not None:
        best = 100 * constants[int(level)]
        axes.axhline(best, c=colour, lw=0.9, ls=(0, (2, 3)))
    axes.set_ylim(0, 100)

  name = {
    "token_accuracy": "tokens right, held out, %",
    "accuracy": "answers right, held out, % (dots: constant)",
  }
  return _svg(draw, name[kind])


def _svg(draw, title: str) -> str:
  import matplotlib as mpl
  from matplotlib import figure

  options = {"svg.fonttype": "none", "svg.hashsalt": "report"}
  with mpl.rc_context(options):
    fig = figure.Figure(figsize=(4.4, 3.3))
    axes = fig.add_subplot()
    draw(axes)
    axes.set_title(title, loc="left", fontsize=10, color=_COLOURS["ink"])
    axes.set_xlabel("step", loc="right", fontsize=9, color=_COLOURS["faint"])
    axes.tick_params(colors=_COLOURS["faint"], labelsize=9, length=0)
    axes.grid(axis="y", color=_COLOURS["faint"], alpha=0.25, lw=0.6)
    axes.spines[:].set_visible(False)
    axes.margins(x=0.02)
    legend = axes.legend(
      fontsize=8.5, frameon=False, labelcolor=_COLOURS["ink"], loc="best"
    )
    legend.set_in_layout(False)
    fig.tight_layout()
    out = io.StringIO()
    fig.savefig(out, format="svg", transparent=True, metadata={"Date": None})
  text = out.getvalue()
  text = text[text.index("<svg") :]
  text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
  text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
  text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 var(--sans)", text)
  for name, colour in _COLOURS.items():
    text = text.replace(colour, f"var(--{name})")
  return text
