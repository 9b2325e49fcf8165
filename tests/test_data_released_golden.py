"""The released layouts give what the reference reads from the same shards."""

import json
import pathlib
import tarfile

import numpy as np
import pytest

from hispatial_jax.core import geometry, torch_file
from hispatial_jax.data import records, released
from hispatial_jax.pp import codec

_GOLDEN = pathlib.Path(__file__).parent / "golden" / "hispatial_data"
_SPECIAL = {"nan": np.nan, "inf": np.inf}


@pytest.fixture(scope="module")
def reference():
  return json.loads((_GOLDEN / "reference.json").read_text())


def _shards(kind):
  return released.Shards(str(_GOLDEN / f"{kind}-000000.tar"), kind)


def _made(kind, key):
  return _shards(kind).make(f"{kind}-000000.tar/{key}")


def _raw(kind, member):
  """What a member of a golden shard holds, by torch itself."""
  with tarfile.open(_GOLDEN / f"{kind}-000000.tar") as tar:
    return torch_file.load(tar.extractfile(member).read())


@pytest.mark.parametrize("kind", released.MEMBERS)
def test_golden_shards_hold_the_samples_of_the_reference(kind, reference):
  source = _shards(kind)
  ids = source.splits["train"]
  assert ids == [f"{kind}-000000.tar/{key}" for key in reference[kind]]
  assert source.problems == []
  assert json.loads(json.dumps(source.describe())) == source.describe()
  for name in ids:
    if name.endswith("bad_roles"):
      continue
    record = source.make(name)
    want = reference[kind][name.partition("/")[2]]
    assert codec.read_image(record["image"]).shape[1::-1] == tuple(
      want["image_wh"]
    )
    # The stored form takes it, and gives the depth and the questions back.
    back = records.decode(records.encode(record))
    unknown = np.isnan(back["depth_m"])
    np.testing.assert_array_equal(unknown, ~(record["depth_m"] > 0))
    np.testing.assert_allclose(
      back["depth_m"][~unknown], record["depth_m"][~unknown], rtol=1e-4
    )
    assert back["qa"] == record["qa"]


# The number of items that are no None and of a known type, told by eye.
_ITEMS = [6, 5, 0, 6, 1, 0]


@pytest.mark.parametrize("number", range(6))
def test_golden_wild(number, reference):
  key, want = list(reference["wild"].items())[number]
  record = _made("wild", key)
  depth, said = record["depth_m"], want["depth"]
  assert record["source"] == key[:4]
  assert depth.shape == tuple(want["depth_hw"])
  assert depth.dtype == want["depth_dtype"]
  np.testing.assert_array_equal(
    record["intrinsics"], np.array(want["intrinsics"], np.float32)
  )
  assert np.isnan(depth).sum() == said["n_nan"]
  assert np.isinf(depth).sum() == said["n_inf"]
  known = depth[np.isfinite(depth)]
  if len(known):
    found = [known.min(), known.max(), known.mean(dtype=np.float64)]
    # FORMAT.md, "Tolerances": 2e-7 relative.
    np.testing.assert_allclose(
      found, [said[k] for k in ("min", "max", "mean")], rtol=2e-7
    )
  for row, column, value in said["samples"]:
    np.testing.assert_allclose(
      depth[row, column], _SPECIAL.get(value, value), rtol=2e-7
    )
  points = geometry.unproject(depth, record["intrinsics"])
  for row, column, xyz in want["point_map_before_resize"]:
    if np.isfinite(depth[row, column]):
      # FORMAT.md, "Tolerances": 5e-5 absolute.
      np.testing.assert_allclose(points[row, column], xyz, rtol=2e-6, atol=5e-5)
  types = want["qa_type_probability"]["per_type_before_fallbacks"]
  assert {row["task"] for row in record["qa"]} == set(types)
  assert len(record["qa"]) == _ITEMS[number]


