"""Orientation and perspective, the published samples among them."""

import boxes_for_qa as boxes
import pytest

from hispatial_jax.qa import generate, level1, level3


def _answers(record, tasks, form, seeds=range(60)):
  pairs = [
    qa
    for seed in seeds
    for qa in generate.draw(record, seed, 3, tasks=tasks, formats=[form])
  ]
  assert pairs
  return pairs


def _text(qa):
  """Answer of a multiple choice in words."""
  if qa.format != "mcq":
    return qa.answer
  lines = qa.question.split("\n")[1:]
  (text,) = [
    s.split(". ", 1)[1] for s in lines if s.startswith(f"{qa.answer}. ")
  ]
  return text


@pytest.mark.parametrize(
  ("yaw", "side", "heading"),
  [
    (90, "right", "right"),  # the published sports car
    (-90, "left", "left"),
    (180, "front", "towards us"),
    (0, "back", "away from us"),
  ],
)
def test_sides_and_headings(yaw, side, heading):
  size = (1.8, 1.2, 4.2)
  record = boxes.record(
    boxes.thing(0, "sports car", (0.3, 0, 8), size, yaw_deg=yaw)
  )
  for form in ("mcq", "text"):
    said = {_text(qa) for qa in _answers(record, ["orientation"], form)}
    assert said == {side, heading}


@pytest.mark.parametrize("yaw", [45, 41, -49, 137])
def test_diagonals_are_dead(yaw):
  note = boxes.thing(0, "red car", (0, 0, 8), yaw_deg=yaw)
  for seed in range(20):
    assert not generate.draw(boxes.record(note), seed, 3, tasks=["orientation"])


def test_orientation_is_seen_along_the_line_of_sight():
  """Heading +45 at bearing +45 is straight away from the camera."""
  note = boxes.thing(0, "red car", (4, 0, 4), yaw_deg=45.0)
  said = {
    _text(qa) for qa in _answers(boxes.record(note), ["orientation"], "mcq")
  }
  assert said == {"back", "away from us"}


def test_no_means_that_the_opposite_is_seen():
  note = boxes.thing(0, "red car", (0, 0, 8), yaw_deg=90.0)
  for qa in _answers(boxes.record(note), ["orientation"], "yes_no"):
    word = "left" if qa.answer == "No" else "right"
    assert word in qa.question.replace("right is the", "right the")


_PERSON = (0.5, 1.7, 0.4)


def test_published_perspective_of_the_woman():
  """She faces us; the plaque, left in the picture, is on her right."""
  record = boxes.record(
    boxes.thing(0, "young woman", (0.3, 0, 4), _PERSON, yaw_deg=175.0),
    boxes.thing(1, "library plaque", (-1.4, 0.2, 3.8), (1.4, 1.2, 0.2)),
  )
  for form in ("text", "mcq"):
    pairs = _answers(record, ["perspective"], form)
    assert {_text(qa) for qa in pairs} == {"right"}


def test_published_perspective_of_the_man_in_a_suit():
  """He faces us from the left of the picture; the other is on his left."""
  record = boxes.record(
    boxes.thing(0, "blue suit", (-0.8, 0, 4), _PERSON, yaw_deg=-178.0),
    boxes.thing(1, "black polo", (1.0, 0, 3.4), _PERSON, yaw_deg=178.0),
  )
  pairs = _answers(record, ["perspective"], "text")
  for qa in pairs:
    assert qa.answer == ("left" if qa.meta["ids"] == [0, 1] else "right")


def test_published_perspective_by_facing():
  """At the left table, facing the other, the near chair is on the right."""
  record = boxes.record(
    boxes.thing(0, "left table", (-1.6, 0, 3.0), (0.6, 0.7, 0.6)),
    boxes.thing(1, "round table", (0.2, 0, 3.0), (0.6, 0.7, 0.6)),
    boxes.thing(2, "wooden chair", (-0.3, 0, 1.8), (0.4, 0.7, 0.4)),
  )
  pairs = _answers(record, ["perspective_facing"], "text")
  seen = {tuple(qa.meta["ids"]): qa.answer for qa in pairs}
  assert seen[0, 1, 2] == "right"
  assert seen[1, 0, 2] == "left"


def test_hands_have_dead_zones():
  assert level3.hand(25.0, 0.5) == "right"
  assert level3.hand(-25.0, -0.5) == "left"
  assert level3.hand(19.0, 0.5) is None
  assert level3.hand(161.0, 0.5) is None
  assert level3.hand(90.0, 0.19) is None


def test_quarters():
  degrees = (0, 40, 41, 49, 51, 90, -90, 180, -180, 141, 139)
  found = [level1.quarter(d) for d in degrees]
  assert found == [0, 0, None, None, 1, 1, 3, 2, 2, 2, None]
