"""Pictures for the page: photographs, depth maps, marks, a point cloud."""

import base64
import re

import cv2
import numpy as np

from hispatial_jax.core import geometry

_CLOUD_POINTS = 30_000
_LOC = re.compile(r"<loc(\d{4})><loc(\d{4})>(?:<loc(\d{4})><loc(\d{4})>)?")
_GREY = "#8a8a85"


def data_uri(rgb: np.ndarray, side: int = 336) -> str:
  """u8[H,W,3] -> a JPEG as data URI; small ones are enlarged in blocks."""
  h, w = rgb.shape[:2]
  scale = side / max(h, w)
  how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
  size = (max(1, round(w * scale)), max(1, round(h * scale)))
  bgr = cv2.cvtColor(
    cv2.resize(rgb, size, interpolation=how), cv2.COLOR_RGB2BGR
  )
  _, data = cv2.imencode(".jpg", bgr, [int(cv2.IMWRITE_JPEG_QUALITY), 88])
  return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def depth_rgb(depth_m: np.ndarray) -> tuple[np.ndarray, float, float]:
  """Depth -> (u8[H,W,3] colours, near, far in metres); unknown is grey.

  Colours run over the 2nd to 98th percentile of log depth.
  """
  known = np.isfinite(depth_m) & (depth_m > 0)
  out = np.full((*depth_m.shape, 3), 128, np.uint8)
  if not known.any():
    return out, 0.0, 0.0
  near, far = np.percentile(depth_m[known], [2, 98])
  far = max(far, near * 1.01)
  t = np.log(np.where(known, depth_m, near) / near) / np.log(far / near)
  codes = np.round(255 * np.clip(1 - t, 0, 1)).astype(np.uint8)
  colours = cv2.applyColorMap(codes, cv2.COLORMAP_TURBO)[..., ::-1]
  out[known] = colours[known]
  return out, float(near), float(far)


def marks(question: str) -> list[dict[str, float]]:
  """Places that a question's location tokens name, in percent of the image."""
  out = []
  for match in _LOC.finditer(question):
    y1, x1, y2, x2 = (int(g) if g else None for g in match.groups())
    y2, x2 = (y1 if y2 is None else y2), (x1 if x2 is None else x2)
    out.append({"x": (x1 + x2) / 20.48, "y": (y1 + y2) / 20.48})
  return out


def words(question: str) -> str:
  """The question with its location tokens written as numbered marks."""
  number = iter("①②③④⑤⑥⑦⑧⑨")
  found = _LOC.sub(lambda _: next(number, "●"), question)
  return re.sub(r"pixel in ([①-⑨])", r"pixel \1", found)


def cloud(record: dict, points: list[dict]) -> str:
  """HTML (without plotly's own code) of `cloud_figure`."""
  return cloud_figure(record, points).to_html(
    full_html=False,
    include_plotlyjs=False,
    div_id="cloud",
    config={"displayModeBar": False, "responsive": True},
  )


def cloud_figure(record: dict, points: list[dict]):
  """A point cloud to turn, as plotly.graph_objects.Figure.

  Args:
    record: image u8[H,W,3], depth_m, intrinsics.
    points: marks in it: {"name", "xyz" metres camera frame, "colour"}.
  """
  import plotly.graph_objects as go

  x, y, z, colours = _cloud(record)
  figure = go.Figure()
  figure.add_scatter3d(
    x=x,
    y=z,
    z=-y,
    mode="markers",
    hoverinfo="skip",
    showlegend=False,
    marker={"size": 2.8, "color": colours},
  )
  camera = {"name": "camera", "xyz": (0, 0, 0), "colour": _GREY}
  for mark in [camera, *points]:
    a, b, c = mark["xyz"]
    shape = {"size": 10, "line": {"width": 1}}
    if mark is camera:
      shape = {"size": 5, "symbol": "diamond"}
    figure.add_scatter3d(
      x=[a],
      y=[c],
      z=[-b],
      mode="markers",
      name=mark["name"],
      hovertemplate=f"{mark['name']}<br>{a:.2f} {b:.2f} {c:.2f} m",
      marker={"color": mark["colour"], **shape},
    )
  figure.update_layout(**cloud_layout())
  return figure


def _cloud(record):
  """(x, y, z, colours) of the pixels whose depth is known, thinned out."""
  depth, rgb = record["depth_m"], record["image"]
  known = np.isfinite(depth) & (depth > 0)
  if depth.shape != rgb.shape[:2]:
    rgb = cv2.resize(rgb, depth.shape[::-1], interpolation=cv2.INTER_AREA)
  xyz = geometry.unproject(np.where(known, depth, 0), record["intrinsics"])
  step = int(np.ceil(np.sqrt(known.sum() / _CLOUD_POINTS)))
  keep = np.zeros_like(known)
  keep[:: max(1, step), :: max(1, step)] = True
  keep &= known & (depth <= 1.5 * np.percentile(depth[known], 98))
  x, y, z = np.round(xyz[keep], 3).T.astype(np.float64)
  colours = [f"rgb({r},{g},{b})" for r, g, b in rgb[keep]]
  return x, y, z, colours


def cloud_layout() -> dict:
  """plotly's layout: axes in metres, seen from behind and above the camera."""
  axis = {
    "color": _GREY,
    "gridcolor": "rgba(138,138,133,.25)",
    "zeroline": False,
    "showbackground": False,
  }
  titles = {"xaxis": "right, m", "yaxis": "ahead, m", "zaxis": "up, m"}
  scene = {
    name: {**axis, "title": {"text": title, "font": {"size": 12}}}
    for name, title in titles.items()
  }
  return {
    "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
    "paper_bgcolor": "rgba(0,0,0,0)",
    "font": {"color": _GREY, "size": 12},
    "legend": {"x": 0, "y": 1, "orientation": "h"},
    "scene": {
      **scene,
      "aspectmode": "data",
      "camera": {
        "eye": {"x": -0.3, "y": -1.25, "z": 0.45},
        "center": {"x": 0, "y": 0, "z": -0.06},
      },
    },
  }
