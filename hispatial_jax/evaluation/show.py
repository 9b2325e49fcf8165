"""A run's figures for a terminal, beside those of others."""

from typing import Any

_HEADER = ["figure", "rule", "n", "%", "95 %", "constant %", "blind %"]
_NUMBERS = ("n", "%", "95 %", "constant %", "blind %")


def percent(value: float | None) -> str:
  """A share, or a dash."""
  return "–" if value is None else f"{100 * value:.1f}"


def _interval(pair) -> str:
  return f"{percent(pair[0])}–{percent(pair[1])}" if pair else "–"


def text(metrics: dict[str, Any]) -> str:
  """Headlines with intervals, constant and blind; published; counts."""
  constant = _values(metrics["constant"])
  blind = _values(metrics["blind"] or {"headlines": []})
  body = []
  for line in metrics["headlines"]:
    name = line["name"], line["rule"]
    body.append(
      [
        *name,
        f"{line['n']:,}",
        percent(line["value"]),
        _interval(line["interval"]),
        percent(constant.get(name)),
        percent(blind.get(name)),
      ]
    )
  parts = [f"{metrics['benchmark']}: {_model(metrics)}", table(_HEADER, body)]
  others = [
    [p["figure"], p["model"], f"{p['percent']:.1f}", p["protocol"], p["source"]]
    for p in metrics["published"]
  ]
  if others:
    names = ["published", "model", "%", "protocol", "source"]
    parts.append(table(names, others))
  parts.append(counts(metrics["counts"]))
  if metrics.get("judge"):
    parts.append(judge(metrics["judge"]))
  return "\n\n".join(parts)


def judge(found: dict[str, Any]) -> str:
  """One line: a judge's figure beside ours, and how far both agree."""
  kappa = "–" if found["kappa"] is None else f"{found['kappa']:.2f}"
  return (
    f"judge {found['model']}: {percent(found['accuracy'])} % right (our rule "
    f"{percent(found['ours'])}), {found['judged']:,} of {found['items']:,} "
    f"judged, {percent(found['share'])} % of them as by us, kappa {kappa}, "
    f"{found['failed']:,} failures (count as wrong)"
  )


def counts(found: dict[str, int]) -> str:
  """One line; what is no answer is said, whatever it is."""
  said = [f"{found['questions']:,} questions", f"{found['parsed']:,} parsed"]
  for name, words in (
    ("unparsed", "unparsed (count as wrong)"),
    ("cut", "cut at the limit"),
    ("errors", "errors (count as wrong, see metrics.json)"),
    ("no_points", "without a point map"),
  ):
    if found[name] or name != "no_points":
      said.append(f"{found[name]:,} {words}")
  return ", ".join(said)


def table(header: list[str], body: list[list[str]]) -> str:
  """Columns of text; the numbers at the right."""
  wide = [max(map(len, column)) for column in zip(header, *body, strict=True)]

  def show(values):
    cells = zip(values, wide, header, strict=True)
    shown = [v.rjust(w) if h in _NUMBERS else v.ljust(w) for v, w, h in cells]
    return "  ".join(shown).rstrip()

  return "\n".join(
    [show(header), "─" * (sum(wide) + 2 * len(wide) - 2)]
    + [show(values) for values in body]
  )


def _values(part) -> dict[tuple[str, str], float | None]:
  return {(h["name"], h["rule"]): h["value"] for h in part["headlines"]}


def _model(metrics) -> str:
  model = metrics["model"]
  name = model.get("name") or model.get("file") or model.get("kind", "")
  blind = ", blind" if model.get("blind") else ""
  return f"{name}{blind}, prompt {metrics['prompt']}, points {_ways(metrics)}"


def _ways(metrics) -> str:
  ways = metrics["points"]
  if ways is None:
    return "not known"
  return ", ".join(way if isinstance(way, str) else "moge" for way in ways)
