"""Boxes land on the reference's pixels."""

import functools
import json
import pathlib

import numpy as np
import pytest

from hispatial_jax.pp import boxes
from hispatial_jax.qa import dice, released_boxes, say

_GOLDEN = pathlib.Path(__file__).parent / "golden" / "hispatial_data"


@functools.cache
def _functions():
  text = (_GOLDEN / "reference.json").read_text()
  return json.loads(text)["functions"]


@functools.cache
def _arrays():
  with np.load(_GOLDEN / "arrays.npz") as found:
    return dict(found)


class _NoFactor:
  """Makes every box as large as it is."""

  def between(self, low, high):
    assert (low, high) == (1.0, 1.2)
    return 1.0


@pytest.mark.parametrize("name", ["red_green", "yellow_purple"])
def test_drawn_boxes(name):
  case = _functions()["draw_bbox"][name]
  want = _arrays()[case["array"]]
  width, height = case["original_wh"]
  named = released_boxes.named(case["objects"])
  black = np.zeros((56, 56, 3), np.uint8)
  got = boxes.draw(black, named, (height, width), _NoFactor())
  np.testing.assert_array_equal(got, want)
  assert not black.any(), "the picture itself was changed"


def test_ca1m_box():
  case = _functions()["draw_ca1m_red_box"]
  before = _arrays()[f"ca1m/{case['sample']}/image_56"]
  want = _arrays()[case["array"]]
  item = {"prefix": "the x (highlighted by a red box)?", "object": None}
  named = released_boxes.of_ca1m(item | {"meta": {"2dbox": case["box_2d"]}})
  got = boxes.draw(before, named, (60, 80), None)
  np.testing.assert_array_equal(got, want)


def test_rectangle():
  case = _functions()["rectangle_thickness_2"]
  named = [released_boxes.Named("red", (10, 12, 20, 25), exact=True)]
  got = boxes.draw(np.zeros((32, 32, 3), np.uint8), named, (32, 32), None)
  np.testing.assert_array_equal(got[..., 0] > 0, _arrays()[case["array"]] > 0)


def test_scaling():
  for case in _functions()["resize_xyxy"]:
    got = boxes.scaled(case["box"], (case["h"], case["w"]), case["img_size"])
    assert list(got) == case["out"]
  for case in _functions()["ca1m_convert_bbox_to_pixelbbox"]:
    native = case["height"], case["width"]
    got = boxes.scaled_exactly(case["box"], native, case["img_size"])
    assert list(got) == case["out"]


def test_larger():
  case = _functions()["add_bbox_perturbation"]
  got = boxes.larger(case["box"], dice.Dice(0), (1.1, 1.1))
  np.testing.assert_allclose(got, case["out_with_factors_1_1"])
  sides = [boxes.larger((0, 0, 10, 20), dice.Dice(i)) for i in range(500)]
  factors = np.array(
    [((x2 - x1) / 10, (y2 - y1) / 20) for x1, y1, x2, y2 in sides]
  )
  assert factors.min() >= 1
  assert factors.max() < 1.2
  np.testing.assert_allclose(factors.mean(0), 1.1, atol=0.01)


def test_box_tokens():
  for case in _functions()["convert_bbox_to_tokens_wild_and_ca1m"]:
    size = case["width"], case["height"]
    if isinstance(case["out"], str):
      got = say.box_tokens(case["box"], size, most=1024)
      assert got == case["out"]
      ours = say.box_tokens(case["box"], size)
      assert ours == case["out"].replace("1024", "1023")


def test_only_what_is_named_with_a_colour_is_drawn():
  raw = {"raw_bbox": [1, 2, 3, 4]}
  objects = {
    "referring": "the mug (highlighted by the red box)",
    "raw": raw,
    "referring_i": "the book (highlighted by the pink box)",
    "raw_i": raw,
    "referring_j": "(highlighted by a blue box)",
    "raw_j": None,
    "referring_k": "(highlighted by a blue box)",
    "raw_k": {"raw_bbox": [1, 2, None, 4]},
  }
  got = released_boxes.named(objects)
  assert got == [released_boxes.Named("red", (1, 2, 3, 4))]
  assert released_boxes.named(None) == []
