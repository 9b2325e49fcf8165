"""What is wrong with a released sample has a name, and stops no other."""

import json

import numpy as np
import pytest
import released_fakes as fakes
import torch

from hispatial_jax.data import records, released
from hispatial_jax.pp import codec

_WHOLE = {
  "wild": fakes.wild(),
  "ca1m": fakes.ca1m(),
  "general": fakes.general(),
}


def _among_others(tmp_path, kind, **changes):
  """The source of a sample "bad" between two that are whole."""
  bad = getattr(fakes, kind)(**changes)
  samples = [("a", _WHOLE[kind]), ("bad", bad), ("c", _WHOLE[kind])]
  return released.Shards(fakes.write(tmp_path / "x.tar", samples), kind)


def _records(source):
  """Id -> record as stored and read again, or the error."""
  found = {}
  for part in source.splits.values():
    for name in part:
      try:
        stored = records.encode(source.make(name))
        found[name.partition("/")[2]] = records.decode(stored)
      except codec.BadInput as error:
        found[name.partition("/")[2]] = error
  return found


def _camera(**entries):
  matrix = torch.tensor(fakes.CAMERA)
  for place, value in entries.items():
    matrix[int(place[1]), int(place[2])] = value
  return fakes.saved(matrix)


def _k(matrix, key="K"):
  return fakes.saved({key: torch.tensor(matrix)})


def _turns(*turns):
  return json.dumps(
    [{"from": role, "value": value} for role, value in turns]
  ).encode()


