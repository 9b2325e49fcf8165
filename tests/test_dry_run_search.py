"""A search's order, what it leaves out, keeps and ranks."""

import json

import pytest

from hispatial_jax.core import config as config_lib
from hispatial_jax.dry_run import search, space

_GIB = 2**30
_FACTS = {"topology": "v5e:4x4"}


@pytest.fixture(scope="module")
def cfg():
  return config_lib.load("configs/hispatial_3b.py:batch=64")


def _candidates(cfg, *pairs, chips=16, slices=1):
  values = space.read(pairs, cfg, chips)
  return space.candidates(values, cfg.model, chips=chips, slices=slices)


def test_what_is_tried_by_default(cfg):
  found = _candidates(cfg)
  # data and tensor 1, 2; two policies; the recipe's batch, and twice, 4 times.
  assert len(found) == 2 * 2 * 2 * 3
  assert found[0] == space.Candidate(1, 1, 16, 1, "mlp_out", 1, 4)
  assert found[0].overrides() == [
    "batch_size=64",
    "mesh.dcn=1",
    "mesh.data=1",
    "mesh.fsdp=16",
    "mesh.tensor=1",
    "model.llm.remat=mlp_out",
    "optim.accumulate=1",
  ]
  config_lib.load("configs/hispatial_3b.py", found[0].overrides())
  rows = [c.rows for c in found if c.but_rows() == found[0].but_rows()]
  assert rows == [4, 8, 16]


def test_arithmetic_rules_out(cfg):
  few = ("remat=none", "rows=1")
  # 3 does not divide the chips, 8 not the four key/value heads.
  found = _candidates(cfg, "data=1,3", "tensor=1,4,8", *few)
  assert [(c.data, c.tensor) for c in found] == [(1, 1), (1, 4)]
  # A microbatch needs an example for each device that has its own.
  found = _candidates(cfg, "accumulate=1,2", "tensor=1,2", "data=1", *few)
  assert [(c.tensor, c.accumulate) for c in found] == [(1, 1), (2, 1), (2, 2)]
  found = _candidates(cfg, "data=1", "tensor=1", *few, chips=32, slices=2)
  assert [(c.dcn, c.fsdp) for c in found] == [(2, 16)]
  with pytest.raises(ValueError, match=r"no mesh of .* fits 16 chips"):
    _candidates(cfg, "data=3")


def test_bad_spaces_are_told_together(cfg):
  with pytest.raises(ValueError, match="expected lists of numbers") as error:
    space.read(["row=1", "rows=1,two", "remat=some", "data=0"], cfg, 16)
  for part in (
    "row (did you mean 'rows'?)",
    "rows=two",
    "remat=some",
    "data=0",
  ):
    assert part in str(error.value)


class _Compiler:
  """Knows what each candidate needs; counts how often it is asked."""

  def __init__(self, *, fails=(), dies_at=None):
    self.asked, self._fails, self._dies_at = [], fails, dies_at

  def __call__(self, overrides):
    values = dict(pair.split("=") for pair in overrides)
    if len(self.asked) == self._dies_at:
      raise KeyboardInterrupt
    self.asked.append(values)
    rows, tensor = int(values["batch_size"]) // 16, int(values["mesh.tensor"])
    if values["mesh.data"] in self._fails:
      raise RuntimeError("the compiler crashed\nat length")
    return {
      "bytes": {"together": (3 + rows / tensor) * _GIB, "HBM": 16 * _GIB},
      "examples": 16 * rows,
      # Weights are read once a step; sharing heads costs.
      "least_step_seconds": 0.1 + 0.1 * rows * tensor**0.5,
      "longest": "compute",
      "advice": "compute: much",
      "text": "not kept",
    }


_SPACE = ("data=1,2", "tensor=1,2", "remat=mlp_out", "rows=16,4,8")


def _run(cfg, path, compiler, lines=None):
  return search.run(
    _candidates(cfg, *_SPACE),
    compiler,
    search.Journal(path, _FACTS),
    reserve=2 * _GIB,
    report=(lines if lines is not None else []).append,
  )


def test_the_fastest_that_fits(cfg, tmp_path):
  compiler, lines = _Compiler(fails="2"), []
  rows = _run(cfg, tmp_path / "s.jsonl", compiler, lines)
  # Without sharing 16 a chip do not fit; where one fails no larger is tried.
  assert len(rows) == 3 + 3 + 1 + 1
  assert len(lines) == 8
  assert lines[0].startswith("[1/12] batch_size=64 mesh.dcn=1 mesh.data=1 ")
  assert "7.00 GiB, 7.81 ms an example; at most 0 min left" in lines[0]
  assert "the compiler crashed; at most" in lines[-2]
  assert "left" not in lines[-1]
  best = search.ranked(rows, 2 * _GIB)
  settings = [row["set"][0:5:4] for row in best]
  assert settings[0] == ["batch_size=128", "mesh.tensor=1"]
  assert ["batch_size=256", "mesh.tensor=1"] not in settings
  assert ["batch_size=256", "mesh.tensor=2"] in settings
  page = search.table(rows, 2 * _GIB)
  assert page.count("does not fit") == 1
  assert page.count("the compiler crashed") == 2
  assert "\nbest: --set batch_size=128 mesh.dcn=1" in page


def test_some_memory_is_left():
  row = {"bytes": {"together": 14 * _GIB, "HBM": 16 * _GIB}}
  assert search.fits(row, 2 * _GIB)
  assert not search.fits(row, 2 * _GIB + 1)
  assert not search.fits({"error": "crashed"}, 0)


def test_nothing_fits(cfg, tmp_path):
  rows = _run(cfg, tmp_path / "s.jsonl", _Compiler(fails="12"))
  assert "nothing fits" in search.table(rows, 0)


def test_a_search_goes_on(cfg, tmp_path):
  path, straight = tmp_path / "s.jsonl", tmp_path / "straight.jsonl"
  with pytest.raises(KeyboardInterrupt):
    _run(cfg, path, _Compiler(dies_at=3))
  with path.open("a") as file:
    file.write('{"set": ["batch_s')  # a kill in the middle of a line
  rest = _Compiler()
  rows = _run(cfg, path, rest)
  whole = _Compiler()
  expected = _run(cfg, straight, whole)
  assert len(rest.asked) == len(whole.asked) - 3

  def plain(found):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in found]

  assert plain(rows) == plain(expected)
  lines = [json.loads(line) for line in path.read_text().splitlines()]
  assert lines[0] == {"search": _FACTS}
  assert plain(lines[1:]) == plain(rows)
  again = _Compiler()
  assert _run(cfg, path, again) == rows
  assert not again.asked


def test_another_search_keeps_out(cfg, tmp_path):
  search.Journal(tmp_path / "s.jsonl", _FACTS)
  with pytest.raises(ValueError, match="of another search"):
    search.Journal(tmp_path / "s.jsonl", {"topology": "v5e:2x2"})
