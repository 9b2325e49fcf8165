"""tools/compare_moge.py: what differs between two backends is told."""

import dataclasses
import importlib.util
import pathlib

import cv2
import moge_fake
import numpy as np
import pytest

from hispatial_jax.moge import infer, metric, upstream

_PATH = pathlib.Path(__file__).parent.parent / "tools" / "compare_moge.py"


@pytest.fixture(scope="module")
def tool():
  spec = importlib.util.spec_from_file_location("compare_moge", _PATH)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def _map(**changes):
  found = metric.PointMap(*moge_fake.point_map((12, 16)))
  return dataclasses.replace(found, **changes)


class _Eyes:
  """Gives one point map, whatever the photo."""

  def __init__(self, found):
    self.found = found

  def infer_batch(self, images, **options):
    assert options == {"num_tokens": 50, "fov_x_deg": None}
    return [self.found for _ in images]


@pytest.fixture
def photos(tmp_path):
  image = np.full((12, 16, 3), 90, np.uint8)
  for name in ("a.png", "b.png"):
    cv2.imwrite(str(tmp_path / name), image)
  (tmp_path / "model.pt").write_bytes(b"weights")
  return tmp_path


def test_equal_maps_do_not_differ(tool):
  found = tool.compare(_map(), _map())
  assert found[:3] == (0, 0, 0)
  assert found.fov_deg == pytest.approx((60, 60), abs=1e-3)
  assert found[4:] == (0, 0)


def test_every_difference_is_seen(tool):
  other = _map()
  depth, mask = other.depth * 1.02, other.mask.copy()
  depth[-1, -1] *= 1.5
  mask[6, :8] = False
  wide = other.intrinsics.copy()
  wide[0, 0] *= 1.1
  found = tool.compare(_map(depth=depth, mask=mask, intrinsics=wide), other)
  assert found.median == pytest.approx(0.02, rel=1e-4)
  assert found.largest == pytest.approx(0.53, rel=1e-4)
  assert found.focal == pytest.approx(0.1, rel=1e-4)
  assert found.fov_deg[0] < found.fov_deg[1] - 3
  assert found.mask == 8 / (12 * 16)
  assert found.scale == pytest.approx(0.02, rel=1e-4)


def test_nothing_valid_is_no_error(tool):
  nothing = _map(mask=np.zeros((12, 16), bool))
  found = tool.compare(nothing, _map())
  assert np.isnan(found.median)
  assert "0.0e+00" in tool._summary([(found, 1.0, 2.0)])


def test_a_line_a_photo_and_a_sum(tool, photos, capsys, monkeypatch):
  ours = _Eyes(_map(depth=_map().depth * 1.25))
  monkeypatch.setattr(infer.MoGe, "load", lambda path, dtype: ours)
  monkeypatch.setattr(upstream, "load", lambda path, dtype: _Eyes(_map()))
  args = [str(photos), "--moge", str(photos / "model.pt"), "--tokens", "50"]
  before = sorted(photos.iterdir())
  assert tool.main(args) == 0
  lines = capsys.readouterr().out.splitlines()
  assert [line.split(" | ")[0] for line in lines[1:3]] == ["a.png", "b.png"]
  assert "2.5e-01, 2.5e-01" in lines[1]
  assert lines[3].startswith("2 photos, largest differences: depth 2.5e-01")
  assert sorted(photos.iterdir()) == before
  assert tool.main([*args, "--out", str(photos / "out")]) == 0
  sheet = cv2.imread(str(photos / "out" / "a.jpg"))
  assert sheet.shape == (12, 4 * 16, 3)
  # Differences beyond 1 percent are white, and equal masks black.
  assert sheet[8, -8:].min() > 200
  assert sheet[0, -8:].max() < 50


def test_an_absent_package_is_one_line(tool, photos, capsys, monkeypatch):
  def absent(path, dtype):
    raise ModuleNotFoundError("pip install -r tools/requirements-upstream.txt")

  monkeypatch.setattr(upstream, "load", absent)
  args = [str(photos / "a.png"), "--moge", str(photos / "model.pt")]
  assert tool.main(args) == 1
  error = capsys.readouterr().err
  assert error.startswith("compare_moge: error: pip install")
  assert error.count("\n") == 1
