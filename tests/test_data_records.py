"""The record: what goes in comes out; what is wrong is all said at once."""

import io
import pickle

import cv2
import data_fakes
import numpy as np
import pytest

from hispatial_jax.data import records


def test_round_trip():
  raw = data_fakes.record(size=28)
  stored = records.encode(raw)
  assert set(stored) == {column.key for column in records.TABLE}
  back = records.decode(stored)
  assert back["qa"] == raw["qa"]
  assert back["objects"] == raw["objects"]
  assert (back["id"], back["source"]) == (raw["id"], raw["source"])
  np.testing.assert_array_equal(back["intrinsics"], raw["intrinsics"])
  assert np.abs(back["image"].astype(int) - raw["image"]).max() <= 3
  np.testing.assert_allclose(back["depth_m"], raw["depth_m"], rtol=6e-5)
  assert np.isnan(back["depth_m"][0, 0])
  assert back["depth_m"][0, 1] == np.inf


def test_decode_reads_what_tfds_gives():
  stored = records.encode(data_fakes.record())
  rows = stored["qa"]
  stored["qa"] = {k: [str(r[k]).encode() for r in rows] for k in rows[0]}
  stored["id"] = stored["id"].encode()
  assert records.decode(stored)["qa"] == data_fakes.record()["qa"]


def test_numbers_of_annotations_are_rounded_and_plain():
  raw = data_fakes.record()
  raw["objects"] = {"x": np.float32(1 / 3), "y": [np.arange(2)], "z": None}
  back = records.decode(records.encode(raw))
  assert back["objects"] == {"x": 0.3333, "y": [[0, 1]], "z": None}


def test_given_jpeg_bytes_are_kept():
  image = data_fakes.record()["image"]
  data = cv2.imencode(".jpg", image)[1].tobytes()
  assert records.encode(data_fakes.record() | {"image": data})["image"] == data


def test_depth_of_another_resolution_is_kept():
  raw = data_fakes.record(size=28)
  raw["depth_m"] = raw["depth_m"][::2, ::2]
  assert records.decode(records.encode(raw))["depth_m"].shape == (14, 14)


def test_without_depth_all_is_unknown():
  raw = data_fakes.record() | {"depth_m": None, "intrinsics": None}
  back = records.decode(records.encode(raw))
  assert np.isnan(back["depth_m"]).all()
  assert back["depth_m"].shape == (28, 28)


_GOOD = data_fakes.record()["depth_m"]
_BAD = [
  ({"image": None}, "missing"),
  ({"image": b"\xff\xd8\xff\xe0\x00\x10JFIF"}, "truncated"),
  ({"depth_m": _GOOD[:, :14]}, "another size: 14x28"),
  ({"depth_m": -_GOOD}, "negative"),
  ({"depth_m": _GOOD[None]}, "shape"),
  ({"depth_m": np.full((28, 28), 2000, np.uint16)}, "metres"),
  ({"intrinsics": None}, "depth without intrinsics"),
  ({"intrinsics": np.diag([500, 500, 1.0])}, "not normalised"),
  ({"intrinsics": np.full((3, 3), np.nan)}, "finite"),
  ({"intrinsics": np.eye(4)}, "shape"),
  ({"id": ""}, "id must be"),
  ({"qa": [{"question": "?"}]}, "qa 0 has no answer, level, task, format"),
  ({"objects": {"x": float("nan")}}, "JSON"),
]


@pytest.mark.parametrize(("change", "message"), _BAD)
def test_bad_input_is_named(change, message):
  with pytest.raises(records.BadRecord, match=message) as error:
    records.encode(data_fakes.record("r0007") | change)
  assert "id" in change or "'r0007'" in str(error.value)
  assert "\n" not in str(error.value)


def test_all_that_is_wrong_is_listed():
  change = {"image": None, "depth_m": -_GOOD, "intrinsics": np.eye(4)}
  with pytest.raises(records.BadRecord, match=r"missing.*negative.*shape"):
    records.encode(data_fakes.record() | change)


@pytest.mark.parametrize(
  ("key", "value", "reason"),
  [
    ("image", b"\xff\xd8\xff", "truncated"),
    ("image", b"nothing", "image"),
    ("depth", b"nothing", "depth"),
    ("near", -1.0, "depth"),
    ("objects", "{", "json"),
    ("intrinsics", np.zeros((3, 3)), "value"),
  ],
)
def test_decode_names_the_reason(key, value, reason):
  stored = records.encode(data_fakes.record("r0003")) | {key: value}
  with pytest.raises(records.BadRecord, match="r0003") as error:
    records.decode(stored)
  assert error.value.reason == reason


def test_errors_come_back_from_worker_processes():
  error = pickle.loads(pickle.dumps(records.BadRecord("depth", "why")))
  assert (error.reason, str(error)) == ("depth", "why")


def test_pictures_are_plain_files():
  stored = records.encode(data_fakes.record())
  assert io.BytesIO(stored["image"]).read(2) == b"\xff\xd8"
  assert cv2.imdecode(
    np.frombuffer(stored["depth"], np.uint8), cv2.IMREAD_UNCHANGED
  ).shape == (28, 28)


def test_native_sizes_are_kept_and_older_records_have_their_own():
  raw = data_fakes.record(size=28)
  stored = records.encode(raw | {"native": [[480, 640], [240, 320]]})
  native = records.decode(stored)["native"]
  assert native.tolist() == [[480, 640], [240, 320]]
  del stored["native"]
  assert records.decode(stored)["native"].tolist() == [[28, 28], [28, 28]]


def test_released_items_are_kept_to_the_last_digit():
  item = {"raw_bbox": [1 / 3, 2.0]}
  row = {"question": "", "answer": "", "level": 1, "task": "x", "meta": item}
  raw = data_fakes.record() | {"qa": [row | {"format": records.RELEASED}]}
  assert records.decode(records.encode(raw))["qa"][0]["meta"] == item