def test_golden_wild_questions_are_those_released():
  record = _made("wild", "o365_0000001")
  lists = _raw("wild", "o365_0000001.pt")
  items = [
    item
    for key, part in lists.items()
    if "metadata" not in key
    for item in part
    if item is not None
  ]
  assert [row["meta"] for row in record["qa"]] == items
  for row in record["qa"]:
    assert (row["question"], row["answer"]) == ("", "")
    assert row["format"] == records.RELEASED
    assert row["task"] == row["meta"]["qa_type"]
  assert [row["level"] for row in record["qa"]] == [1, 1, 2, 2, 2, 2]
  assert record["notes"] == []
  reasons = [note[0] for note in _made("wild", "o365_0000003")["notes"]]
  assert reasons == ["unknown_qa_type", "empty_qa"]
  (note,) = _made("wild", "coyo_0000006")["notes"]
  assert note[0] == "empty_qa"
  assert "coyo_0000006" in note[1]


@pytest.mark.parametrize("number", range(6))
def test_golden_ca1m(number, reference):
  key, want = list(reference["ca1m"].items())[number]
  record = _made("ca1m", key)
  depth = record["depth_m"]
  assert record["source"] == "ca1m"
  assert depth.shape == tuple(want["depth_hw"])
  assert depth.dtype == np.float32
  assert ((depth > 0) & (depth < 30)).sum() == want["n_valid"]
  camera = np.array(want["K"])
  camera[:2, 2] += 0.5
  camera[:2] /= np.array(want["depth_hw"])[::-1, None]
  np.testing.assert_allclose(record["intrinsics"], camera, rtol=1e-7)
  points = geometry.unproject(depth, record["intrinsics"])
  for row, column, value, xyz, valid in want["point_map_before_resize"]:
    value = _SPECIAL.get(value, value)
    # As measured, beyond 30 m too; what is no length is unknown.
    want_m = value if value > 0 else 0
    assert depth[row, column] == np.float32(want_m)
    if valid:
      # FORMAT.md, "Tolerances": 1e-6; rays are in float32 here.
      np.testing.assert_allclose(points[row, column], xyz, rtol=1e-6, atol=4e-6)
  items = want.get("qa_items", [])
  assert [row["meta"]["prefix"] for row in record["qa"]] == [
    item["prefix"] for item in items
  ]
  assert [row["level"] == -1 for row in record["qa"]] == [
    item["bucket"] == "__other__" for item in items
  ]


def test_golden_ca1m_keeps_unknown_types():
  record = _made("ca1m", "47331_0006")
  assert [row["level"] for row in record["qa"]] == [-1] * 4
  assert [row["task"] for row in record["qa"]] == ["foo", "", "", ""]
  assert [n[0] for n in record["notes"]] == ["unknown_qa_type"] * 2
  assert "3 of qa_type ''" in record["notes"][1][1]
  assert _made("ca1m", "47331_0004")["notes"][0][0] == "empty_qa"


@pytest.mark.parametrize("key", ["gen_0001", "gen_0002", "gen_0003"])
def test_golden_general(key, reference):
  want = reference["general"][key]
  record, raw = _made("general", key), _raw("general", f"{key}.pt")
  mask, points = raw["mask"].numpy(), raw["points"].numpy()
  depth = record["depth_m"]
  assert mask.sum() == want["mask_sum"]
  np.testing.assert_array_equal(np.isinf(depth), ~mask)
  # Two masked-in pixels are not finite, one at x = -400 is on no ray.
  assert ((depth > 0) & mask).sum() == want["mask_sum"] - 3
  known = mask & (depth > 0)
  np.testing.assert_array_equal(depth[known], points[known][:, 2])
  found = geometry.unproject(depth, record["intrinsics"])
  z = depth[known][:, None]
  # float32 points and a fitted camera.
  np.testing.assert_allclose(found[known] / z, points[known] / z, atol=3e-6)
  turns = want["conversation"]
  assert [(row["question"], row["answer"]) for row in record["qa"]] == [
    (turns[i]["value"], turns[i + 1]["value"])
    for i in range(0, len(turns) // 2 * 2, 2)
  ]
  for row in record["qa"]:
    assert (row["level"], row["task"], row["format"], row["meta"]) == (
      -1,
      "general",
      "turn",
      {},
    )
  # The stored camera is the unit matrix, and not that of the points.
  assert [n[0] for n in record["notes"]] == ["other_camera"]


def test_golden_general_of_bad_roles():
  with pytest.raises(codec.BadInput, match="1 of 1 pairs") as error:
    _made("general", "gen_0004_bad_roles")
  assert error.value.reason == "roles"
