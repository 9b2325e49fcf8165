"""Point maps of a benchmark: measured, or estimated once and kept."""

import evaluation_fakes as fakes
import numpy as np
import precompute_fakes
import pytest

from hispatial_jax.evaluation import points, run
from hispatial_jax.evaluators import examples
from hispatial_jax.moge import infer


@pytest.fixture
def moge(tmp_path, monkeypatch):
  """A file that stands for a checkpoint, and the models made of it."""
  made = []

  def load(path, *, dtype, devices=None):
    made.append(precompute_fakes.Eyes(devices))
    return made[-1]

  monkeypatch.setattr(infer.MoGe, "load", load)
  file = tmp_path / "model.pt"
  file.write_bytes(b"weights")
  return file, made


def test_the_first_way_that_has_them(moge, tmp_path):
  file, made = moge
  found = run.open("qspatial", fakes.GOLDEN / "qspatial").examples
  maps = points.Points(f"measured, moge:{file}", tmp_path / "cache")
  maps.prepare(found)
  sources = {}
  for example in found:
    if example.error:
      continue
    depth, matrix, source = maps.of(example)
    sources[example.category["split"]] = source
    assert depth.ndim == 2
    assert matrix.shape == (3, 3)
    assert points.median(depth) > 0
  assert sources == {"QSpatial_plus": "moge", "QSpatial_scannet": "measured"}
  rgb = examples.picture(found[0], drawn=False)
  wanted = precompute_fakes.points(rgb)
  depth, matrix, _ = maps.of(found[0])
  known = np.isfinite(wanted.depth)
  np.testing.assert_allclose(depth[known], wanted.depth[known], rtol=2e-4)
  np.testing.assert_allclose(matrix, wanted.intrinsics, rtol=1e-6)
  calls = sum(eyes.calls for eyes in made)
  again = points.Points(f"measured,moge:{file}", tmp_path / "cache")
  again.prepare(found)
  assert sum(eyes.calls for eyes in made) == calls > 0
  assert again.of(found[0])[2] == "moge"
  assert again.describe()[0] == "measured"
  assert set(again.describe()[1]["moge"]) == {"file", "sha256", "dtype"}


def test_none_is_none_and_named_so(tmp_path):
  task = run.open("qspatial", fakes.GOLDEN / "qspatial")
  model = fakes.Slow("qspatial")
  found = run.evaluate(task, model, tmp_path, run.Options(points="none"))
  assert not any(has for _, has in model.seen.values())
  assert found["points"] == ["none"]
  assert found["counts"]["no_points"] == 16
  with pytest.raises(ValueError, match=r"points was \['none'\], is"):
    run.evaluate(task, model, tmp_path, run.Options(resume=True))


@pytest.mark.parametrize("ways", ["", "lidar", "moge", "none,none", "moge:"])
def test_unknown_ways_are_refused(ways):
  with pytest.raises(ValueError, match="--points"):
    points.Points(ways)
  with pytest.raises(FileNotFoundError, match="no model at"):
    points.Points("moge:nowhere.pt")
