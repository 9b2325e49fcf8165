"""From the released shards to questions: the reference's numbers and texts."""

import collections
import functools
import io
import json
import pathlib
import re
import tarfile

import numpy as np
import pytest

from hispatial_jax.data import records, released
from hispatial_jax.pp import build, codec, image, points, questions

_GOLDEN = pathlib.Path(__file__).parent / "golden" / "hispatial_data"
_KEYS = {
  "wild": [f"o365_000000{i}" for i in range(1, 5)]
  + ["coyo_0000005", "coyo_0000006"],
  "ca1m": [f"47331_000{i}" for i in range(1, 7)],
  "general": [f"gen_000{i}" for i in range(1, 4)],
}
_ALL = [(kind, key) for kind, keys in _KEYS.items() for key in keys]
# The point maps that the reference trains on.
_FAITHFUL = {
  "wild": {"unknown_m": 0.0},
  "ca1m": {"max_depth_m": 30, "unknown_m": None},
  "general": {},
}
# Where the fixture has a NaN or a negative depth, or a point off the camera's
# rays: a record holds such pixels as unknown. Pixels of 56 x 56.
_BEYOND_RECORDS = {
  "47331_0001": 10,
  "gen_0001": 2,
  "gen_0002": 3,
  "gen_0003": 6,
}


@functools.cache
def _reference():
  return json.loads((_GOLDEN / "reference.json").read_text())


@functools.cache
def _arrays():
  with np.load(_GOLDEN / "arrays.npz") as found:
    return dict(found)


@functools.cache
def _record(kind, key):
  shard = f"{kind}-000000.tar"
  return released.Shards(str(_GOLDEN / shard), kind).make(f"{shard}/{key}")


@functools.cache
def _stored(kind, key):
  return records.decode(records.encode(_record(kind, key)))


@pytest.mark.parametrize("size", [56, 448])
@pytest.mark.parametrize(("kind", "key"), _ALL)
def test_image(kind, key, size):
  got = image.resize(codec.read_image(_record(kind, key)["image"]), size)
  if size == 56:
    np.testing.assert_array_equal(got, _arrays()[f"{kind}/{key}/image_56"])
  for row, column, rgb in _reference()[kind][key]["resized"][str(size)][
    "image_samples"
  ]:
    assert got[row, column].tolist() == rgb


@pytest.mark.parametrize(("kind", "key"), _ALL)
def test_points(kind, key):
  record = _record(kind, key)
  got = points.points(
    record["depth_m"], record["intrinsics"], 56, **_FAITHFUL[kind]
  )
  want = np.moveaxis(_arrays()[f"{kind}/{key}/xyz_values_56"], 0, -1)
  # FORMAT.md, "Tolerances": 5e-5 absolute, coordinates up to 250.
  wrong = (np.abs(got - want) > 5e-5 + 2e-6 * np.abs(want)).any(-1)
  assert wrong.sum() == _BEYOND_RECORDS.get(key, 0)
  assert not got[wrong, 3].any()


@pytest.mark.parametrize(("kind", "key"), _ALL)
def test_points_of_448(kind, key):
  record, want = _record(kind, key), _reference()[kind][key]["resized"]["448"]
  got = points.points(
    record["depth_m"], record["intrinsics"], 448, **_FAITHFUL[kind]
  )
  for row, column, values in want["xyz_samples"]:
    if key not in _BEYOND_RECORDS or got[row, column, 3]:
      np.testing.assert_allclose(got[row, column], values, rtol=2e-6, atol=5e-5)
  if key not in _BEYOND_RECORDS:
    assert got[..., 3].sum() == want["mask_sum"]
    for axis, count in enumerate(want["n_at_250"]):
      assert (got[..., axis] == 250).sum() == count
    zeros = (got[..., :3] == 0).all(-1).sum()
    assert zeros == want["n_xyz_all_zero"]


@pytest.mark.parametrize("key", _KEYS["ca1m"])
def test_points_of_ca1m_as_measured(key):
  """NaN, negative and infinite depth too, from the file itself."""
  with tarfile.open(_GOLDEN / "ca1m-000000.tar") as tar:
    depth = np.load(io.BytesIO(tar.extractfile(f"{key}_depth.npy").read()))
  camera = _record("ca1m", key)["intrinsics"]
  got = points.points(depth, camera, 56, **_FAITHFUL["ca1m"])
  want = np.moveaxis(_arrays()[f"ca1m/{key}/xyz_values_56"], 0, -1)
  np.testing.assert_allclose(got, want, rtol=2e-6, atol=5e-5)


@pytest.mark.parametrize(("kind", "key"), _ALL)
def test_records_keep_the_point_map(kind, key):
  record, stored = _record(kind, key), _stored(kind, key)
  options = {"max_depth_m": 30} if kind == "ca1m" else {}
  want = points.points(record["depth_m"], record["intrinsics"], 56, **options)
  got = points.points(stored["depth_m"], stored["intrinsics"], 56, **options)
  # Half a step of the log code, see pp/codec.py; CA-1M has a pixel of 29.999 m.
  differ = got[..., 3] != want[..., 3]
  assert differ.sum() == (key == "47331_0001")
  assert (np.maximum(got, want)[differ, 2] > 29.99).all()
  np.testing.assert_allclose(got[~differ], want[~differ], rtol=7e-5, atol=1e-6)
  unknown = got[got[..., 3] == 0, :3]
  assert (unknown == 250).all()


