"""Thousands of questions together: even answers, clean texts, margins."""

import collections
import functools
import itertools
import json
import re

import boxes_for_qa as boxes
import numpy as np
import pytest

from hispatial_jax.qa import generate

# Upper 0.1 % points of chi square, by degrees of freedom.
_CHI = {1: 10.83, 2: 13.82, 3: 16.27}


@functools.cache
def _pairs(plain=False):
  """Some 8,000 questions about 400 rooms."""
  found = []
  for k in range(400):
    record = boxes.make(k, size_px=56)
    record.pop("depth_m")
    found += generate.draw(record, 11, 20, plain=plain)
  return found


def _even(counts, weights=None):
  counts = np.array(counts, float)
  expected = counts.sum() * np.array(weights or [1 / len(counts)] * len(counts))
  chi = ((counts - expected) ** 2 / expected).sum()
  assert chi < _CHI[len(counts) - 1], (counts, expected)


def test_texts_are_clean():
  for qa in _pairs():
    for text in (qa.question, qa.answer):
      assert "  " not in text
      assert not re.search(r"[{}]|None|-0\.00|\bnan\b|\binf\b", text), text
      assert text == text.strip()
    assert len(qa.question.split("\n")[0].split()) <= 30
    assert not re.search(r"\bthe the\b|\b1 \w+s\b (?!the)", qa.question)


def test_meta_is_small_and_json():
  for qa in _pairs()[:500]:
    assert len(json.dumps(qa.meta)) < 250
    assert {"formula", "ids", "values"} <= set(qa.meta)


def test_yes_and_no_are_even():
  by_task = collections.defaultdict(collections.Counter)
  for qa in _pairs():
    if qa.format == "yes_no":
      by_task[qa.task][qa.answer] += 1
  for counts in by_task.values():
    assert set(counts) == {"Yes", "No"}
    _even([counts["Yes"], counts["No"]])


def test_place_of_the_right_option_is_even():
  places = collections.defaultdict(collections.Counter)
  for qa in _pairs():
    if qa.format == "mcq":
      labels = [s.split(". ")[0] for s in qa.question.split("\n")[1:]]
      places[len(labels)][labels.index(qa.answer)] += 1
  for number, counts in places.items():
    _even([counts[k] for k in range(number)])


@pytest.mark.parametrize(
  "task", ["left_right", "above_below", "nearer_farther"]
)
def test_directions_are_even(task):
  words = collections.Counter(
    qa.answer
    for qa in _pairs()
    if qa.task == task
    and qa.format == "text"
    and not qa.answer.startswith("the ")
  )
  assert len(words) == 2
  _even(list(words.values()))


def test_first_named_object_is_the_answer_half_the_time():
  first = collections.Counter()
  for qa in _pairs():
    if qa.format == "text" and qa.answer.startswith("the "):
      places = [
        qa.question.lower().find(qa.answer),
        qa.question.lower().rfind(" or "),
      ]
      if min(places) >= 0:
        first[places[0] < places[1]] += 1
  _even(list(first.values()))


def test_lengths_take_every_rank_among_their_options():
  ranks = collections.Counter()
  for qa in _pairs():
    if qa.format == "mcq" and qa.task in ("distance", "distance_to_camera"):
      rows = [s.split(". ", 1) for s in qa.question.split("\n")[1:]]
      values = {label: float(text[:-1]) for label, text in rows}
      ordered = sorted(values.values())
      ranks[ordered.index(values[qa.answer])] += 1
      for a, b in itertools.pairwise(ordered):
        assert b >= 1.25 * a - 0.011
  _even([ranks[k] for k in range(4)])


def test_counts_of_none_and_of_all_stay_rare():
  counted = [qa.meta["values"] for qa in _pairs() if qa.task == "counting"]
  none = sum(v["count"] == 0 for v in counted) / len(counted)
  every = sum(v["count"] == v["total"] for v in counted) / len(counted)
  assert 0.05 < none < 0.14
  assert 0.18 < every < 0.30


def test_perspective_often_contradicts_the_camera_view():
  flips = collections.Counter()
  for seed in range(400):
    record = boxes.make(seed, size_px=56)
    x = {o["oid"]: o["c_c"][0] for o in record["objects"]["objects"]}
    tasks = ["perspective", "perspective_facing"]
    for qa in generate.draw(record, 0, 6, tasks=tasks, formats=["text"]):
      camera = (
        "right" if x[qa.meta["ids"][-1]] > x[qa.meta["ids"][0]] else "left"
      )
      flips[camera != qa.answer] += 1
  assert 0.4 < flips[True] / flips.total() < 0.6


def test_margins_hold_in_all_that_is_drawn():
  for qa in _pairs():
    if qa.task in ("left_right", "above_below", "nearer_farther"):
      ((a, b),) = qa.meta["values"].values()
      assert abs(a - b) >= 0.0999
      assert qa.meta["sigma"] >= 2.0


def test_plain_has_two_phrasings_and_one_style():
  styles = set()
  for qa in _pairs(plain=True):
    assert "Answer with" not in qa.question
    if qa.format == "mcq":
      styles.add(qa.question.split("\n")[1].split(". ")[0])
      assert qa.answer in "ABCD"
  assert styles == {"A"}