_JPEG, _PT = fakes.jpeg(), fakes.saved({"a": []})
_SMALL = fakes.jpeg(fakes.H + 3, fakes.W)
_RANDOM = torch.rand(fakes.H, fakes.W, 3, generator=torch.manual_seed(0)) + 0.1
_ROUGH = torch.tensor(fakes.points())
_ROUGH[..., :2] += 0.05 * (_RANDOM[..., :2] - 0.6) * _ROUGH[..., 2:]
_BAD = [
  # kind, members, reason, words of the message
  ("wild", {"jpg": _JPEG[:-40]}, "truncated", ".jpg: truncated picture"),
  ("wild", {"jpg": b"no picture"}, "image", "no picture in 10 bytes"),
  ("wild", {"jpg": b""}, "image", "no picture in 0 bytes"),
  ("wild", {"jpg": fakes.damaged_jpeg()}, "image", "does not decode"),
  ("wild", {"jpg": fakes.huge_jpeg()}, "too_large", "20000x10000 pixels"),
  ("wild", {"jpg": _SMALL}, "depth_size", "8x6 against an image of 8x9"),
  ("ca1m", {"image_jpg": _SMALL}, "depth_size", "8x6 against an image"),
  ("general", {"jpg": _SMALL}, "depth_size", "8x6 against an image"),
  ("wild", {"png": b"\x89PNG"}, "depth", ".png: no uint16 PNG"),
  ("wild", {"png": fakes.png()[:-30]}, "truncated", ".png: truncated depth"),
  ("wild", {"png": fakes.png(texts=())}, "near_far", "text near and far"),
  (
    "wild",
    {"png": fakes.png(texts=[("near", "1")])},
    "near_far",
    "without the text far",
  ),
  (
    "wild",
    {"png": fakes.png(texts=[("near", "8"), ("far", "0.5")])},
    "near_far",
    "near '8' and far '0.5' are no range",
  ),
  (
    "wild",
    {"png": fakes.png(texts=[("near", "0"), ("far", "nan")])},
    "near_far",
    "no range",
  ),
  (
    "wild",
    {"png": fakes.png(texts=[("near", "close"), ("far", "1")])},
    "near_far",
    "near 'close'",
  ),
  ("wild", {"intrinsics_pt": _camera(m00=0)}, "intrinsics", "positive, got 0"),
  ("wild", {"intrinsics_pt": _camera(m00=900)}, "intrinsics", "not normalised"),
  ("wild", {"intrinsics_pt": _camera(m12=np.nan)}, "intrinsics", "not finite"),
  (
    "wild",
    {"intrinsics_pt": fakes.saved({"K": 1})},
    "intrinsics",
    "array of numbers, got object",
  ),
  ("wild", {"intrinsics_pt": _PT[:-9]}, "pt", ".intrinsics.pt: not a whole"),
  ("wild", {"pt": _PT[:200]}, "pt", ".pt: not a whole file of torch.save"),
  ("wild", {"pt": fakes.saved([])}, "qa", "expected a dict of lists"),
  ("ca1m", {"qa_pt": fakes.saved({})}, "qa", "expected a list of questions"),
  ("ca1m", {"qa_pt": fakes.saved([[[0] * 2000] * 2000])}, "too_large", "over"),
  ("ca1m", {"qa_pt": b""}, "pt", "_qa.pt: not a whole file"),
  (
    "ca1m",
    {"depth_npy": fakes.npy(np.ones((6, 8), np.uint16))},
    "depth_dtype",
    "depth of uint16: expected float metres",
  ),
  (
    "ca1m",
    {"depth_npy": fakes.npy(np.ones((1, 6, 8), np.float32))},
    "depth",
    "shape (1, 6, 8)",
  ),
  (
    "ca1m",
    {"depth_npy": fakes.npy(fakes.depth())[:-1]},
    "truncated",
    "(6, 8), float32: truncated",
  ),
  ("ca1m", {"depth_npy": b"\x93NUMPY"}, "npy", "no .npy file"),
  (
    "ca1m",
    {"depth_npy": fakes.npy(fakes.depth()).replace(b"(6, 8), }", b"(6, 8(( }")},
    "npy",
    "no .npy file",
  ),
  (
    "ca1m",
    {"depth_npy": fakes.npy(np.full((6, 8), "x"))},
    "npy",
    "a .npy of <U1, not of numbers",
  ),
  ("ca1m", {"depth_npy": b""}, "npy", "_depth.npy: no .npy file"),
  (
    "ca1m",
    {"depth_npy": fakes.npy(fakes.depth()).replace(b"(6, 8)", b"(6,-8)")},
    "truncated",
    "(6, -8)",
  ),
  ("ca1m", {"intrinsics_pt": _k(np.zeros((3, 3)))}, "intrinsics", "K"),
  (
    "ca1m",
    {"intrinsics_pt": _k([[0.0, 0, 3.5], [0, 7, 2.5], [0, 0, 1]])},
    "intrinsics",
    "fx and fy must be positive",
  ),
  (
    "ca1m",
    {"intrinsics_pt": _k([[7.0, 0, 14.5], [0, 7, 2.5], [0, 0, 1]])},
    "intrinsics",
    "of pictures of another size",
  ),
  ("ca1m", {"intrinsics_pt": _k([1], "k")}, "intrinsics", "a dict with K"),
  ("general", {"json": b"{no"}, "json", ".json: no JSON"),
  ("general", {"json": b"[" * 10**5}, "json", ".json: no JSON"),
  ("general", {"json": b'{"a": 1}'}, "turns", "list of turns, got dict"),
  ("general", {"json": b"[]"}, "no_question", "0 turns"),
  ("general", {"json": _turns(("human", "q"))}, "no_question", "1 turns"),
  (
    "general",
    {"json": _turns(("gpt", "a"), ("human", "q"))},
    "roles",
    "1 of 1 pairs",
  ),
  ("general", {"json": _turns(("human", "q"), ("gpt", 3))}, "roles", "1 of 1"),
  ("general", {"json": b"[1, 2]"}, "roles", "1 of 1"),
  ("general", {"pt": fakes.moge(mask=None)}, "pt_content", "['points', 'depth"),
  ("general", {"pt": fakes.saved([1])}, "pt_content", "got <class 'list'>"),
  (
    "general",
    {"pt": fakes.moge(mask=torch.ones(3, 3))},
    "pt_content",
    "got (6, 8, 3) and (3, 3)",
  ),
  (
    "general",
    {"pt": fakes.moge(points=torch.zeros(1).expand(6, 8, 3))},
    "pt_content",
    "holds 1 numbers",
  ),
  ("general", {"pt": fakes.moge(points=_RANDOM)}, "not_pinhole", ".pt: "),
  (
    "general",
    {"pt": fakes.moge(points=_RANDOM, intrinsics=None)},
    "not_pinhole",
    ".pt: ",
  ),
  (
    "general",
    {"pt": fakes.moge(points=_ROUGH)},
    "not_pinhole",
    "of 48 points are on the rays of the best camera",
  ),
  (
    "general",
    {"pt": fakes.moge(intrinsics=torch.zeros(3, 3))},
    "intrinsics",
    "must be positive",
  ),
]


