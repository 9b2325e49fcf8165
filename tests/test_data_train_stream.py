"""Processes in step: what they see together never depends on their number."""

import itertools
import json

import data_fakes
import numpy as np
import pytest

from hispatial_jax.data import pipeline, tally

_WORDS = data_fakes.Tokenizer()
_LOOK = "decode|points(28)|resize(28)"
_PP = f"{_LOOK}|stored_qa(2)|tokenize(64)"


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
  """Two sets: 24 records of which 2 are broken, and 30 others."""
  folder = tmp_path_factory.mktemp("parts")
  data_fakes.write_broken(folder / "a", {"r0004", "r0017"}, train=24)
  data_fakes.write(data_fakes.Source(train=30, val=0, first=500), folder / "b")
  return folder


def _train(cfg, batch_size=12, count=1, **options):
  """The iterators of all processes; batch_size of all together."""
  cfg = {"pp": _PP, "max_bad_share": 0.5, **cfg}
  return [
    pipeline.train_iterator(
      cfg,
      tokenizer=_WORDS,
      batch_size=batch_size // count,
      process_index=rank,
      process_count=count,
      **{"seed": 7, **options},
    )
    for rank in range(count)
  ]


def _both(parts, **more):
  return {
    "mixture": {
      "a": {"dir": str(parts / "a"), "weight": 2.0},
      "b": {"dir": str(parts / "b"), "weight": 1.0, **more},
    }
  }


def _together(iterators):
  """The next batch of all: [(id, text of both rows)] by global position."""
  found = []
  for iterator in iterators:
    batch = next(iterator)
    text = batch["text"].reshape(len(batch["ids"]), -1)
    pairs = zip(batch["ids"], text.tolist(), strict=True)
    found.append([(name, tuple(row)) for name, row in pairs])
  return [x for group in zip(*found, strict=True) for x in group]


@pytest.mark.parametrize("count", [2, 3])
def test_processes_together_are_the_stream_of_one(parts, count):
  (one,), many = _train(_both(parts)), _train(_both(parts), count=count)
  for _ in range(8):
    assert _together([one]) == _together(many)
  # With gaps among them, which no process fills.
  assert one.tally.bad == {"truncated": one.tally.bad.total()}
  assert one.tally.bad.total() >= 2
  states = [process.tally.get_state() for process in many]
  assert tally.figures(states) == tally.figures([one.tally.get_state()])


@pytest.mark.parametrize(("before", "after"), [(2, 1), (2, 3), (1, 4)])
def test_restart_with_another_number_of_processes(parts, before, after):
  cfg = {"dir": str(parts / "a")}
  (straight,) = _train(cfg)
  wanted = [_together([straight]) for _ in range(6)]
  first = _train(cfg, count=before)
  got = [_together(first)]
  states = json.loads(json.dumps([x.get_state() for x in first]))
  second = _train(cfg, count=after)
  for iterator in second:
    next(iterator)
    iterator.set_state(*states)
  got += [_together(second) for _ in range(5)]
  assert got == wanted
  # Two batches are an epoch: each record once, but for the broken ones.
  names = [name for batch in got[:2] for name, _ in batch]
  good = {f"r{i:04d}" for i in range(24)} - {"r0004", "r0017"}
  assert set(names) - {None} == good
  assert names.count(None) == 2
  counted = [x.tally.get_state() for x in second]
  assert tally.figures(counted) == tally.figures([straight.tally.get_state()])
  assert counted[0]["bad"] == {"truncated": 6 if after == 1 else 0} or after > 1


def test_resume_in_the_middle_of_a_curriculum(parts):
  cfg = _both(parts, weight=[[0, 0.0], [200, 4.0]])
  options = {"batch_size": 24}
  (straight,) = _train(cfg, **options)
  for _ in range(90):
    next(straight)
  resumed = _train(cfg, count=2, **options)
  for iterator in resumed:
    iterator.set_state(straight.get_state())
  assert [_together(resumed) for _ in range(4)] == [
    _together([straight]) for _ in range(4)
  ]
  figures = straight.figures()
  counted = [x.tally.get_state() for x in resumed]
  assert figures.items() >= tally.figures(counted).items()
  # At the steps at which blocks of 1000 positions begin, the weights are 0,
  # 0.82 and 1.64 beside 2.
  shares = [0, 41 * 0.02 / (2 + 41 * 0.02), 83 * 0.02 / (2 + 83 * 0.02)]
  wanted = 1000 * (shares[0] + shares[1]) + 256 * shares[2]
  assert figures["data/part/b"] == pytest.approx(wanted, abs=25)
  assert figures["data/weight/b"] == pytest.approx(93 / (93 + 100))


def test_states_of_another_stream(parts):
  (iterator,) = _train(_both(parts))
  state = iterator.get_state()
  for wrong in ([{"next_index": 3}], [state, state | {"position": 12}]):
    with pytest.raises(ValueError, match="no position of this stream"):
      iterator.set_state(*wrong)


def test_another_seed_is_another_stream(parts):
  one, two = (_together(_train(_both(parts), seed=s)) for s in (7, 8))
  assert one != two


