"""SVG charts of a benchmark's page, in the colours of the page."""

import html
import math
import random
from typing import Any

_MOST = 2500  # Dots that are drawn; more of them are drawn at random.
_W, _H = 440, 400
_LEFT, _TOP, _SIDE = 52, 34, 330
_GRID = (1, 2, 5)


def scatter(points: list[tuple[float, float, bool]]) -> str:
  """Predicted against true metres, both on a log axis.

  The band is ±25 % of the truth, the line the truth itself.

  Args:
    points: (true, predicted, right), all above 0.
  """
  if not points:
    return ""
  values = [v for true, said, _ in points for v in (true, said)]
  # A few answers of kilometres must not press all others into a corner.
  values.sort()
  few = len(values) // 200
  low, high = values[few] / 1.15, values[-1 - few] * 1.15
  scale = _SIDE / math.log(high / low)

  def at(v: float) -> float:
    return scale * math.log(min(max(v, low), high) / low)

  out = [_open("predicted against true length, metres")]
  for tick in _ticks(low, high):
    out.append(_grid(at(tick), f"{tick:g}"))
  out.append(_band(scale))
  out.append(_diagonal())
  if len(points) > _MOST:
    points = random.Random(0).sample(points, _MOST)
  for true, said, right in points:
    kind = "good" if right else "bad"
    out.append(
      f'<circle class="{kind}" cx="{_x(at(true)):.1f}" '
      f'cy="{_y(at(said)):.1f}" r="3"/>'
    )
  return "".join([*out, _axes("true", "predicted"), "</svg>"])


def reliability(calibration: dict[str, Any]) -> str:
  """Share of right answers against their probability, by bin.

  Args:
    calibration: of metrics.json.
  """
  bins = [b for b in calibration["bins"] if b["n"]]
  if not bins:
    return ""
  most = max(b["n"] for b in bins)
  out = [_open("share right against the answer's probability")]
  for tick in range(0, 101, 20):
    out.append(_grid(_SIDE * tick / 100, f"{tick} %"))
  for b in calibration["bins"]:
    tall = 0.22 * _SIDE * b["n"] / most
    left, right = _x(_SIDE * b["low"]) + 1, _x(_SIDE * b["high"]) - 1
    out.append(
      f'<rect x="{left:.1f}" y="{_y(tall):.1f}" width="{right - left:.1f}" '
      f'height="{tall:.1f}"><title>{b["n"]} answers</title></rect>'
    )
  out.append(_diagonal())
  places = [
    (_x(_SIDE * b["mean_p"]), _y(_SIDE * b["accuracy"]), b) for b in bins
  ]
  path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
  out.append(f'<polyline points="{path}"/>')
  for x, y, b in places:
    said = f"{b['n']} answers of mean probability {100 * b['mean_p']:.0f} %, "
    said += f"{100 * b['accuracy']:.0f} % right"
    out.append(
      f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4.5">'
      f"<title>{said}</title></circle>"
    )
  return "".join([*out, _axes("probability", "right"), "</svg>"])


def _band(scale: float) -> str:
  """±25 % around the diagonal; the inner svg cuts off what lies outside."""
  up, down = (_SIDE - scale * math.log(f) for f in (1.25, 0.75))
  ends = f"0,{up:.1f} {_SIDE},{up - _SIDE:.1f} "
  ends += f"{_SIDE},{down - _SIDE:.1f} 0,{down:.1f}"
  return (
    f'<svg x="{_LEFT}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}">'
    f'<polygon class="band" points="{ends}"/></svg>'
  )


def _ticks(low: float, high: float) -> list[float]:
  powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
  few = (1,) if len(powers) > 4 else _GRID
  ticks = [m * 10.0**p for p in powers for m in few]
  return [t for t in ticks if low <= t <= high]


def _x(along: float) -> float:
  return _LEFT + along


def _y(up: float) -> float:
  return _TOP + _SIDE - up


def _open(title: str) -> str:
  return (
    f'<svg viewBox="0 0 {_W} {_H}" role="img" '
    f'aria-label="{html.escape(title)}">'
    f'<text class="t" x="0" y="16">{html.escape(title)}</text>'
  )


def _grid(along: float, label: str) -> str:
  """One tick on both axes, which are alike."""
  x, y = _x(along), _y(along)
  return (
    f'<path class="grid" d="M{x:.1f} {_TOP}V{_TOP + _SIDE}'
    f'M{_LEFT} {y:.1f}H{_LEFT + _SIDE}"/>'
    f'<text x="{x:.1f}" y="{_TOP + _SIDE + 18}" text-anchor="middle">{label}'
    f'</text><text x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{label}'
    "</text>"
  )


def _diagonal() -> str:
  right, top = _LEFT + _SIDE, _TOP + _SIDE
  return f'<path class="diagonal" d="M{_LEFT} {top}L{right} {_TOP}"/>'


def _axes(x: str, y: str) -> str:
  right, bottom = _LEFT + _SIDE, _TOP + _SIDE
  return (
    f'<text x="{right}" y="{bottom + 32}" text-anchor="end">{x} →</text>'
    f'<text x="{_LEFT + 6}" y="{_TOP + 12}">↑ {y}</text>'
  )
