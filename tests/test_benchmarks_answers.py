"""Strings that fool parsers: each has one right reading, or none."""

import pytest

from hispatial_jax.benchmarks import answers, quantities

_FOUR = [("A", "cabinet"), ("B", "dog"), ("C", "dog house"), ("D", "door")]
_ROMAN = [("I", "the watch"), ("II", "the glasses"), ("III", "none")]


@pytest.mark.parametrize(
  ("text", "metres"),
  [
    ("0.46m", 0.46),
    ("We estimate the width of the door to be 0.77 meters.", 0.77),
    ("120 cm<eos>", 1.2),
    ("1,100 mm", 1.1),
    ("3 ft", 0.9144),
    ("5 feet 4 inches", 1.6256),
    ("1 m 20 cm", 1.2),
    ("6 in.", 0.1524),
    ("half a meter", 0.5),
    ("one and a half metres", 1.5),
    ("a meter", 1.0),
    ("twenty-five centimeters", 0.25),
    ("2 1/2 m", 2.5),
    ("between 1 and 2 meters", 1.5),
    ("2 - 3 m", 2.5),
    ("0.45 m, about 18 inches", 0.45),
    ("Region [1] is 0.28 m wide", 0.28),
    ("There are 2 chairs, they stand 0.5 m apart", 0.5),
    ("First 2 m. The final answer is 3 m.", 3.0),
    (r"\scalar{0.7} \distance_unit{meter}", 0.7),
    (r"\scalar{70} \distance_unit{centimeters}", 0.7),
    ("**1.2 m**", 1.2),
    ("1.3", 1.3),
    ("1e-1 m", 0.1),
    (".5m", 0.5),
    ("1 m or 2 m", None),
    ("2 apples and 3 pears", None),
    ("-0.5 m", None),
    ("0 m", None),
    ("0.61m -0.20m 1.17m", None),
    ("", None),
    ("no idea", None),
    ("the one on the left", None),
    ("item3", None),
    (r"\scalar{x} \distance_unit{m}", None),
    (r"\scalar{3} \distance_unit{parsec}", None),
  ],
)
def test_length(text, metres):
  got = quantities.length(text)
  assert got.value == (None if metres is None else pytest.approx(metres))
  assert got.why


@pytest.mark.parametrize(
  ("text", "value"),
  [
    ("0.61m -0.20m 1.17m", (0.61, -0.2, 1.17)),
    ("0.61 m, -0.20 m, 1.17 m.", (0.61, -0.2, 1.17)),
    ("(0.61, -0.20, 1.17)", (0.61, -0.2, 1.17)),
    ("61cm -20cm 1.17m<eos>", (0.61, -0.2, 1.17)),
    ("x=0.61m y=-0.20m z=1.17m", (0.61, -0.2, 1.17)),
    ("0.61m 1.17m", None),
    ("0.61m -0.20m 1.17m 2.00m", None),
    ("<loc0325><loc0951><loc0325><loc0951>", None),
  ],
)
def test_point(text, value):
  got = quantities.point(text).value
  assert got == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(
  ("text", "value"),
  [
    ("4.", 4),
    ("four", 4),
    ("There are 4 chairs", 4),
    ("0", 0),
    ("4 or 5", None),
    ("3.5", None),
    ("-1", None),
    ("4 m", None),
    ("many", None),
  ],
)
def test_count(text, value):
  assert quantities.count(text).value == value


def test_vector_has_length_one():
  assert quantities.vector("0.0, -3, 4").value == pytest.approx((0, -0.6, 0.8))
  assert not quantities.vector("0 0 0").parsed
  assert not quantities.vector("1m 2m 3m").parsed


@pytest.mark.parametrize(
  ("text", "label"),
  [
    ("B", "B"),
    ("(B)", "B"),
    ("b.", "B"),
    ("(B). dog", "B"),
    ("B) dog", "B"),
    ("<bos>(D)<eos>", "D"),
    ("The answer is C.", "C"),
    ("I'd say C", "C"),
    ("Answer: (D)", "D"),
    ("the dog house", "C"),
    ("It is the cabinet!", "A"),
    ("A. door", None),
    ("A or B", None),
    ("Because it is near", None),
    ("either (A) or (B)", None),
    ("dog, or the door", None),
    ("doghouse", None),
    ("E", None),
    ("", None),
  ],
)
def test_choice(text, label):
  got = answers.choice(text, _FOUR).value
  assert (None if got is None else _FOUR[got][0]) == label


@pytest.mark.parametrize(
  ("text", "index"),
  [
    ("II", 1),
    ("(ii)", 1),
    ("I", 0),
    ("III.", 2),
    ("the watch", 0),
    ("2", None),
  ],
)
def test_roman_labels(text, index):
  assert answers.choice(text, _ROMAN).value == index


def test_article_is_no_label():
  choices = [("A", "left"), ("B", "a dog")]
  assert answers.choice("A dog", choices).value == 1


@pytest.mark.parametrize("style", ["({}). {}", "{}. {}", "({}) {}", "{}) {}"])
@pytest.mark.parametrize("labels", ["A B C", "a b c", "1 2 10", "I II III"])
def test_options_are_read_as_printed(style, labels):
  texts = ["the red chair", "0.50 meters", "2 chairs"]
  pairs = list(zip(labels.split(), texts, strict=True))
  lines = [style.format(*pair) for pair in pairs]
  question = "Which one? Choose.\n" + "\n".join(lines)
  assert answers.options(question) == pairs


def test_only_the_last_block_of_lines_is_options():
  question = "A. is a hint\nWhich?\nA. left\nB. right\n"
  assert answers.options(question) == [("A", "left"), ("B", "right")]
  assert answers.options("How wide is it?") == []


@pytest.mark.parametrize(
  ("text", "value"),
  [
    ("Yes", True),
    ("no.", False),
    ("Yes, nothing blocks it", True),
    ("No, yesterday it did", False),
    ("That is not true", False),
    ("It isn't correct", False),
    ("I think the answer is no", False),
    ("true<eos>", True),
    ("I notice nothing unknown", None),
    ("Its eyes know", None),
    ("yes or no", None),
    ("yes and no", None),
    ("", None),
  ],
)
def test_yes_no(text, value):
  assert answers.yes_no(text).value is value


def test_words_ignore_case_articles_and_stops():
  said = answers.words("The pixel in <loc0725> is Closer.").value
  assert said == "pixel in <loc0725> is closer"
  assert not answers.words(" <eos>").parsed
