"""Ten thousand answers re-derived by another code path, which can say no."""

import dataclasses
import re

import boxes_for_qa as boxes
import pytest

from hispatial_jax.qa import check, generate


def _drawn(count, **options):
  number, seed = 0, 0
  while number < count:
    record = boxes.make(1000 + seed)
    for qa in generate.draw(record, seed, 40, **options):
      number += 1
      yield record, qa
    seed += 1


def _errors(pairs):
  judged = [check.rederive(record, qa) for record, qa in pairs]
  return len(judged), [why for ok, why in judged if not ok]


def test_answers_are_rederived():
  number, errors = _errors(_drawn(1500))
  assert number >= 1500
  assert not errors, errors[:5]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"plain": True, "pixel_grid": 8}])
def test_ten_thousand_answers_are_rederived(options):
  number, errors = _errors(_drawn(10_000, **options))
  assert number >= 10_000
  assert not errors, errors[:5]


@pytest.mark.slow
def test_answers_about_the_toy_world_are_rederived():
  scenes = pytest.importorskip("hispatial_jax.toyworld.scenes")
  number, errors = 0, []
  for seed in range(60):
    record = scenes.make(seed)
    for qa in generate.draw(record, seed, 40):
      number += 1
      ok, why = check.rederive(record, qa)
      errors += [] if ok else [why]
  assert number > 1000
  assert not errors, errors[:5]


def test_questions_as_stored_are_read_too():
  record = boxes.make(0)
  for qa in generate.draw(record, 0, 12):
    assert check.rederive(record, qa.as_dict()) == (True, "")


def _other(qa):
  """A wrong answer of the right form."""
  if qa.format == "yes_no":
    return {"Yes": "No", "No": "Yes"}[qa.answer]
  if qa.format == "mcq":
    labels = [s.split(". ")[0] for s in qa.question.split("\n")[1:]]
    return next(label for label in labels if label != qa.answer)
  swaps = ("left", "right"), ("above", "below"), ("nearer", "farther")
  swaps += (("first", "second"), ("closer", "farther"), ("front", "back"))
  swaps += (("towards", "away from"),)
  for a, b in swaps:
    for old, new in ((a, b), (b, a)):
      if old in qa.answer.split() or old in qa.answer:
        return qa.answer.replace(old, new)
  found = re.search(r"\d", qa.answer)
  if found and "the " not in qa.answer:
    digit = str((int(found[0]) + 3) % 10)
    return qa.answer[: found.start()] + digit + qa.answer[found.end() :]
  return "the other thing"


def test_wrong_answers_are_found():
  for record, qa in _drawn(800):
    wrong = dataclasses.replace(qa, answer=_other(qa))
    ok, _ = check.rederive(record, wrong)
    assert not ok, wrong


def _moved(record, change):
  """The record with every object changed by `change(note)`."""
  notes = [change(dict(note)) for note in record["objects"]["objects"]]
  return record | {"objects": record["objects"] | {"objects": notes}}


def test_another_scene_is_another_answer():
  """Mirrored geometry turns left and right; the checker must notice."""

  def mirrored(note):
    x, y, z = note["obb"]["centre"]
    note["obb"] = note["obb"] | {"centre": [-x, y, z]}
    return note

  for record, qa in _drawn(200, tasks=["left_right"]):
    assert not check.rederive(_moved(record, mirrored), qa)[0]


def test_the_dead_zone_is_an_error_of_its_own():
  def together(note):
    x, y, z = note["obb"]["centre"]
    centre = [0.01 * x, 0.01 * y, 3 + 0.01 * z]
    note["obb"] = note["obb"] | {"centre": centre}
    return note

  tasks = ["left_right", "above_below", "nearer_farther"]
  for record, qa in _drawn(100, tasks=tasks):
    ok, why = check.rederive(_moved(record, together), qa)
    assert not ok
    assert "differs by" in why


def test_doubtful_names_are_an_error():
  def twins(note):
    return note | {"name": "red chair", "color": "red", "cat": "chair"}

  record = boxes.make(0)
  for qa in generate.draw(record, 0, 12, weights={"level0": 0}):
    assert not check.rederive(_moved(record, twins), qa)[0]


def test_unreadable_questions_are_an_error():
  record = boxes.make(0)
  (qa,) = generate.draw(record, 0, 1, tasks=["distance"])
  odd = dataclasses.replace(qa, question="How about it?")
  ok, why = check.rederive(record, odd)
  assert not ok
  assert "phrase" in why


def test_evidence_must_name_what_the_text_names():
  record = boxes.make(0)
  (qa,) = generate.draw(record, 0, 1, tasks=["distance"])
  odd = dataclasses.replace(qa, meta=qa.meta | {"ids": [98, 99]})
  assert "meta names" in check.rederive(record, odd)[1]
