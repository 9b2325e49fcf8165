"""Sentences that have fooled benchmark parsers, and what rules make of them."""

import dataclasses
import math

import hypothesis
import hypothesis.strategies as st
import pytest

from hispatial_jax.benchmarks import (
  answers,
  base,
  boxes,
  constants,
  cuts,
  directions,
  groups,
  intervals,
  lmms_eval,
  loading,
  quantities,
  registry,
  spatialrgpt,
  spatialrgpt_words,
  vlmevalkit,
)

_CHOICES = answers.letters(["red ball", "brown box", "a cabinet", "armchair"])
_TEXT = st.text(
  alphabet="ABCDabcd yesno0123456789.,:;()[]{}<>*_'\"’-/\\\n½",
  max_size=40,
)


def _example(truth, options=(), **category):
  return base.Example(
    key="k",
    group="g",
    prompts={"hispatial": "?"},
    truth=truth,
    image=bytes,
    options=options,
    category=category,
  )


@pytest.mark.parametrize(
  ("text", "letter"),
  [
    ("Brown", None),
    ("Brown box", "B"),
    ("Armchair", "D"),
    ("Cabinet", "C"),
    ("cabinets", None),
    ("the red ball or a cabinet", None),
    ("A cabinet", "C"),
    ('"**B**"<eos>', "B"),
    ("_c_", "C"),
    ("[d]", "D"),
    ("B) a cabinet", None),
    ("B) something else", "B"),
    ("Option A, no: the answer is (C).", "C"),
    ("either (A) or (B)", None),
    ("(b) or so (b)", "B"),
    ("A or B", None),
    ("A is right", "A"),
    ("I'd say C", "C"),
    ("Because it is a red ball", "A"),
    ("Both", None),
    ("Z", None),
  ],
)
def test_choice(text, letter):
  found = answers.choice(text, list(_CHOICES))
  assert (None if found.value is None else "ABCD"[found.value]) == letter
  assert found.why


def test_a_count_may_be_a_word():
  counts = list(answers.letters(["1", "3", "2"]))
  assert answers.choice("Three.", counts).value == 1
  assert answers.choice("No one can tell", counts).value is None


@pytest.mark.parametrize(
  ("text", "value"),
  [
    ("The answer is **yes**.", "yes"),
    ("It isn’t true", "no"),
    ("never correct", "no"),
    ("The answer is no, although yes was tempting", "no"),
    ("not false", "yes"),
    ("no or yes", None),
    ("I notice nothing", None),
  ],
)
def test_polarity(text, value):
  assert answers.polarity(text).value == value


@pytest.mark.parametrize(
  ("text", "metres"),
  [
    ("one hundred and twenty centimeters", 1.2),
    ("zero point five meters", 0.5),
    ("half meter", 0.5),
    ("1½ m", 1.5),
    ("three quarters of a meter", 0.75),
    ("a foot and a half", 0.4572),
    ("5'4\"", 1.6256),
    ("1m20cm", 1.2),
    ("1,5 m", 1.5),
    ("There are 2 in the picture, 0.5 m apart", 0.5),
    ("35 in wide", 0.889),
    ("1.2 m is my final answer", 1.2),
    ("1~2 m", 1.5),
    ("1 or 2 meters", None),
    ("2 meters and 30 centimeters", 2.3),
    ("minus 0.2 m", None),
    ("25abc", None),
    ("1e999 m", None),
    (r"\scalar{0} \distance_unit{m}", None),
  ],
)
def test_length(text, metres):
  got = quantities.length(text).value
  assert got == (None if metres is None else pytest.approx(metres))


@pytest.mark.parametrize(
  ("text", "hour"),
  [
    ("the one o'clock direction", 1),
    ("at 12 o’clock", 12),
    ("2 o'clock, no, 3 o'clock", 3),
    ("three", 3),
    ("13 o'clock", None),
    ("0 o'clock", None),
    ("3.5", None),
    ("3 m", None),
    ("", None),
  ],
)
def test_clock(text, hour):
  assert directions.clock(text).value == hour


