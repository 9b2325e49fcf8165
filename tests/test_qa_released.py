"""What may be drawn of released items is what the reference may draw."""

import collections
import functools
import json
import pathlib

import numpy as np
import pytest

from hispatial_jax.qa import (
  dice,
  released,
  released_ca1m,
  released_general,
  released_pairs,
  released_wild,
)

_GOLDEN = pathlib.Path(__file__).parent / "golden" / "hispatial_data"


@functools.cache
def _reference():
  return json.loads((_GOLDEN / "reference.json").read_text())


_ITEMS = _reference()["question_answer_items"]
# Where ours differs on purpose; each has a test of its own below.
_PUT_RIGHT = {
  "mcq_listlist_answer_str_may_be_lost",
  "mcq_substring_pitfall",
  "mcq_answer_not_in_options",
  "mcq_eleven_options_may_raise",
  "no_known_keys_raises",
  "non_string_answer_raises",
  "distance_farther_flips",
  "distance_farther_mcq",
  "distance_farther_no_options_raises",
}


def _draws(item, count, **kwargs):
  """Outcomes of `count` draws, as the reference's file writes them."""
  found = set()
  for seed in range(count):
    roll = dice.Dice("item", seed)
    try:
      worded = released_pairs.draw(item, roll, **kwargs)
      found.add((worded.question.removesuffix("\n"), worded.answer))
    except released.Unusable as error:
      found.add(error.reason)
  return found


def _golden(name):
  found = set()
  for question, answer in _ITEMS[name]["outcomes"]:
    if question is None:
      found.add("no_pair")
    elif question == "__raises__":
      found.add("raises")
    else:  # the processor's strip removes the last newline
      found.add((question.removesuffix("\n"), answer))
  return found


@pytest.mark.parametrize("name", _ITEMS)
def test_faithful_draws_what_the_reference_draws(name):
  item, count = _ITEMS[name]["item"], _ITEMS[name]["n_distinct"]
  before = json.dumps(item)
  got = _draws(item, min(40 * count, 6000), faithful=True)
  if "no_known_keys" in name:
    assert got == {"no_question"}
    return
  if _ITEMS[name]["complete"]:
    assert got == _golden(name)
  else:
    # All options in some order with right labels; sampled on both sides.
    assert {len(q) for q, _ in got - {"raises"}} <= {
      len(q) for q, _ in _golden(name) - {"raises"}
    }
    assert ("raises" in got) == ("eleven" in name)
  assert json.dumps(item) == before, "the item was changed"


@pytest.mark.parametrize("name", sorted(set(_ITEMS) - _PUT_RIGHT))
def test_by_default_the_same_where_the_reference_is_right(name):
  item, count = _ITEMS[name]["item"], _ITEMS[name]["n_distinct"]
  got = _draws(item, min(40 * count, 6000))
  if _ITEMS[name]["complete"]:
    assert got == _golden(name)
  else:
    assert {len(q) for q, _ in got} <= {len(q) for q, _ in _golden(name)}


def _mcq(options, answer, **more):
  pair = {"question": "?", "options": options, "answer": answer} | more
  return {"qa_type": "x", "qa_pairs": [pair | {"format": "mcq"}]}


def _chosen(item, count=200):
  """The texts of the options that answers point to."""
  found = set()
  for seed in range(count):
    worded = released_pairs.draw(item, dice.Dice("item", seed))
    lines = dict(
      line.split(". ", 1) for line in worded.question.splitlines()[1:]
    )
    found.add(lines[worded.answer])
  return found


def test_the_right_option_is_the_one_that_equals_the_answer():
  assert _chosen(_mcq(["left", "upper left"], "upper left")) == {"upper left"}
  assert _chosen(_mcq(["chair", "wheelchair"], "wheelchair")) == {"wheelchair"}
  said = _mcq(["left", "upper left"], "It is the upper left.")
  assert _chosen(said) == {"upper left"}
  variants = [["left", "to the left"], ["right", "to the right"]]
  assert _chosen(_mcq(variants, "left")) == {"left", "to the left"}
  assert _draws(_mcq(["dog", "bird"], "cat"), 5) == {"no_pair"}
  assert _draws(_mcq(["dog", "dog"], "dog"), 5) == {"no_pair"}