def test_an_optional_part_that_is_missing_is_left_out_and_said(parts):
  cfg = _both(parts)
  cfg["mixture"]["c"] = {"dir": "nowhere", "weight": 5.0, "optional": True}
  (iterator,) = _train(cfg)
  (note,) = iterator.notes
  assert note.startswith("left out: c (no records in nowhere")
  assert note.endswith("the mixture is now a 66.7 %, b 33.3 %")
  next(iterator)
  weights = {k: v for k, v in iterator.figures().items() if "weight" in k}
  assert weights == {
    "data/weight/a": pytest.approx(2 / 3),
    "data/weight/b": pytest.approx(1 / 3),
    "data/weight/c": 0.0,
  }
  cfg["mixture"]["c"]["optional"] = False
  with pytest.raises(FileNotFoundError, match="nowhere"):
    _train(cfg)
  gone = {"dir": "nowhere", "optional": True}
  split = {"dir": str(parts / "a"), "split": "vall", "optional": True}
  with pytest.raises(FileNotFoundError, match=r"no part.*\n.*\n.*split 'vall'"):
    _train({"mixture": {"c": gone, "d": split}})


def test_a_misspelt_key_of_a_part(parts):
  cfg = _both(parts, wieght=1)
  with pytest.raises(ValueError, match=r"mixture\.b.*did you mean 'weight'"):
    _train(cfg)


def test_parts_have_their_own_operations(parts):
  pp = f"{_LOOK}|stored_qa(1, levels=(2,))|tokenize(64)"
  (iterator,) = _train(_both(parts, pp=pp), 60)
  batch = next(iterator)
  asked = batch["_mask"].reshape(60, 2).sum(axis=1)
  for name, count in zip(batch["ids"], asked, strict=True):
    assert count == (0 if name is None else 1 if name >= "r0500" else 2)
  pp = "decode|points(14)|resize(14)|stored_qa(1)|tokenize(64)"
  with pytest.raises(ValueError, match="several sizes"):
    next(_train(_both(parts, pp=pp), 60)[0])
  pp = f"{_LOOK}|stored_qa(1)|tokenize(60)"
  with pytest.raises(ValueError, match="several lengths"):
    next(_train(_both(parts, pp=pp), 60)[0])


def test_counts_by_part_and_task(parts):
  (iterator,) = _train(_both(parts), 54)
  batch = next(iterator)
  figures = iterator.figures()
  names = [name for name in batch["ids"] if name is not None]
  of_b = sum(name >= "r0500" for name in names)
  assert figures["data/seen"] == 54
  assert figures["data/part/b"] == of_b
  assert figures["data/part/a"] == len(names) - of_b
  assert figures["data/task/fake"] == 2 * len(names)
  assert figures["data/bad/truncated"] == 54 - len(names)
  assert tally.short(figures) == {"bad": 54 - len(names)}


def test_a_level_filter_that_leaves_nothing_is_no_fault(parts):
  # Stored questions are of levels 0, 1 and 2.
  pp = f"{_LOOK}|stored_qa(2, levels=(3,))|tokenize(64)"
  (iterator,) = _train(_both(parts, pp=pp))
  with pytest.raises(tally.NothingUsable, match=r"of 'b'.*a question: \d\d"):
    list(itertools.islice(iterator, 30))
  assert iterator.tally.empty["no_question"] >= 50
  assert set(iterator.tally.bad) == {"truncated"}
  with pytest.raises(tally.NothingUsable, match=r"all parts.*no question"):
    next(_train({"dir": str(parts / "b"), "pp": pp})[0])


def test_a_batch_of_gaps_has_the_sizes_of_the_others(parts):
  (iterator,) = _train({"dir": str(parts / "a")}, 1)
  shapes, gaps = set(), 0
  for _ in range(24):
    batch = next(iterator)
    gaps += batch.pop("ids") == [None]
    shapes.add(tuple((k, v.shape, v.dtype) for k, v in batch.items()))
  assert (gaps, len(shapes)) == (2, 1)


def test_a_question_that_does_not_fit_stops_the_run(parts):
  pp = f"{_LOOK}|stored_qa(1)|tokenize(10)"
  for threads in (0, 2):
    cfg = {"dir": str(parts / "b"), "pp": pp, "num_threads": threads}
    with pytest.raises(ValueError, match=r"record 'r05\d\d'.*10;") as error:
      next(_train(cfg)[0])
    assert "\n" not in str(error.value)


def test_answers_that_do_not_fit_are_dropped_and_counted(tmp_path):
  data_fakes.write(data_fakes.Source(train=6, val=0, long_answers=2), tmp_path)
  pp = f"{_LOOK}|stored_qa(3)|tokenize(40)"
  (iterator,) = _train({"dir": str(tmp_path), "pp": pp}, 6)
  batch = next(iterator)
  figures = iterator.figures()
  # Of two records all three answers are too long: nothing is left of them.
  assert figures["data/dropped/answer_too_long"] == 6
  assert figures["data/empty/no_question"] == 2
  assert batch["_mask"].sum() == figures["data/task/fake"] == 12
  assert tally.short(figures) == {"empty": 2, "dropped": 6}
  assert np.isfinite(batch["image"]).all()