@pytest.mark.parametrize(
  ("kind", "changes", "reason", "words"),
  _BAD,
  ids=[f"{kind}-{next(iter(c))}-{reason}" for kind, c, reason, _ in _BAD],
)
def test_each_wrong_thing_has_its_reason(
  kind, changes, reason, words, tmp_path
):
  source = _among_others(tmp_path, kind, **changes)
  found = _records(source)
  error = found.pop("bad")
  assert isinstance(error, codec.BadInput), "it was taken"
  assert error.reason == reason
  assert words in str(error)
  assert "\n" not in str(error)
  assert all(isinstance(r, dict) and r["qa"] for r in found.values())
  assert (set(found), source.problems) == ({"a", "c"}, [])


@pytest.mark.parametrize("kind", _WHOLE)
def test_depth_of_another_aspect_is_told_before_any_resizing(kind, tmp_path):
  key = "image_jpg" if kind == "ca1m" else "jpg"
  source = _among_others(tmp_path, kind, **{key: _SMALL})
  with pytest.raises(codec.BadInput, match="8x6 against") as error:
    source.make("x.tar/bad")
  assert error.value.reason == "depth_size"


_PT_MEMBERS = [
  ("wild", "pt"),
  ("wild", "intrinsics_pt"),
  ("ca1m", "qa_pt"),
  ("ca1m", "intrinsics_pt"),
  ("general", "pt"),
]


@pytest.mark.parametrize(("kind", "member"), _PT_MEMBERS)
def test_a_pickle_that_would_run_does_not(kind, member, tmp_path):
  mark = tmp_path / "mark"
  bomb = {"a_list": [fakes.WILD_ITEM], "K": fakes.Bomb(mark)}
  source = _among_others(tmp_path, kind, **{member: fakes.saved(bomb)})
  found = _records(source)
  assert found["bad"].reason == "unsafe_pickle"
  assert "open" in str(found["bad"])
  assert isinstance(found["a"], dict)
  assert isinstance(found["c"], dict)
  assert not mark.exists()


def test_an_array_of_objects_does_not_run_either(tmp_path):
  mark = tmp_path / "mark"
  depth = fakes.npy(np.array([[fakes.Bomb(mark)]], dtype=object))
  found = _records(_among_others(tmp_path, "ca1m", depth_npy=depth))
  assert found["bad"].reason == "unsafe_pickle"
  assert not mark.exists()


@pytest.mark.parametrize("kind", released.MEMBERS)
def test_a_missing_member_is_named(kind, tmp_path):
  for end in released.MEMBERS[kind].values():
    lacking = {k: v for k, v in _WHOLE[kind].items() if k != end}
    path = fakes.write(
      tmp_path / "x.tar", [("a", _WHOLE[kind]), ("b", lacking)]
    )
    source = released.Shards(path, kind)
    assert source.splits == {"train": ["x.tar/a"]}
    assert source.problems == [("missing_member", f"{path}: b has no {end}")]
    with pytest.raises(KeyError):
      source.make("x.tar/b")
  assert source.skipped == {"missing_member": 1}


