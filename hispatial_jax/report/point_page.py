"""The page of one photo: its depth, its cloud, and a ruler.

The page holds a grid of depth codes (pp/codec.py) and the camera; its script
unprojects them, so that a click on the photo and a click on the cloud find the
same points. Everything is inside, nothing is fetched.
"""

import base64
import json
from typing import Any

import cv2
import numpy as np

from hispatial_jax.pp import codec
from hispatial_jax.report import (
  pictures,
  point_mesh,
  point_script,
  point_template,
  template,
)

MOST_CELLS = 200_000  # of the grid that clicks on the photo find
MOST_POINTS = 60_000  # of the cloud
_SIDE = 960  # pixels of the pictures' longer side
# Beyond so many times the 98th percentile of depth, pixels stay out of the
# cloud: a few far ones would make the rest small.
_FAR = 1.5


def html(
  depth_m: np.ndarray,
  camera: dict[str, Any],
  image: np.ndarray,
  source: str,
  facts: dict | None = None,
) -> str:
  """The page.

  Args:
    depth_m: f32[H,W] metres, inf where unknown.
    camera: intrinsics (normalised), width, height, fov_x_deg, fov_y_deg.
    image: u8[H,W,3].
    source: the photo's file name, the title.
    facts: JSON-able; shown at the end.

  Raises:
    ModuleNotFoundError: jinja2 or plotly is missing.
  """
  jinja2, offline = import_packages()
  known = np.isfinite(depth_m)
  colours, near, far = pictures.depth_rgb(depth_m)
  facts = {"source": source, "camera": camera, **(facts or {})}
  values = {
    "title": source,
    "style": template.STYLE + point_template.STYLE,
    "ratio": f"{camera['width'] / camera['height']:.4f}",
    "photo": pictures.data_uri(image, _SIDE),
    "depth": pictures.data_uri(colours, _SIDE),
    "ramp": ramp(),
    "scale": [_metres(x) for x in (near, np.sqrt(near * far), far)],
    "tiles": tiles(depth_m, camera),
    "any": bool(known.any()),
    "facts": json.dumps(facts, indent=2, ensure_ascii=False),
    "script": point_script.SCRIPT,
  }
  if known.any():
    values["data"] = embed(grid(depth_m, camera["intrinsics"]))
    values["layout"] = embed(pictures.cloud_layout())
    values["plotly"] = offline.get_plotlyjs()
  environment = jinja2.Environment(autoescape=True, trim_blocks=True)
  return environment.from_string(point_template.PAGE).render(values)


def grid(depth_m: np.ndarray, intrinsics) -> dict[str, Any]:
  """What the script measures on.

  Cell (i, j) of the grid is pixel (first + step * i, first + step * j).

  Args:
    depth_m: f32[H,W], some finite; inf where unknown.
    intrinsics: [3,3] normalised.

  Returns:
    width, height (pixels), step, first, rows, columns; depth (base64 of
    little-endian u16 codes, row by row) with near and far; intrinsics; every:
    the cloud takes each so-many-th row and column; limit_m: its largest depth.
  """
  height, width = depth_m.shape
  step = point_mesh.stride(np.ones_like(depth_m, bool), MOST_CELLS)
  first = step // 2 if min(height, width) > step // 2 else 0
  cells = depth_m[first::step, first::step]
  codes, near, far = codec.encode_depth(cells)
  known = np.isfinite(cells)
  limit = _FAR * np.percentile(cells[known], 98) if known.any() else 0.0
  return {
    "width": width,
    "height": height,
    "step": step,
    "first": first,
    "rows": cells.shape[0],
    "columns": cells.shape[1],
    "depth": base64.b64encode(codes.astype("<u2").tobytes()).decode(),
    "near": near,
    "far": far,
    "intrinsics": np.asarray(intrinsics, np.float64).tolist(),
    "every": point_mesh.stride(known & (cells <= limit), MOST_POINTS),
    "limit_m": float(limit),
  }


def tiles(depth_m: np.ndarray, camera: dict[str, Any]) -> list[dict[str, str]]:
  """Name, value and unit of what is told in large type.

  Args:
    depth_m: f32[H,W], inf where unknown.
    camera: as `html` takes it.
  """
  known = np.isfinite(depth_m)
  share = 100 * float(known.mean())
  near, far = (
    (depth_m[known].min(), depth_m[known].max()) if known.any() else (0, 0)
  )
  # Neither all nor nothing is said of almost all or almost nothing.
  shown = f"{min(share, 99.9):.1f}" if share % 100 else f"{share:.0f}"
  shown = "<0.1" if 0 < share < 0.1 else shown
  wide, high = camera["fov_x_deg"], camera["fov_y_deg"]
  depths = f"{_metres(near)} – {_metres(far)}" if known.any() else "–"
  return [
    {"name": "pixels with a depth", "value": shown, "unit": "%"},
    {"name": "depth, nearest to farthest", "value": depths, "unit": "m"},
    {
      "name": "field of view, across and down",
      "value": f"{wide:.0f}° × {high:.0f}°",
      "unit": "",
    },
  ]


def ramp() -> str:
  """CSS gradient of the depth picture's colours, near to far."""
  codes = np.linspace(255, 0, 12).round().astype(np.uint8)[None]
  colours = cv2.applyColorMap(codes, cv2.COLORMAP_TURBO)[0, :, ::-1]
  stops = ", ".join(f"rgb({r} {g} {b})" for r, g, b in colours)
  return f"linear-gradient(to right, {stops})"


def embed(value) -> str:
  """JSON that may stand inside a script element."""
  text = json.dumps(value, allow_nan=False, separators=(",", ":"))
  return text.replace("<", "\\u003c")


def import_packages():
  """(jinja2, plotly.offline).

  Raises:
    ModuleNotFoundError: names the extra to install.
  """
  try:
    import jinja2
    import plotly.offline
  except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
      f"page.html needs jinja2 and plotly ({error}): pip install "
      "'hispatial_jax[demo]', or leave page out of --formats"
    ) from error
  return jinja2, plotly.offline


def _metres(x: float) -> str:
  return f"{x:.2f}" if x < 10 else f"{x:.1f}" if x < 100 else f"{x:.0f}"