def test_hours_wrap():
  assert directions.between(12, 1) == directions.between(1, 12) == 1
  assert directions.between(6, 12) == 6


@pytest.mark.parametrize(
  ("text", "point"),
  [
    ("[(0.35, 0.60)]<eos>", [0.35, 0.6]),
    ("at [.3, 1]", [0.3, 1.0]),
    ("(x=0.1, y=0.2)", [0.1, 0.2]),
    ("[0.1, 0.2, 0.3, 0.4]", None),
    ("<loc0614><loc0358>", None),
    ("0.1, 0.2", None),
  ],
)
def test_pair(text, point):
  assert directions.pair(text).value == point


def test_loc_tokens_are_points_only_once_converted():
  said = "<loc0512><loc0256><eos>"
  assert directions.pair(said).value is None
  assert directions.pair(directions.loc_as_pairs(said)).value == [0.25, 0.5]


def test_a_polygon_shares_no_edge_with_its_neighbour():
  left = [(0, 0), (1, 0), (1, 1), (0, 1)]
  right = [(1, 0), (2, 0), (2, 1), (1, 1)]
  for y in (0.0, 0.25, 0.999):
    assert (
      directions.inside((1.0, y), left) + directions.inside((1.0, y), right)
      == 1
    )
  assert not directions.inside((0.5, 1.0), left)


@pytest.mark.parametrize(
  ("text", "index"),
  [
    ("Region [1]", 1),
    ("region 0 is bigger", 0),
    ("[0] or [1]", None),
    ("the one in the red box", 0),
    ("the blue box", 1),
    ("the table lamp", 1),
    ("the table", 0),
    ("Region [7]", None),
    ("no idea", None),
  ],
)
def test_thing(text, index):
  found = directions.thing(text, ["table", "table lamp"], boxes.COLOURS)
  assert found.value == index


def test_two_things_of_one_name_are_told_apart_by_colour_alone():
  read = lambda text: directions.thing(text, ["chair"] * 2, boxes.COLOURS)  # noqa: E731
  assert read("the chair").value is None
  assert read("the chair (highlighted by a blue box)").value == 1


@pytest.mark.parametrize(
  ("text", "category", "value"),
  [
    ("Actually, it is narrower.", "wide_predicate", "no"),
    ("It is not wider.", "wide_predicate", "no"),
    ("It looks taller", "tall_predicate", "yes"),
    ("In fact, it is to the right", "left_predicate", "no"),
    ("I cannot tell which is wider", "wide_predicate", None),
    ("wider and narrower", "wide_predicate", None),
  ],
)
def test_statements_about_a_predicate(text, category, value):
  assert spatialrgpt_words.stated(text, category).value == value


def test_what_needs_a_judge_says_so():
  example = _example("no", type="qualitative", category="wide_predicate")
  example = dataclasses.replace(example, data={"classes": ("a", "b")})
  judged = lambda text: spatialrgpt.score(example, text)["needs_judge"]  # noqa: E731
  assert judged("Actually, it is narrower.")
  assert judged("It is the other way round.")
  assert not judged("I cannot tell")
  assert not judged("No.")
  assert not judged("<eos>")


@pytest.mark.parametrize(
  ("factor", "hits"), [(0.75, 1), (1.25, 1), (0.7499, 0), (1.2501, 0)]
)
@pytest.mark.parametrize("truth", [0.4, 0.889, 1.02, 3.3])
def test_the_ends_of_25_percent_count(truth, factor, hits):
  example = _example(truth, category="width_data")
  assert spatialrgpt.hit(example, truth * factor) == hits


def test_a_factor_of_two_by_both_readings():
  bench = registry.get("qspatial")
  example = _example(2.0, split="QSpatial_plus")
  exact = bench.score(example, "4 m")
  assert (exact["robust_strict"], exact["robust_inclusive"]) == (0, 1)
  f32 = _example(1.399999976158142, split="QSpatial_plus")
  assert bench.score(f32, "2.8 m")["robust_inclusive"] == 1