def test_eleven_options_get_letters():
  item = _ITEMS["mcq_eleven_options_may_raise"]["item"]
  labels = {answer.strip("()") for _, answer in _draws(item, 300)}
  assert labels <= set("ABCDEFGHIJKabcdefghijk")
  assert len(labels) == 22


def test_swapped_answers_are_swapped_by_the_pairs_type():
  farther = _mcq(["lamp", "sofa"], "lamp", qa_type="distance_farther")
  assert _chosen(farther) == {"sofa"}
  assert _chosen(_mcq(["lamp", "sofa"], "lamp")) == {"lamp"}
  three = _mcq(["a1", "b1", "c1"], "a1", qa_type="distance_farther")
  assert _draws(three, 3) == {"no_pair"}


def test_answers_that_are_no_text_become_one():
  def flat(answer):
    return {"question": "Is it so?", "answer": answer}

  assert _draws(flat(3), 2) == {("Is it so?", "3")}
  assert {answer for _, answer in _draws(flat(True), 9)} == {"Yes"}
  assert _draws(flat(None), 2) == _draws(flat(" "), 2) == {"empty_qa"}


def test_weights_and_levels_are_the_references():
  table = _reference()["functions"]["sampling_weights"]
  assert {k: w for k, (_, w) in released.WILD.items()} == table["wild"]
  assert {k: w for k, (_, w) in released.CA1M.items()} == table["ca1m"]
  assert list(released.CA1M) == table["ca1m_order"]
  assert table["ca1m_other"] == released.CA1M_OTHER
  assert sum(w for _, w in released.WILD.values()) == table["wild_total"]
  assert released.level("wild", "vqa_counting_objects") == 3
  assert released.level("ca1m", "spatial_relation_3d") == 2
  assert released.level("wild", "what") == released.level("ca1m", "") == -1


def _points(size=8, known=((3, 5),), xyz=(-0.001, 2.675, 10.005)):
  out = np.full((size, size, 4), 250, np.float32)
  out[..., 3] = 0
  for row, column in known:
    out[row, column] = (*xyz, 1)
  return out


def test_a_pixel_is_asked_as_the_reference_asks():
  case, nothing = _reference()["functions"]["query_pixel_xyz"]
  assert case["only_valid_pixel_row_col"] == [3, 5]
  got = released.pixel(_points(), dice.Dice(0), faithful=True)
  assert got.question == case["out"]["prefix"]
  assert got.answer == case["out"]["suffix"] == "-0.00m 2.67m 10.01m"
  assert released.pixel(_points(), dice.Dice(0)).answer == "0.00m 2.67m 10.01m"
  assert nothing["wild_out"] == {"raises": "RuntimeError"}
  with pytest.raises(released.Unusable, match="no pixel"):
    released.pixel(_points(known=()), dice.Dice(0))


def test_pixels_are_drawn_uniformly():
  points = _points(known=[(0, 0), (0, 7), (7, 0)])
  asked = collections.Counter(
    released.pixel(points, dice.Dice(i)).question for i in range(3000)
  )
  assert len(asked) == 3
  assert max(asked.values()) < 1100


def _row(qa_type, form="text", **more):
  item = {"qa_type": qa_type, "question": qa_type, "answer": "a"} | more
  level = released.level("wild", qa_type)
  return {"task": qa_type, "level": level, "format": "released", "meta": item}


def test_types_come_with_their_weights():
  rows = [_row(name) for name in released.WILD if name != "level0"]
  # An item that cannot be asked takes nothing from its type's share.
  rows += [_row("vqa_counting_objects", answer=None)] * 3
  weights = released_wild.weights_of(None)
  count, points = collections.Counter(), _points()
  for seed in range(20_000):
    drawn, _ = released_wild.draw(
      rows, points, dice.Dice(seed), weights=weights
    )
    count[drawn[0].task] += 1
  for name, (_, weight) in released.WILD.items():
    task = released.PIXEL if name == "level0" else name
    assert abs(count[task] / 20_000 - weight / 10_630) < 0.01