def _op(kind, options):
  extra = {"ca1m": ", max_depth_m=30"}.get(kind, "")
  return build.build(f"points(56{extra})|resize(56)|{kind}_qa({options})")


def _draws(kind, key, count, options):
  """Yields the example of each of `count` draws."""
  ops = _op(kind, options)
  example = _stored(kind, key)
  for op in ops.fixed:
    example = op(example)
  (ask,) = ops.drawn
  for epoch in range(count):
    draw = questions.Draw(key, epoch)
    try:
      yield ask({**example, "draw": draw})
    except codec.BadInput as error:
      yield error.reason


def _texts(example):
  """(question as the processor makes it, answer), pixel queries as one."""
  if isinstance(example, str):
    return "__raises__", ""
  (row,) = example["qa"]
  question = row["question"].strip().replace("<image>", "")
  if row["task"] == "query_pixel_xyz" and question.startswith(
    "what is the xyz"
  ):
    return "<PIXEL QUERY>", ""
  return question, row["answer"]


def _outcomes(kind, key):
  found = _reference()[kind][key]["call_outcomes"]["outcomes"]
  return {
    (question, "" if question == "__raises__" else answer)
    for question, answer, *_ in found
  }


@pytest.mark.parametrize(("kind", "key"), _ALL)
def test_faithful_draws_are_the_references(kind, key):
  want = _outcomes(kind, key)
  got = {
    _texts(example) for example in _draws(kind, key, 3000, "1, faithful=True")
  }
  assert got <= want
  if len(want) <= 60:
    assert got == want


def test_types_of_a_sample_come_with_their_weights():
  want = _reference()["wild"]["o365_0000001"]["qa_type_probability"]
  share = want["per_type_before_fallbacks"]
  share = share | {"query_pixel_xyz": want["pixel_query_first_draw"]}
  for options in ("1", "1, faithful=True"):
    count = collections.Counter(
      example["qa"][0]["task"]
      for example in _draws("wild", "o365_0000001", 20_000, options)
    )
    assert set(count) == set(share)
    for name, p in share.items():
      assert abs(count[name] / 20_000 - p) < 0.01


def _parse(question):
  y, x = (int(n) for n in re.findall(r"<loc(\d{4})>", question)[:2])
  return round(y * 56 / 1024), round(x * 56 / 1024)


@pytest.mark.parametrize("key", ["o365_0000002", "coyo_0000006"])
def test_pixel_queries_tell_the_map(key):
  asked = 0
  for example in _draws("wild", key, 400, "1, levels=(0,)"):
    (row,) = example["qa"]
    assert row["level"] == 0
    row_column = _parse(row["question"])
    want = example["points"][row_column]
    got = [float(v.removesuffix("m")) for v in row["answer"].split()]
    np.testing.assert_allclose(got, want[:3], atol=0.0051)
    assert want[3] == 1
    asked += 1
  assert asked == 400


def test_boxes_are_in_the_picture_where_the_text_names_them():
  seen = set()
  for example in _draws("wild", "o365_0000002", 300, "1"):
    plain = image.resize(_stored("wild", "o365_0000002")["image"], 56)
    changed = (example["image"] != plain).any(-1)
    seen.add(bool(changed.any()))
    if changed.any():
      colours = {tuple(c) for c in example["image"][changed].tolist()}
      assert colours <= {
        (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255)
      }  # fmt: skip
  assert seen == {False, True}


def test_what_cannot_be_asked_has_a_reason():
  def only(kind, key, options="1"):
    return next(_draws(kind, key, 1, options))

  assert only("wild", "coyo_0000005", "1, levels=(0,)") == "no_question"
  assert only("wild", "coyo_0000006", "1, levels=(2, 3)") == "no_question"
  assert only("ca1m", "47331_0004") == "no_question"
  turns = {**_stored("general", "gen_0001"), "points": np.zeros((4, 4, 4))}
  with pytest.raises(ValueError, match="another op"):
    _ask("wild_qa(1)", turns)
  with pytest.raises(ValueError, match="points"):
    _ask("wild_qa(1)", _stored("wild", "o365_0000001"))
  with pytest.raises(ValueError, match="faithful"):
    build.build("wild_qa(2, faithful=True)")


def _ask(string, example):
  return build.build(string)({**example, "draw": questions.Draw("x")})


def test_the_general_question_has_no_blank_in_front():
  rows = [e["qa"][0] for e in _draws("general", "gen_0001", 40, "1")]
  assert {row["question"][0] for row in rows} == {"W", "A"}
  assert {row["level"] for row in rows} == {-1}
