"""Recipes, overrides, and keys that nobody reads."""

import ml_collections
import pytest

from hispatial_jax.core import config

_RECIPE = """
import ml_collections

def get_config(arg=""):
  cfg = ml_collections.ConfigDict()
  cfg.arg = arg
  cfg.optim = dict(lr=1e-3, clip=1.0)
  cfg.points, cfg.steps = True, 10
  return cfg.lock()
"""


@pytest.fixture
def recipe(tmp_path):
  path = tmp_path / "c.py"
  path.write_text(_RECIPE)
  return str(path)


def test_load_with_argument_and_overrides(recipe):
  cfg = config.load(
    recipe + ":quick=True", ["optim.lr=2", "points=false", "steps=5"]
  )
  assert cfg.arg == "quick=True"
  assert cfg.optim.lr == 2.0
  assert isinstance(cfg.optim.lr, float)
  assert cfg.points is False
  assert cfg.steps == 5
  assert cfg.is_locked


def test_where_a_text_stands_digits_are_text(recipe):
  for given, text in (("13", "13"), ("'0 3'", "0 3"), ("True", "True")):
    assert config.load(recipe, [f"arg={given}"]).arg == text


def test_all_wrong_overrides_are_named(recipe):
  with pytest.raises(ValueError, match="unknown key") as error:
    config.load(recipe, ["optim.lrr=2", "step=5", "points=3", "steps=abc"])
  text = str(error.value)
  assert "optim.lrr: unknown key; did you mean optim.lr?" in text
  assert "step: unknown key; did you mean steps?" in text
  assert "points=3: expected bool" in text
  assert "steps=abc" in text


def test_no_such_file():
  with pytest.raises(FileNotFoundError, match=r"no config file .*nowhere\.py"):
    config.load("nowhere.py:a=1")


def test_unread_keys():
  cfg = ml_collections.ConfigDict({"a": 1, "b": {"c": 2, "d": 3}, "e": {}})
  watched = config.Watched(cfg)
  assert (watched.a, watched["b"].c) == (1, 2)
  assert watched.unread() == ["b.d", "e"]
  with pytest.raises(ValueError, match=r"b\.d\n  e"):
    watched.check_all_read()
  assert watched.b.plain().to_dict() == {"c": 2, "d": 3}
  assert dict(watched.e) == {}
  watched.check_all_read()
  with pytest.raises(AttributeError, match="f"):
    _ = watched.f