def test_formats_come_with_their_weights():
  pairs = [
    {"question": "t", "answer": "x", "format": "text"},
    *[{"question": "f", "answer": "yes", "format": "true_false"}] * 5,
    {"question": "m", "answer": "u", "options": ["u", "v"], "format": "mcq"},
    {"question": "w", "answer": "x", "options": ["u", "v"], "format": "mcq"},
  ]
  item = {"qa_type": "x", "qa_pairs": pairs}
  count = collections.Counter(
    released_pairs.draw(item, dice.Dice(seed)).format for seed in range(20_000)
  )
  for name, want in (("text", 0.3), ("mcq", 0.4), ("yes_no", 0.3)):
    assert abs(count[name] / 20_000 - want) < 0.01


@pytest.mark.parametrize("name", ["47331_0001", "47331_0003", "47331_0006"])
def test_ca1m_classes_come_with_their_weights(name):
  items = _reference()["ca1m"][name]["qa_items"]
  rows = [
    {
      "task": item["qa_type"] or "",
      "level": released.level("ca1m", item["qa_type"] or ""),
      "meta": item | {"suffix": str(k)},
    }
    for k, item in enumerate(items)
  ]
  weights, count = released_ca1m.weights_of(None), collections.Counter()
  for seed in range(20_000):
    drawn, _ = released_ca1m.draw(
      rows, _points(), dice.Dice(seed), weights=weights
    )
    count[drawn[0].answer] += 1
  for k, item in enumerate(items):
    assert abs(count[str(k)] / 20_000 - item["probability"]) < 0.01


def test_levels_are_filtered_and_several_questions_share_their_boxes():
  red = {"referring": "a (highlighted by the red box)"}
  red["raw"] = {"raw_bbox": [1, 2, 3, 4]}
  blue = {"referring": "b (highlighted by the blue box)"}
  blue["raw"] = {"raw_bbox": [1, 2, 3, 4]}
  rows = [
    _row("vqa_orientation", object=red),
    _row("vqa_counting_objects", object=blue),
    _row("vqa_distance_multi"),
  ]
  weights = released_wild.weights_of(None)

  def tasks(seed, **kwargs):
    drawn, _ = released_wild.draw(
      rows, _points(), dice.Dice(seed), 3, weights=weights, **kwargs
    )
    return {one.task for one in drawn}

  for seed in range(50):
    found = tasks(seed)
    assert len(found) >= 2
    assert not {"vqa_orientation", "vqa_counting_objects"} <= found
    assert tasks(seed, levels=(3,)) == {"vqa_counting_objects"}
    assert tasks(seed, levels=(0, 1)) <= {released.PIXEL, "vqa_orientation"}


def test_texts_of_an_item():
  item = {"a": ["x", {"b": "y", "c": 3}], "d": None, "e": [["z"]]}
  assert released.texts(item) == ["x", "y", "z"]


def test_unknown_weights_have_a_nearest_name():
  with pytest.raises(ValueError, match="vqa_orientation"):
    released_wild.weights_of({"vqa_orientaton": 1})


@pytest.mark.parametrize(
  "case", _reference()["functions"]["replace_bbox"], ids=lambda c: c["text"]
)
def test_boxes_of_texts_become_tokens(case):
  size = case["width"], case["height"]
  got = released_general.boxes_to_tokens(case["text"], size, faithful=True)
  assert got == case["out"]


def test_by_default_only_fractions_are_boxes_and_tokens_exist():
  to_tokens = released_general.boxes_to_tokens
  assert to_tokens("[1, 2, 3, 4]", (9, 9)) == "[1, 2, 3, 4]"
  assert to_tokens("[0,0,1,1]", (9, 9)).endswith("<loc1023><loc1023>")