def test_the_notebook_takes_unknown_units_for_centimetres():
  bench, example = registry.get("qspatial"), _example(0.4)
  said = r"\scalar{40} \distance_unit{parsec}"
  score = bench.score(example, said)
  assert score["official_notebook"] == 1
  assert score["declared"] is None
  assert (
    bench.score(example, r"\scalar{0} \distance_unit{m}")["official_notebook"]
    == 0
  )


def test_open_answers():
  bench = registry.get("realworldqa")
  three = _example("3", kind="open")
  assert bench.score(three, "three cones")["correct"] == 1
  assert bench.score(three, "3 or 4")["declared"] is None
  word = _example("Downhill", kind="open")
  assert bench.score(word, "It goes downhill.")["correct"] == 1
  assert bench.score(word, "uphill")["declared"] == "uphill"
  assert bench.score(word, "downhillish")["correct"] == 0


def test_pope_s_rules_read_apart():
  bench = registry.get("pope")
  rows = [
    dataclasses.replace(_example(truth), data={"categories": ("random",)})
    for truth in ("yes", "yes", "no")
  ]
  said = ["True", "yes", "no"]
  scores = [
    bench.score(row, text) for row, text in zip(rows, said, strict=True)
  ]
  figures = bench.aggregate(rows, scores)
  assert figures["robust"]["random"]["recall"] == 1
  assert figures["vlmevalkit"]["random"]["recall"] == 0.5
  failed = base.failed(rows[1], "no picture")
  scores[1] = bench.score(failed, "yes")
  assert bench.aggregate([rows[0], failed, rows[2]], scores)["robust"][
    "random"
  ] == {
    "f1": pytest.approx(2 / 3),
    "precision": 1,
    "recall": 0.5,
    "acc": pytest.approx(2 / 3),
    "n": 3,
  }
  none = bench.aggregate([], [])
  assert none["robust"]["overall"]["f1"] is None


@pytest.mark.parametrize(
  ("metres", "name"),
  [
    (0.3, "below 0.5 m"),
    (0.5, "below 1 m"),
    (1.0, "below 2 m"),
    (9.9, "below 10 m"),
    (10.0, "10 m and more"),
    ("yes", None),
    (3, None),
  ],
)
def test_ranges_of_lengths(metres, name):
  assert loading.length_range(metres) == name


def test_an_error_scores_zero_under_every_rule_and_stays():
  options = answers.letters(["a dog", "a cat"])
  for name in ("seedbench", "mmbench", "3dsrbench", "embspatial", "cvbench"):
    bench = registry.get(name)
    example = _example("A", options, split="3D", task="Depth", source="Omni3D")
    example = base.failed(example, "no picture")
    score = bench.score(example, "A")
    assert score["declared"] == "A"
    assert score["error"] == "no picture"
    assert all(score[rule] == 0 for rule in bench.RULES), name


def test_token_rule_of_prompts():
  assert base.sent("How?") == "<image>How?"
  assert base.sent("<image>\nHow?") == "<image>\nHow?"
  assert base.question_tokens("<image>\nHow?") == "\nHow?"
  assert base.question_tokens("How?") == "How?"


def test_names_are_offered():
  with pytest.raises(ValueError, match="did you mean 'cvbench'"):
    registry.get("CV-Bench")


def test_rival_rules_keep_their_bugs():
  dogs = answers.letters(["a cat", "a dog"])
  assert vlmevalkit.option("A dog", dogs) == "A"
  assert vlmevalkit.option("b", dogs) == "Z"
  assert vlmevalkit.option("B<eos>", dogs) == "Z"
  assert vlmevalkit.yes_no("I notice") == "Unknown"
  assert vlmevalkit.spatial_option("The answer is D<eos>") == "D"
  assert lmms_eval.first_letter("The cat") == "T"
  assert lmms_eval.yes_no_last_line("I do not know", "no") == 1
  assert lmms_eval.best_letter("The answer is (A).") == "A"
  assert lmms_eval.best_letter("a") == ""


