"""The page measures what the point map holds, and fetches nothing."""

import base64
import json
import re
import shutil
import subprocess

import moge_fake
import numpy as np
import pytest

from hispatial_jax.core import geometry
from hispatial_jax.pp import codec
from hispatial_jax.report import (
  point_files,
  point_mesh,
  point_page,
  point_script,
)

_SIZE = (48, 64)


@pytest.fixture
def found():
  return moge_fake.point_map(_SIZE)


def _page(found, source="photo.jpg"):
  image = np.full((*found.depth.shape, 3), 200, np.uint8)
  camera = point_files.camera(found.intrinsics, found.depth.shape)
  return point_page.html(found.depth, camera, image, source, {"flip": True})


def _data(page):
  text = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1]
  return json.loads(text)


def _own(page):
  """The page without its scripts' code."""
  return re.sub(
    r"<script>.*?</script>", "<script></script>", page, flags=re.DOTALL
  )


def test_grid_holds_the_points_of_its_pixels(monkeypatch, found):
  monkeypatch.setattr(point_page, "MOST_CELLS", 500)
  data = _data(_page(found))
  step, first = data["step"], data["first"]
  assert (step, first) == (3, 1)
  codes = np.frombuffer(base64.b64decode(data["depth"]), "<u2")
  codes = codes.reshape(data["rows"], data["columns"])
  depth = codec.decode_depth(codes, data["near"], data["far"])
  want = found.points[first::step, first::step]
  assert want.shape[:2] == depth.shape
  np.testing.assert_allclose(depth, want[..., 2], rtol=1e-5)
  # The same unprojection as the script's, which knows pixels and camera only.
  rows, columns = np.indices(depth.shape)
  u = (first + step * columns + 0.5) / data["width"]
  v = (first + step * rows + 0.5) / data["height"]
  (fx, _, cx), (_, fy, cy), _ = data["intrinsics"]
  known = np.isfinite(depth)
  x = ((u - cx) / fx * depth)[known]
  y = ((v - cy) / fy * depth)[known]
  got = np.stack([x, y, depth[known]], -1)
  np.testing.assert_allclose(got, want[known], rtol=2e-5, atol=1e-5)


def test_cloud_is_bounded_and_leaves_the_very_far_out(monkeypatch):
  monkeypatch.setattr(point_page, "MOST_POINTS", 300)
  depth = np.full(_SIZE, 2.0, np.float32)
  depth[0, :20] = 90.0  # less than 2 % of the pixels
  data = point_page.grid(depth, np.eye(3))
  every = data["every"]
  assert 2.0 <= data["limit_m"] < 4
  shown = depth[::every, ::every]
  assert 100 < (shown <= data["limit_m"]).sum() <= 300
  assert point_mesh.stride(np.ones((10, 10), bool), 100) == 1
  assert point_mesh.stride(np.ones((10, 10), bool), 99) == 2


_PROBE = """
const elements = {};
const document = { getElementById: (id) => elements[id] ??= {} };
elements.data = { textContent: process.argv[1] };
"""
_ASK = """
const at = (u, v) => pointAt(...cellAt(u, v));
const [p, q] = [at(0.1, 0.5), at(0.9, 0.9)];
console.log(JSON.stringify({
  p: p.xyz, q: q.xyz, sky: at(0.5, 0.1), corner: cellAt(1, 1),
  words: inWords(q.xyz.map((x, k) => x - p.xyz[k])),
  signed: [signed(-0.4), signed(12), metres(123.456)] }));
"""


@pytest.mark.skipif(not shutil.which("node"), reason="runs the page's script")
def test_the_script_measures_in_metres(found):
  # The part of the script before it touches the page.
  pure = point_script.SCRIPT.split("function draw()")[0]
  data = json.dumps(_data(_page(found)))
  command = ["node", "-e", _PROBE + pure + _ASK, "--", data]
  run = subprocess.run(command, capture_output=True, text=True, check=True)
  got = json.loads(run.stdout)
  p, q = found.points[24, 6], found.points[43, 57]
  np.testing.assert_allclose(got["p"], p, rtol=2e-5)
  np.testing.assert_allclose(got["q"], q, rtol=2e-5)
  assert got["sky"] is None
  assert got["corner"] == [47, 63]
  right, down, ahead = q - p
  want = f"{right:.2f} m right, {down:.2f} m down, {ahead:.2f} m ahead"
  assert got["words"] == want
  assert got["signed"] == ["−0.40", "12.00", "123.5"]


def test_page_says_what_it_shows(found):
  own = _own(_page(found))
  assert own.count("data:image/jpeg;base64,") == 2
  for text in ("75.0", "1.00 – 3.00", "60° × 47°", 'id="cloud"', "flip"):
    assert text in own
  assert 'id="clear"' in own
  assert own.count('tabindex="0"') == 3


def test_nothing_is_fetched(found):
  page = _page(found)
  own = _own(page)
  assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", own)
  assert "@import" not in own
  assert "url(" not in own
  assert not re.search(r"<script[^>]+src", page)
  assert not re.search(r"fetch\(|XMLHttp|import\(", point_script.SCRIPT)


def test_names_are_escaped(found):
  own = _own(_page(found, "<b>&.jpg"))
  assert "<b>" not in own
  assert "&lt;b&gt;&amp;.jpg" in own
  assert point_page.embed("</script>") == '"\\u003c/script>"'


def test_all_sky_has_no_ruler():
  page = _page(moge_fake.point_map(_SIZE, sky=1.0))
  assert "No surface was found" in page
  assert 'id="cloud"' not in page
  assert "tabindex" not in page
  assert len(page) < 200_000  # plotly stays out


@pytest.mark.parametrize(
  ("known", "says"), [(0, "0"), (1, "<0.1"), (4799, "99.9"), (4800, "100")]
)
def test_shares_never_round_to_all_or_nothing(known, says):
  depth = np.full(4800, np.inf, np.float32)
  depth[:known] = 2.0
  camera = {"fov_x_deg": 60.0, "fov_y_deg": 40.0}
  tiles = point_page.tiles(depth.reshape(60, 80), camera)
  assert tiles[0]["value"] == says


def test_skewed_cameras_count(found):
  matrix = found.intrinsics.copy()
  matrix[0, 1] = 0.1
  data = point_page.grid(found.depth, matrix)
  assert data["intrinsics"][0][1] == pytest.approx(0.1)
  points = geometry.unproject(np.ones(_SIZE, np.float32), matrix)
  assert not np.allclose(points[0, 0, 0], points[-1, 0, 0])
