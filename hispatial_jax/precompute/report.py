"""The page at the end: OUT/report.html, which opens without a network."""

import collections
import json
from typing import Any

from absl import logging
from etils import epath

from hispatial_jax.precompute import (
  asked,
  chart,
  page,
  sheet,
  style,
  tally,
  watch,
)
from hispatial_jax.precompute import store as store_lib
from hispatial_jax.report import template as house

_LISTED = 200
_TITLES = ("Records of many pictures", "Points of many pictures")
_UNSAID = "not stated"
# Of released data, by the kind of the source.
_LICENCES = {
  "ca1m": "CC BY-NC-ND 4.0 (CA-1M)",
  "wild": "see HiSpatial-Data's card",
  "general": "see HiSpatial-Data's card",
}


def write(
  store: store_lib.Store,
  seen: watch.Watch,
  speed: dict[str, float],
  problems=(),
) -> epath.Path | None:
  """Writes the page of a finished run.

  Args:
    store: finished: its records can be opened.
    seen: all sidecars and their sum.
    speed: of this run, see Watch.speed.
    problems: (reason, message) of what the source gave no id for.

  Returns:
    Its path; None, and a word in the log, where jinja2 is not installed: the
    records are whole without it.
  """
  try:
    import jinja2
  except ImportError:
    logging.warning("no report.html: pip install hispatial_jax[demo]")
    return None
  total = seen.total
  bad = tally.bad_count(total)
  values = {
    "style": house.STYLE + style.STYLE,
    "title": _TITLES[store.plan.facts["model"] is not None],
    "lead": _lead(total, bad),
    "tiles": _tiles(total, bad, speed),
    "charts": _charts(total),
    "splits": seen.splits(),
    "sources": _sources(store, total),
    "reasons": _counts(total["bad"]),
    "problems": _counts(collections.Counter(reason for reason, _ in problems)),
    "bad": bad,
    "listed": _quarantine(store, seen),
    "noted": _counts(total["noted"]),
    "sheet": sheet.cards(store, seen),
    "facts": json.dumps(_facts(store, total, speed), indent=2),
    **asked.values(total),
  }
  environment = jinja2.Environment(autoescape=True, trim_blocks=True)
  text = environment.from_string(page.PAGE).render(values)
  path = epath.Path(store.out) / "report.html"
  path.write_text(text)
  return path


def _counts(reasons) -> list[tuple[str, int]]:
  return sorted(reasons.items(), key=lambda item: (-item[1], item[0]))


def _charts(total: dict[str, Any]) -> list[str]:
  if not total["pixels"]["all"]:
    return []
  decades = {12.0 * k: f"{10.0 ** (k - 2):g} m" for k in range(6)}
  angles = {a / 5: f"{a}°" for a in range(0, 181, 30)}
  shares = {k / 10: f"{k} %" for k in range(0, 101, 20)}
  return [
    chart.bars(total["depth"], decades, "depth of valid pixels, log scale"),
    chart.bars(total["fov"], angles, "horizontal field of view of the records"),
    chart.bars(
      total["valid_share"], shares, "share of valid pixels, by record"
    ),
  ]


def _lead(total: dict[str, Any], bad: int) -> str:
  parts = [f"{total['records']:,} records of {total['images']:,} pictures"]
  if total["measured"]:
    parts.append(f", {total['measured']:,} of them with depth of their own")
  if total["without_depth"]:
    parts.append(f", {total['without_depth']:,} without depth")
  if bad:
    parts.append(f"; {bad:,} could not be used")
  if total["all_sky"]:
    parts.append(f"; in {total['all_sky']:,} nothing is near enough to tell")
  return "".join(parts) + "."


def _tiles(total, bad: int, speed) -> list[dict[str, str]]:
  count = max(1, total["records"])
  pixels, size = total["pixels"], total["bytes"]
  worker = total["images"] / max(total["seconds"]["all"], 1e-9)
  valid = 100 * pixels["valid"] / max(1, pixels["all"])
  far = 100 * pixels["infinite"] / max(1, pixels["all"])
  each = ", ".join(
    f"{name} {size[name] / count / 1e3:.1f}" for name in ("image", "depth")
  )
  rate, when = speed["images_per_second"], "this run, start included"
  if not speed["images"]:
    rate, when = worker, "when they were made, each worker"
  tiles = [
    _tile("records", f"{total['records']:,}", f"of {total['images']:,}"),
    _tile(
      "quarantined",
      f"{bad:,}",
      f"{100 * bad / max(1, total['images']):.2f} % of the pictures",
    ),
    _tile("a record", f"{size['stored'] / count / 1e3:.0f} kB", f"{each} kB"),
    _tile("images a second", f"{rate:.2f}", when),
  ]
  if pixels["all"]:
    note = f"masked or sky {far:.1f} %"
    tiles.insert(2, _tile("valid pixels", f"{valid:.1f} %", note))
  if stored := total["questions"]["stored"]:
    note = f"{stored / count:.1f} a record"
    tiles.insert(1, _tile("questions", f"{stored:,}", note))
  return tiles


def _tile(name: str, value: str, note: str) -> dict[str, str]:
  return {"name": name, "value": value, "note": note}


def _sources(store, total) -> list[dict[str, Any]]:
  said = licence(store.plan.facts["source"])
  counts = _counts(total["sources"])
  return [
    {"name": name or "(no name)", "records": n, "licence": said}
    for name, n in counts
  ]


def licence(described: dict[str, Any]) -> str:
  """What a source says of its licence in describe(), or is known to be."""
  if said := described.get("licence"):
    return str(said)
  if known := _LICENCES.get(described.get("kind")):
    return known
  # Records made of records: what those were made of.
  inside = described.get("of") or {}
  inside = inside.get("source", inside)
  return licence(inside) if isinstance(inside, dict) and inside else _UNSAID


def _quarantine(store, seen) -> list[dict[str, str]]:
  found = [
    item for job in store.plan.jobs for item in seen.sidecars[job.name]["bad"]
  ]
  return found[:_LISTED]


def _facts(store, total, speed) -> dict[str, Any]:
  rows = total["batches"]
  return {
    "fingerprint": store.plan.fingerprint,
    **store.plan.facts,
    "this run": speed,
    "seconds of all workers": total["seconds"],
    "rows of batches filled": rows,
    "pixels": total["pixels"],
  }
