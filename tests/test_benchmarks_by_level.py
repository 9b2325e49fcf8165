"""Rules on their bounds, the best constant, and the table's arithmetic."""

import json
import random

import pytest

from hispatial_jax.benchmarks import by_level, rules, tables


def _qa(answer, form="text", task="size", level=1, question="?"):
  return {
    "question": question,
    "answer": answer,
    "format": form,
    "task": task,
    "level": level,
  }


def _mcq(answer, *texts, labels="ABCD"):
  lines = [f"({a}). {t}" for a, t in zip(labels, texts, strict=False)]
  question = "Which?\n" + "\n".join(lines)
  return _qa(answer, "mcq", "nearer", 2, question)


@pytest.mark.parametrize(
  ("answer", "right"),
  [
    ("0.75 m", True),
    ("1.25 m", True),
    ("0.74 m", False),
    ("1.26 m", False),
    ("125 cm", True),
    ("1", True),
    ("nothing", False),
  ],
)
def test_numbers_are_right_within_a_quarter(answer, right):
  assert by_level.score(answer, "1.00 meters.", _qa("1.00 meters.")) is right


@pytest.mark.parametrize(
  ("answer", "right"),
  [
    ("0.00m 0.00m 2.00m", True),
    ("0.00m 0.20m 2.00m", True),
    ("0.12m 0.16m 2.00m", True),
    ("0.12m 0.17m 2.00m", False),
    ("0.00m 0.00m 2.21m", False),
    ("2.00m", False),
  ],
)
def test_points_are_right_within_a_tenth_of_the_depth(answer, right):
  truth = "0.00m 0.00m 2.00m"
  assert by_level.score(answer, truth, _qa(truth, level=0)) is right


@pytest.mark.parametrize(
  ("qa", "kind"),
  [
    (_qa("Yes", "yes_no"), "yes_no"),
    (_qa("No."), "yes_no"),
    (_qa("4.", task="counting"), "count"),
    (_qa("There are 4 chairs.", task="counting"), "count"),
    (_qa("0.35"), "number"),
    (_qa("about 0.35 meters"), "length"),
    (_qa("0.1 0.2 0.9"), "vector"),
    (_qa("the pixel in <loc0725><loc0338> is closer"), "text"),
    (_qa("the red chair."), "text"),
    (_qa("-0.10m 0.20m 3.00m"), "point"),
    (_mcq("(A)", "left", "right"), "choice"),
  ],
)
def test_kind_is_told_from_the_truth(qa, kind):
  assert rules.kind(qa) == kind
  assert by_level.score(qa["answer"], qa["answer"], qa)


def test_counts_are_exact():
  qa = _qa("4.", task="counting", level=3)
  assert by_level.score("four", "4.", qa)
  assert not by_level.score("5", "4.", qa)


def test_unparsed_is_an_outcome_of_its_own():
  verdict = rules.judge("left or right", "(A)", _mcq("(A)", "left", "right"))
  assert (verdict.correct, verdict.parsed) == (False, False)
  assert "several" in verdict.why


def test_a_truth_that_cannot_be_read_is_an_error():
  with pytest.raises(ValueError, match=r"truth '\(C\)'.*cannot be read"):
    rules.judge("(A)", "(C)", _mcq("(C)", "left", "right"))
  with pytest.raises(ValueError, match="option lines"):
    rules.judge("A", "A", _qa("A", "mcq"))


def test_constant_length_hits_the_most():
  rng = random.Random(0)
  truths = [rng.lognormvariate(0, 0.7) + 0.05 for _ in range(150)]
  qas = [_qa(f"{t:.2f}m") for t in truths]
  constant = by_level.constant_answers(qas)["size", "text"]

  def hits(answer):
    return sum(by_level.score(answer, qa["answer"], qa) for qa in qas)

  best = max(hits(f"{c / 100:.2f} m") for c in range(5, 400))
  assert hits(constant) >= best


def test_constant_point_finds_the_crowd():
  crowd = [_qa(f"{0.01 * i:.2f}m 0.00m 2.00m", level=0) for i in range(30)]
  others = [_qa(f"0.00m 0.00m {5 + i:.2f}m", level=0) for i in range(3, 20)]
  constant = by_level.constant_answers(crowd + others)["size", "text"]
  hits = sum(by_level.score(constant, q["answer"], q) for q in crowd)
  assert hits == 30


