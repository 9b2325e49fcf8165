"""Stored questions are counted where shards are made, and the counts add up."""

import data_fakes
import pytest

from hispatial_jax.precompute import questions, tally


def _row(question="How far?", answer="2 m", **more):
  row = {"question": question, "answer": answer, "level": 1, "task": "size"}
  return row | {"format": "text", "meta": {}, **more}


def _released(item, **more):
  return _row("", "", format="released", meta=item, **more)


def _shard(*rows, **more):
  record = data_fakes.record() | {"qa": list(rows), **more}
  return questions.of_shard([questions.of_record(record)])


def test_levels_tasks_formats_and_answers():
  counted = _shard(
    _row(),
    _row(answer="3 m"),
    _row(answer="2 m"),
    _row(answer="Yes", format="yes_no", level=2, task="left"),
    _row(answer="no, it is not", format="yes_no", level=2, task="left"),
    _row(answer="yes it is", level=-1, task="general", format="turn"),
  )["questions"]
  assert (counted["records"], counted["stored"], counted["asked"]) == (1, 6, 6)
  tasks = {"1": {"size": 3}, "2": {"left": 2}, "-1": {"general": 1}}
  assert counted["tasks"] == tasks
  assert counted["formats"] == {"text": 3, "yes_no": 2, "turn": 1}
  assert counted["answers"]["size"] == {"2 m": 2, "3 m": 1}
  # A free answer that goes on after "yes" is no choice between two.
  assert counted["yes_no"] == {"No": 1, "Yes": 1}
  assert sum(counted["question_words"]) == 6
  assert counted["question_words"][2] == 6
  assert counted["answer_words"][:5] == [0, 1, 3, 1, 1]


@pytest.mark.parametrize(
  ("answer", "place"),
  [("A", "1"), ("(b)", "2"), ("iv.", "4"), ("(II)", "2"), ("3", "3")]
  + [(text, None) for text in ("the chair", "A chair", "Yes", "99", "IIII")],
)
def test_the_place_of_the_right_option(answer, place):
  found = _shard(_row(answer=answer, format="mcq"))["questions"]["places"]
  assert found == ({place: 1} if place else {})
  assert _shard(_row(answer=answer))["questions"]["places"] == {}


def test_a_released_item_counts_once_and_its_pairs_each():
  pairs = [
    {
      "question": ["Where is it?", "Whither?"],
      "answer": "left",
      "format": "mcq",
      "options": [["left", "to the left"], "right"],
    },
    {"question": "<image>Is it?", "answer": "true", "format": "true_false"},
    None,
    {"question": "half of one"},
  ]
  rows = [
    _released({"qa_pairs": pairs}, level=2, task="where"),
    _released({"prefix": "What is it?", "suffix": "a cup"}),
    _released({"qa_pairs": []}),
    _released([]),
  ]
  first = questions.pairs(rows[0])[0]
  assert first == ("Where is it?", "left", "mcq", ("left", "right"))
  assert questions.pairs(rows[0])[1].question == "Is it?"
  counted = _shard(*rows)["questions"]
  assert (counted["stored"], counted["asked"]) == (4, 3)
  assert counted["tasks"] == {"1": {"size": 3}, "2": {"where": 1}}
  assert counted["formats"] == {"mcq": 1, "text": 1, "yes_no": 1}
  assert counted["yes_no"] == {"Yes": 1}


def test_what_has_no_end_is_cut_the_same_way_every_time():
  rows = [_row(answer=f"{n} m") for n in range(500)]
  counted = _shard(*rows, *rows[100:103])
  assert counted == _shard(*rows[100:103], *rows[::-1])
  answers = counted["questions"]["answers"]["size"]
  assert len(answers) == 32
  assert list(answers)[:3] == ["100 m", "101 m", "102 m"]
  many = [_row(task=f"task {n:03d}") for n in range(150)]
  tasks = _shard(*many)["questions"]["tasks"]["1"]
  assert len(tasks) == 101
  assert tasks[questions.OTHERS] == 50


def test_objects_and_sources():
  cats = [{"cat": "cup"}, {"cat": "cup"}, {"name": "red car"}, "odd"]
  counted = _shard(objects={"objects": cats})
  assert counted["objects"]["names"] == {"cup": 2, "red car": 1}
  assert counted["sources"] == {"fake": 1}
  for odd in ([], {"objects": 3}, None):
    assert _shard(objects=odd)["objects"] == {"records": 0, "names": {}}


def test_shards_add_up():
  one, two = _shard(_row(), _row(answer="Yes")), _shard(_row(task="left"))
  total = tally.add(tally.empty(), one, two)["questions"]
  assert (total["records"], total["stored"]) == (2, 3)
  assert total["tasks"] == {"1": {"size": 2, "left": 1}}
  assert total["yes_no"] == {"Yes": 1}