def test_a_group_without_a_rotation_is_no_pass():
  options = answers.letters(["x", "y"])
  rows = [
    dataclasses.replace(
      _example("A", options), group=group, data={"rotation": turn}
    )
    for group, turn in (("1", 0), ("1", 1), ("2", 0))
  ]
  held = groups.together(rows, [{"r": 1}] * 3, lambda e: e.group, "r")
  broken = groups.incomplete(rows, lambda e: e.group)
  assert broken == {"2"}
  assert groups.strict(held, broken) == {"1": 1, "2": 0}
  assert groups.strict({"2": 1}, broken) is None


def test_one_stratum_has_wilson_and_many_a_bootstrap():
  units = tuple(("", str(i), float(i < 60), 1.0) for i in range(100))
  line = intervals.line(base.Headline("a", "r", units))
  assert line["method"].startswith("Wilson")
  assert line["interval"] == pytest.approx([0.502, 0.691], abs=1e-3)
  twice = tuple(
    (str(i % 2), str(i // 4), float(i < 60), 1.0) for i in range(100)
  )
  line = intervals.line(base.Headline("a", "r", twice))
  assert line["method"].startswith("bootstrap")
  low, high = line["interval"]
  assert low < 0.6 < high
  # Groups of four alike: as wide as 25 groups have it, not 100.
  assert high - low == pytest.approx(2 * 1.96 * math.sqrt(0.24 / 25), rel=0.15)
  weighed = base.Headline("a", "r", twice, {"0": 1.0, "1": 0.0})
  assert intervals.line(weighed)["value"] == pytest.approx(0.6)


def test_the_best_constant_is_the_best():
  bench = registry.get("cvbench")
  options = answers.letters(["x", "y"])
  rows = [
    _example(t, options, task="Depth", split="3D", source="s") for t in "ABB"
  ]
  assert constants.best(bench, rows) == {
    "Depth": {"answer": "B", "hits": 2, "n": 3}
  }
  scores = [bench.score(row, "A") for row in rows]
  line = cuts.lines(bench, rows, scores, constants.scores(bench, rows))[0]
  assert (line["correct"], line["constant"]) == (1, pytest.approx(2 / 3))


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(text=_TEXT | st.text(max_size=30))
def test_no_text_breaks_a_reader(text):
  found = [
    answers.choice(text, list(_CHOICES)),
    answers.polarity(text),
    answers.words(text),
    quantities.length(text),
    quantities.count(text),
    quantities.vector(text),
    directions.clock(text),
    directions.pair(text),
    directions.triple(text),
    directions.thing(text, ["table", "lamp"], boxes.COLOURS),
  ]
  for parse in found:
    assert parse.why
    if isinstance(parse.value, float):
      assert 0 < parse.value < math.inf
  vlmevalkit.option(text, _CHOICES)
  vlmevalkit.yes_no(text)
  vlmevalkit.spatial_option(text)
  lmms_eval.best_letter(text)
  lmms_eval.letter_3dsr(text)
  lmms_eval.yes_no_last_line(text, "yes")


@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(
  value=st.floats(0.01, 500).map(lambda v: round(v, 2)),
  unit=st.sampled_from(["m", "cm", "mm", "ft", "in"]),
  form=st.sampled_from(["{}{}", "{} {}<eos>", "It is {} {}.", "**{}{}**"]),
)
def test_a_length_is_read_as_it_was_written(value, unit, form):
  got = quantities.length(form.format(value, unit)).value
  assert got == pytest.approx(quantities.metres(value, unit), rel=1e-12)


@pytest.mark.parametrize("text", ["1", "1 ", ".", "answer is ", "1 m "])
def test_a_model_gone_astray_is_read_in_no_time(text):
  long = text * 20_000
  assert answers.choice(long, list(_CHOICES)).value is None
  quantities.length(long)
  directions.thing(long, ["table"], boxes.COLOURS)