def test_constant_choice_is_a_place_or_a_text():
  place = [_mcq("(B)", f"x{i}", f"y{i}") for i in range(5)]
  place += [_mcq("(ii)", "x", "y", labels=["i", "ii"])]
  assert by_level.constant_answers(place)["nearer", "mcq"] == "(B)"
  assert all(by_level.judge_constant("(B)", q).correct for q in place)
  text = [_mcq("(A)", "red", "blue"), _mcq("(B)", "green", "red")]
  text += [_mcq("(C)", "blue", "green", "red")]
  assert by_level.constant_answers(text)["nearer", "mcq"] == "red"
  assert all(by_level.judge_constant("red", q).correct for q in text)
  assert not by_level.judge_constant("(D)", text[0]).correct


def test_constant_yes_no_and_count():
  qas = [_qa(a, "yes_no", "left") for a in ("Yes", "No", "No")]
  qas += [_qa(a, task="counting") for a in ("2.", "2.", "3.")]
  assert by_level.constant_answers(qas) == {
    ("left", "yes_no"): "No",
    ("counting", "text"): "2",
  }


def test_wilson_against_known_figures():
  low, high = tables.wilson(8, 10)
  assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
  assert tables.wilson(0, 0) == (0.0, 1.0)
  assert tables.wilson(0, 20)[0] == 0.0


def _rows(model, constant, task="size", level=1, per_image=1):
  return [
    {
      "id": f"{i // per_image}",
      "task": task,
      "level": level,
      "kind": "length",
      "parsed": True,
      "correct": bool(m),
      "constant_correct": None if c is None else bool(c),
    }
    for i, (m, c) in enumerate(zip(model, constant, strict=True))
  ]


def test_table_counts_exactly():
  rows = _rows([1, 1, 0, 1] * 10, [0, 1, 0, 0] * 10)
  rows += _rows([1, 0] * 10, [1, 1] * 10, "left", 2)
  lines = {line["name"]: line for line in by_level.table(rows)["lines"]}
  assert lines["size"]["n"] == 40
  assert lines["size"]["correct"] == 30
  assert lines["size"]["constant"] == 0.25
  assert lines["level 2"]["difference"] == -0.5
  assert lines["all"]["correct"] == 40
  mean = lines["mean of tasks, levels 0-2"]
  assert mean["accuracy"] == pytest.approx((0.75 + 0.5) / 2)
  assert mean["difference"] == pytest.approx((0.5 - 0.5) / 2)
  low, high = lines["size"]["difference_interval"]
  assert low < 0.5 < high


def test_questions_of_no_level_are_in_no_mean_of_levels():
  rows = _rows([1, 0], [0, 0]) + _rows([1, 1], [0, 0], "general", -1)
  lines = {line["name"]: line for line in by_level.table(rows)["lines"]}
  assert lines["of no level"]["accuracy"] == 1.0
  assert lines["mean of tasks, levels 0-2"]["accuracy"] == 0.5
  assert lines["mean of tasks, all levels"]["accuracy"] == 0.75


def test_questions_of_one_image_are_no_independent_evidence():
  alone = by_level.table(_rows([1, 0] * 40, [0, 0] * 40))
  blocks = [1] * 10 + [0] * 10
  grouped = by_level.table(_rows(blocks * 4, [0] * 80, per_image=10))

  def width(table):
    low, high = table["lines"][0]["difference_interval"]
    return high - low

  assert width(grouped) > 2 * width(alone)


def test_table_says_nothing_where_nothing_is_known():
  table = by_level.table(_rows([1, 0, 1], [None] * 3))
  line = table["lines"][0]
  assert line["constant"] is None
  assert line["difference_interval"] is None
  few = by_level.table(_rows([1, 0, 1], [0, 0, 0]))["lines"][0]
  assert few["difference_interval"] is None
  json.dumps(table, allow_nan=False)
  with pytest.raises(ValueError, match="no answers"):
    by_level.table([])


def test_table_renders():
  table = by_level.table(_rows([1, 0] * 10, [0, 0] * 10))
  assert "level 1" in tables.text(table)
  assert "bootstrap over images" in tables.text(table)
  assert tables.markdown(table).count("\n") == 1 + len(table["lines"])


def test_row_keeps_everything():
  qa = _mcq("(A)", "left", "right")
  row = by_level.row(qa, "(B)<eos>", {("nearer", "mcq"): "(A)"}, id="toy-1")
  assert row["correct"] is False
  assert row["constant_correct"] is True
  assert row["id"] == "toy-1"
  assert row["answer"] == "(B)<eos>"
  assert by_level.row(qa, "", {})["constant_correct"] is None
