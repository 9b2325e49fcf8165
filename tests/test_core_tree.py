"""Names, rules and merging of parameter trees."""

import hypothesis
import hypothesis.strategies as st
import jax
import numpy as np
import pytest

from hispatial_jax.core import tree

_TREE = {
  "img": {"head": {"kernel": np.zeros((2, 3)), "bias": np.zeros(3)}},
  "llm": {"final_norm": {"scale": np.zeros(4)}},
}
_trees = st.recursive(
  st.integers(),
  lambda inner: st.dictionaries(
    st.text("abc_.1", min_size=1, max_size=4), inner, min_size=1, max_size=3
  ),
  max_leaves=8,
).filter(lambda t: isinstance(t, dict))


def test_names_are_sorted_paths():
  assert list(tree.flatten(_TREE)) == [
    "img/head/bias",
    "img/head/kernel",
    "llm/final_norm/scale",
  ]
  assert list(tree.flatten({"a_x": 1, "a": {"b": 2}})) == ["a/b", "a_x"]
  assert tree.flatten({"s": (1, [2])}) == {"s/0": 1, "s/1/0": 2}


@hypothesis.given(_trees)
def test_unflatten_inverts_flatten(nested):
  assert tree.unflatten(tree.flatten(nested)) == nested


def test_two_leaves_of_one_name_are_an_error():
  with pytest.raises(ValueError, match="'a/b'"):
    tree.flatten({"a/b": 1, "a": {"b": 2}})
  with pytest.raises(ValueError, match="a/b"):
    tree.unflatten({"a": 1, "a/b": 2})


def test_first_rule_wins_and_matches_whole_names():
  rules = [("img/.*", 1), (".*/scale", 2), ("img.*", 3), (".*", 4)]
  found = tree.match_rules(["img/a", "llm/scale", "imgs", "x"], rules)
  assert found == {"img/a": 1, "llm/scale": 2, "imgs": 3, "x": 4}


def test_every_name_without_a_rule_is_listed():
  with pytest.raises(ValueError, match=r"2 name\(s\)(.|\n)*  b\n  c"):
    tree.match_rules(["a", "b", "c"], [("a", 1)])


def test_masks_keep_the_structure():
  found = tree.masks(_TREE, ["img/.*bias", "llm/.*"])
  assert found == {
    "img": {"head": {"kernel": False, "bias": True}},
    "llm": {"final_norm": {"scale": True}},
  }
  assert tree.masks(_TREE, "img/head") == tree.masks(_TREE, [])


def test_merge_reports_everything_at_once():
  wanted = {
    "a": {
      "kernel": jax.ShapeDtypeStruct((2, 3), "float32"),
      "bias": np.ones(3),
    },
    "b": np.zeros(1),
  }
  loaded = {"a": {"kernel": np.zeros((3, 2)), "biass": np.ones(3)}, "z": {}}
  with pytest.raises(ValueError, match="do not fit") as error:
    tree.merge(wanted, loaded)
  message = str(error.value)
  assert "2 missing, 1 extra, 1 of another shape" in message
  assert "-missing a/bias [3] (nearest: a/biass)" in message
  assert "-missing b [1]" in message
  assert "+extra a/biass [3]" in message
  assert "~shape a/kernel: expected [2,3], got [3,2]" in message


def test_merge_leaves_what_is_not_to_be_loaded():
  wanted = {"a": np.zeros(2), "head": np.zeros(3)}
  loaded = {"a": np.ones(2, np.float16), "head": np.ones(9)}
  found = tree.merge(wanted, loaded, dont_load=["head"])
  assert found["a"].dtype == np.float16
  assert found["a"].sum() == 2
  assert found["head"] is wanted["head"]
