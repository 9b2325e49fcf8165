"""The page of a comparison of runs: differences by category, and flips."""

import pathlib
from typing import Any

from hispatial_jax.report import template

_FLIPS = 60  # Shown of each pair and kind; all are in compare.json.

_STYLE = """
table td:nth-child(2) { width: auto; } table td.track-cell { width: 30%; }
.track b { background: var(--ink); } .track s { background: var(--l0); }
.track u { left: 50%; }
table.flips td { text-align: left; white-space: normal; vertical-align: top;
  overflow-wrap: anywhere; font-size: 13.5px; }
table.flips th { text-align: left; }
table.flips td:first-child { min-width: 7em; color: var(--faint); }
.warn { color: var(--bad); }
"""

_PAGE = (
  template.HEAD
  + """<p class="lead">The same questions, one by one, under the rule
“{{ rule }}”. Intervals: {{ method.interval }}. p: {{ method.p }}.</p>
<div class="scroll"><table style="margin-top: 32px">
<thead><tr><th>run</th><th>questions</th><th>right</th><th>unparsed</th>
<th>errors</th></tr></thead>
<tbody>
{% for run in runs %}
<tr><td>{{ run.name }}</td><td>{{ "{:,}".format(run.questions) }}</td>
<td>{{ percent(run.right) }} %</td><td>{{ "{:,}".format(run.unparsed) }}</td>
<td>{{ "{:,}".format(run.errors) }}</td></tr>
{% endfor %}
</tbody></table></div>
{% for pair in pairs %}
<h2>{{ pair.b }} against {{ pair.a }}</h2>
<p class="note">The dot is the difference in points, its band the
95&nbsp;% interval, the tick no difference at all; the axis runs from
−{{ pair.reach }} to +{{ pair.reach }}.</p>
{% for warning in pair.warnings %}<p class="warn">{{ warning }}</p>{% endfor %}
<div class="scroll"><table>
<thead><tr><th></th><th></th><th>n</th><th>before</th><th>after</th>
<th>difference</th><th>95&nbsp;%</th><th>gained</th><th>lost</th><th>p</th></tr>
</thead>
<tbody>
{% for line in pair.lines %}
<tr class="{{ 'total' if line.cut == 'all' }}"><td>{{ line.cells[0] }}</td>
<td class="track-cell"><div class="track"><u></u>
{%- if line.interval %}<s style="left:{{ line.low }}%;width:{{ line.span }}%">
</s>{% endif %}<b style="left:{{ line.dot }}%"></b></div></td>
{% for cell in line.cells[1:] %}
<td class="{{ line.sign if loop.index == 4 }}">{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
{% for kind, shown, count in pair.flips %}
<details {{ "open" if count }}><summary>{{ count }} questions {{ kind }}
{%- if shown|length < count %}, the first {{ shown|length }}{% endif %}
</summary>
<div class="scroll"><table class="flips">
<thead><tr><th>key</th><th>question</th><th>truth</th><th>before</th>
<th>after</th></tr></thead><tbody>
{% for flip in shown %}
<tr><td>{{ flip.key }}</td><td>{{ flip.prompt }}</td><td>{{ flip.truth }}</td>
{% for x in (flip.a, flip.b) %}
<td>{{ x.error or x.output }}<br><small>{{ x.why }}</small></td>{% endfor %}
</tr>
{% endfor %}
</tbody></table></div></details>
{% endfor %}
{% endfor %}
</main>
</body>
</html>
"""
)


def write(path, found: dict[str, Any]) -> pathlib.Path | None:
  """Writes the page.

  Args:
    path: of the file.
    found: what evaluation/compare.py makes, or compare.json.

  Returns:
    The path, or None where jinja2 is not installed.
  """
  try:
    import jinja2
  except ImportError:
    return None
  environment = jinja2.Environment(autoescape=True, trim_blocks=True)
  text = environment.from_string(_PAGE).render(
    title="Runs compared",
    style=template.STYLE + _STYLE,
    rule=found["rule"],
    method=found["method"],
    runs=found["runs"],
    percent=percent,
    pairs=[_pair(pair) for pair in found["pairs"]],
  )
  path = pathlib.Path(path)
  path.write_text(text, encoding="utf-8", errors="replace")
  return path


def percent(share: float | None) -> str:
  """In percent, without the sign."""
  return "–" if share is None else f"{100 * share:.1f}"


def signed(share: float | None) -> str:
  """In points, with its sign."""
  if share is None:
    return "–"
  said = f"{100 * share:+.1f}".replace("-", "−")
  return "0.0" if said[1:] == "0.0" else said


def cells(line: dict[str, Any]) -> list[str]:
  """A line's figures as text: name, n, a, b, difference, interval, flips."""
  gap, p = line["interval"], line["p"]
  name = (
    line["name"] if line["cut"] == "all" else f"{line['cut']} {line['name']}"
  )
  return [
    name,
    f"{line['n']:,}",
    percent(line["a"]),
    percent(line["b"]),
    signed(line["difference"]),
    f"{signed(gap[0])} … {signed(gap[1])}" if gap else "–",
    f"{line['gained']:,}",
    f"{line['lost']:,}",
    f"{p:.3f}" if p >= 0.001 else "<0.001",
  ]


def _pair(pair: dict[str, Any]) -> dict[str, Any]:
  # Of the lines that have an interval; the others are too few to say much.
  known = [x for x in pair["lines"] if x["interval"]] or pair["lines"]
  ends = [(x["difference"], *(x["interval"] or ())) for x in known]
  reach = max(0.05, *(abs(v) for line in ends for v in line))
  by_kind = {
    kind: [flip for flip in pair["flips"] if flip["flip"] == kind]
    for kind in ("gained", "lost")
  }
  return {
    **pair,
    "reach": f"{100 * reach:.0f}",
    "lines": [_line(x, reach) for x in pair["lines"]],
    "flips": [(k, flips[:_FLIPS], len(flips)) for k, flips in by_kind.items()],
  }


def _line(line: dict[str, Any], reach: float) -> dict[str, Any]:
  low, high = line["interval"] or (line["difference"],) * 2
  sign = "up" if low > 0 else "down" if high < 0 else ""
  return {
    **line,
    "cells": cells(line),
    "sign": sign if line["interval"] else "",
    "dot": round(50 + 50 * max(-1, min(1, line["difference"] / reach)), 2),
    "low": round(50 + 50 * low / reach, 2),
    "span": round(50 * (high - low) / reach, 2),
  }
