"""The mini-language reads what it should and explains what it cannot."""

import pytest

from hispatial_jax.core import spec


def test_parse_reads_names_arguments_and_literals():
  assert spec.parse("a|b(1, k=2)|c('x|y', [1, -2.5], z=None)") == [
    ("a", (), {}),
    ("b", (1,), {"k": 2}),
    ("c", ("x|y", [1, -2.5]), {"z": None}),
  ]
  assert spec.parse("") == []
  assert spec.parse(" a ") == [("a", (), {})]


@pytest.mark.parametrize(
  "text", ["a||b", "a|b(", "1", "a.b", "a(x)", "a(__import__('os'))", "a(**{})"]
)
def test_parse_refuses(text):
  with pytest.raises(ValueError, match="spec"):
    spec.parse(text)


def _add(n, *, times=1):
  return lambda x: x + n * times


def test_build_calls_the_factories_in_order():
  ops = spec.build("add(1)|add(2, times=3)", {"add": _add})
  assert [op(0) for op in ops] == [1, 6]


def test_build_lists_all_offenders_with_the_nearest_name():
  with pytest.raises(ValueError, match="unknown operation") as error:
    spec.build("ad(1)|add(2, tims=3)|add()", {"add": _add})
  message = str(error.value)
  assert "did you mean 'add'" in message
  assert "did you mean 'times'" in message
  assert "missing a required argument: 'n'" in message


def test_check_keys():
  spec.check_keys(["a"], ["a", "b"], "cfg")
  with pytest.raises(ValueError, match=r"'spilt'.*did you mean 'split'"):
    spec.check_keys(["spilt", "dir"], ["split", "dir"], "cfg")
