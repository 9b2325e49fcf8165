"""What trains and what does not, by either of two lists of regexes."""

import numpy as np
import pytest

from hispatial_jax.core import freeze, tree

_NAMES = ("img/head/kernel", "img/pos", "llm/layers/lora_a", "llm/layers/w")


def _params():
  return tree.unflatten({name: np.zeros(2) for name in _NAMES})


def _frozen(**regexes):
  flags = tree.flatten(freeze.mask(_params(), **regexes))
  return [name for name in _NAMES if flags[name]]


def test_either_list_says_it():
  assert _frozen() == []
  assert _frozen(freeze=["img/(?!head/).*"]) == ["img/pos"]
  assert _frozen(train=[".*lora_a", "img/head/.*"]) == [
    "img/pos",
    "llm/layers/w",
  ]


def test_both_lists_are_refused():
  with pytest.raises(ValueError, match=r"freeze=\['a'\] and optim.train=\['b'"):
    _frozen(freeze=["a"], train=["b"])


@pytest.mark.parametrize("key", ["freeze", "train"])
def test_regexes_of_no_name_are_all_listed(key):
  with pytest.raises(ValueError, match=f"optim.{key}: no parameter") as error:
    _frozen(**{key: ["img/pos", "lora", "llm/layer/.*"]})
  message = str(error.value)
  assert "'lora', 'llm/layer/.*'" in message
  assert "'img/pos'" not in message
  assert "img/head, img/pos, llm/layers" in message


def test_split_and_join_are_inverses():
  params = _params()
  trained, rest = freeze.split(params, freeze.mask(params, freeze=["llm/.*"]))
  assert (set(trained), set(rest)) == ({"img"}, {"llm"})
  assert tree.flatten(freeze.join(trained, rest)).keys() == set(_NAMES)
  with pytest.raises(ValueError, match="all 4 parameters are frozen"):
    freeze.split(params, freeze.mask(params, freeze=[".*"]))
