"""The page at the end: OUT/report.html, which opens without a network."""

import collections
import html
import json
from typing import Any

import numpy as np
from absl import logging
from etils import epath

from hispatial_jax.core import geometry
from hispatial_jax.data import builder, records
from hispatial_jax.precompute import page, tally, watch
from hispatial_jax.precompute import store as store_lib
from hispatial_jax.report import pictures
from hispatial_jax.report import template as house

_SHEET = 32
_LISTED = 200
_SIDE = 260


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
    "style": house.STYLE + page.STYLE,
    "lead": _lead(total, bad),
    "tiles": _tiles(total, bad, speed),
    "charts": _charts(total),
    "splits": _splits(store, seen),
    "reasons": _counts(total["bad"]),
    "problems": _counts(collections.Counter(reason for reason, _ in problems)),
    "bad": bad,
    "listed": _quarantine(store, seen),
    "sheet": _sheet(store, seen),
    "facts": json.dumps(_facts(store, total, speed), indent=2),
  }
  environment = jinja2.Environment(autoescape=True, trim_blocks=True)
  text = environment.from_string(page.PAGE).render(values)
  path = epath.Path(store.out) / "report.html"
  path.write_text(text)
  return path


def bars(counts: list[int], ticks: dict[float, str], title: str) -> str:
  """SVG of a histogram, in the page's colours.

  Args:
    counts: of the bins, drawn as shares of the largest.
    ticks: place, in bins from the left edge -> its label.
    title: above it.
  """
  width, height, most = 440, 190, max(1, *counts)
  step = width / len(counts)
  parts = [
    f'<svg viewBox="0 0 {width} {height + 62}" role="img"'
    f' aria-label="{html.escape(title)}">'
    f'<text class="t" x="0" y="16">{html.escape(title)}</text>'
  ]
  for k, count in enumerate(counts):
    tall = height * count / most
    share = 100 * count / max(1, sum(counts))
    parts.append(
      f'<rect x="{k * step + 0.5:.2f}" y="{28 + height - tall:.2f}"'
      f' width="{max(0.5, step - 1):.2f}" height="{tall:.2f}">'
      f"<title>{share:.2f} %</title></rect>"
    )
  base = 28 + height
  parts.append(f'<path d="M0 {base}.5H{width}"/>')
  for place, label in ticks.items():
    x = place * step
    anchor = "start" if x < 9 else "end" if x > width - 9 else "middle"
    parts.append(
      f'<text x="{x:.1f}" y="{base + 20}" text-anchor="{anchor}">'
      f"{html.escape(label)}</text>"
    )
  return "".join(parts) + "</svg>"


def _counts(reasons) -> list[tuple[str, int]]:
  return sorted(reasons.items(), key=lambda item: (-item[1], item[0]))


def _charts(total: dict[str, Any]) -> list[str]:
  decades = {12.0 * k: f"{10.0 ** (k - 2):g} m" for k in range(6)}
  angles = {a / 5: f"{a}°" for a in range(0, 181, 30)}
  shares = {k / 10: f"{k} %" for k in range(0, 101, 20)}
  return [
    bars(total["depth"], decades, "depth of valid pixels, log scale"),
    bars(total["fov"], angles, "horizontal field of view of the records"),
    bars(total["valid_share"], shares, "share of valid pixels, by record"),
  ]


def _lead(total: dict[str, Any], bad: int) -> str:
  parts = [f"{total['records']:,} records of {total['images']:,} pictures"]
  if total["measured"]:
    parts.append(f", {total['measured']:,} of them with depth of their own")
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
  return [
    _tile("records", f"{total['records']:,}", f"of {total['images']:,}"),
    _tile(
      "quarantined",
      f"{bad:,}",
      f"{100 * bad / max(1, total['images']):.2f} % of the pictures",
    ),
    _tile("valid pixels", f"{valid:.1f} %", f"masked or sky {far:.1f} %"),
    _tile("a record", f"{size['stored'] / count / 1e3:.0f} kB", f"{each} kB"),
    _tile("images a second", f"{rate:.2f}", when),
  ]


def _tile(name: str, value: str, note: str) -> dict[str, str]:
  return {"name": name, "value": value, "note": note}


def _splits(store, seen) -> list[dict[str, Any]]:
  rows: dict[str, dict[str, Any]] = {}
  for job in store.plan.jobs:
    found = seen.sidecars[job.name]
    row = rows.setdefault(
      job.split,
      {"name": job.split, "shards": 0, "images": 0, "records": 0, "bytes": 0},
    )
    row["shards"] += 1
    row["images"] += job.stop - job.start
    row["records"] += found["records"]
    row["bytes"] += found["file_size"]
  return list(rows.values())


def _quarantine(store, seen) -> list[dict[str, str]]:
  found = [
    item for job in store.plan.jobs for item in seen.sidecars[job.name]["bad"]
  ]
  return found[:_LISTED]


def _sheet(store, seen) -> list[dict[str, str]]:
  """Records at equal distances over all splits."""
  counts = {row["name"]: row["records"] for row in _splits(store, seen)}
  total = sum(counts.values())
  chosen = sorted(
    {int(k * total / _SHEET) for k in range(_SHEET)} if total else ()
  )
  cards, first = [], 0
  for split, count in counts.items():
    here = [n - first for n in chosen if first <= n < first + count]
    first += count
    if here:
      stored = builder.open_split(store.out, split)
      cards += [_card(records.decode(stored[number])) for number in here]
  return cards


def _card(record: dict[str, Any]) -> dict[str, str]:
  depth_m = record["depth_m"]
  scale = min(1.0, 2 * _SIDE / max(depth_m.shape))
  small = tuple(max(1, round(n * scale)) for n in depth_m.shape)
  colours, near, far = pictures.depth_rgb(
    geometry.resize_nearest(depth_m, small)
  )
  fov_x, _ = geometry.fov_from_intrinsics(record["intrinsics"])
  known = f"{near:.2g} – {far:.3g} m" if far else "nothing valid"
  return {
    "id": record["id"],
    "image": pictures.data_uri(record["image"], _SIDE),
    "depth": pictures.data_uri(colours, _SIDE),
    "note": f"{known}, {np.degrees(float(fov_x)):.0f}°",
  }


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