def test_a_truncated_tar_gives_what_is_whole(tmp_path):
  path = tmp_path / "x.tar"
  fakes.write(path, [(k, _WHOLE["wild"]) for k in "abc"])
  each = path.stat().st_size // 3 // 512 * 512
  path.write_bytes(path.read_bytes()[: each * 2])
  source = released.Shards(str(path))
  assert source.splits["train"][0] == "x.tar/a"
  assert set(source.skipped) == {"truncated_tar", "missing_member"}
  found = _records(source)
  assert all(isinstance(record, dict) for record in found.values())


@pytest.mark.parametrize("kind", ["wild", "ca1m"])
def test_keys_that_are_there_twice(kind, tmp_path):
  item = "level1_list" if kind == "wild" else None
  other = {"qa_type": "orientation", "prefix": "other", "suffix": "-"}
  qa = fakes.saved({item: [other]} if item else [other])
  second = getattr(fakes, kind)(**{"pt" if item else "qa_pt": qa})
  key = "a" if kind == "wild" else "A"  # in ca1m whatever the case
  path = fakes.write(tmp_path / "x.tar", [("a", _WHOLE[kind]), (key, second)])
  source = released.Shards(path, kind)
  assert source.splits == {"train": ["x.tar/a"]}
  assert source.skipped == {"duplicate": 4}
  assert source.make("x.tar/a")["qa"][0]["meta"] != other


@pytest.mark.parametrize("value", [0, np.nan, np.inf, -1])
def test_depth_of_nothing_is_kept(value, tmp_path):
  depth = np.full((fakes.H, fakes.W), value, np.float32)
  source = _among_others(tmp_path, "ca1m", depth_npy=fakes.npy(depth))
  found = _records(source)["bad"]["depth_m"]
  assert (np.isinf(found) if value == np.inf else np.isnan(found)).all()


def test_points_of_nothing_are_kept(tmp_path):
  lost = torch.full((fakes.H, fakes.W, 3), torch.nan)
  source = _among_others(tmp_path, "general", pt=fakes.moge(points=lost))
  assert np.isnan(_records(source)["bad"]["depth_m"]).all()


def test_what_is_left_out_of_a_usable_sample_is_noted(tmp_path):
  wild = {
    "a_list": [{"qa_type": "new"}, {"qa_type": "new"}, "text", {}, None],
    "b_list": 3,
  }
  ca1m = [{"qa_type": "new"}, ["list"], {"prefix": "no type"}]
  turns = _turns(("human", "q"), ("gpt", "a"), ("gpt", "x"), ("human", "y"))
  for kind, changes, rows, want in (
    (
      "wild",
      {"pt": fakes.saved(wild)},
      0,
      ["qa_list", "qa_item", "unknown_qa_type", "unknown_qa_type", "empty_qa"],
    ),
    (
      "ca1m",
      {"qa_pt": fakes.saved(ca1m)},
      2,
      ["qa_item", "unknown_qa_type", "unknown_qa_type"],
    ),
    ("ca1m", {"qa_pt": fakes.saved([])}, 0, ["empty_qa"]),
    ("wild", {"pt": fakes.saved({"a": [None]})}, 0, ["empty_qa"]),
    ("general", {"json": turns}, 1, ["roles"]),
  ):
    record = _among_others(tmp_path, kind, **changes).make("x.tar/bad")
    assert len(record["qa"]) == rows
    assert [reason for reason, _ in record["notes"]] == want
    for _, text in record["notes"]:
      assert text.startswith("x.tar/bad: ")
      assert "\n" not in text
    records.encode(record)


def test_half_a_character_becomes_a_question_mark(tmp_path):
  turns = b'[{"from":"human","value":"\\ud800?"},{"from":"gpt","value":"a"}]'
  record = _among_others(tmp_path, "general", json=turns).make("x.tar/bad")
  assert record["qa"][0]["question"] == "??"


def test_a_huge_picture_is_not_decoded(tmp_path, monkeypatch):
  source = _among_others(tmp_path, "wild", jpg=fakes.huge_jpeg())
  monkeypatch.setattr(codec, "_imdecode", None)
  with pytest.raises(codec.BadInput, match="20000x10000") as error:
    source.make("x.tar/bad")
  assert error.value.reason == "too_large"
