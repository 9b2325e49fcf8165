"""Recipes on the released data: their operations, their parts, their levels."""

import contextlib
import os
import pathlib
import subprocess
import sys

import data_fakes
import numpy as np
import pytest

from hispatial_jax.core import config, metrics, tokenizer
from hispatial_jax.data import pipeline, reader, released
from hispatial_jax.pp import build, codec
from hispatial_jax.qa import released as types

_ROOT = pathlib.Path(__file__).parent.parent
_WORDS = data_fakes.Tokenizer()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
  """o365, ca1m and general, of the golden shards; coyo is not there."""
  folder = tmp_path_factory.mktemp("released")
  golden = pathlib.Path(__file__).parent / "golden" / "hispatial_data"
  for name in ("o365", "ca1m", "general"):
    kind = "wild" if name == "o365" else name
    shards = released.Shards(str(golden / f"{kind}-000000.tar"), kind)
    data_fakes.write(_Sound(shards), folder / name)
  return folder


class _Sound:
  """A source without the records that cannot be used."""

  def __init__(self, source):
    self._made = {}
    for name in source.splits["train"]:
      with contextlib.suppress(codec.BadInput):
        self._made[name] = source.make(name)
    self.splits = {"train": list(self._made)}
    self.make, self.describe = self._made.get, source.describe


def _recipe(data, **args):
  args = {"data": data, "px": 224, **args}
  text = ",".join(f"{key}={value}" for key, value in args.items())
  return config.load(str(_ROOT / "configs" / f"hispatial_3b.py:{text}"))


def _train(cfg, batch_size=40):
  return pipeline.train_iterator(
    cfg.data, tokenizer=_WORDS, batch_size=batch_size, seed=cfg.seed
  )


@pytest.mark.parametrize(
  "spec",
  [
    "hispatial_3b.py:levels=023",
    "ablation_levels.py:name=relative",
    "ablation_levels.py:name=rgb",
    "toy.py:source=wild",
    "toy.py:source=wild,points=False",
    "toy.py:points=False",
    "hispatial_3b_lora.py:rank=4,levels=023",
  ],
)
def test_the_operations_of_a_recipe(spec):
  data = config.load(str(_ROOT / "configs" / spec)).data.to_dict()
  parts = data.get("mixture", {"all": data}).values()
  for part in parts:
    chain = build.build(
      part["pp"], tokenizer=_WORDS, extra={"decode": reader.get_decode}
    )
    assert chain.max_questions in (1, 8)


def test_the_papers_mixture_of_what_is_there(data):
  cfg = _recipe(data, length=300)
  batches = _train(cfg)
  (note,) = batches.notes
  assert "left out: coyo (no records in " in note
  assert "ca1m 30.8 %, general 18.5 %, o365 50.8 %" in note
  batch = next(batches)
  assert batch["image"].shape == (40, 224, 224, 3)
  assert batch["text"].shape == (40, 300)
  for _ in range(4):
    next(batches)
  figures = batches.figures()
  assert figures["data/seen"] == 200
  assert figures["data/weight/coyo"] == 0
  # A CA-1M record without a question is a gap.
  used = sum(figures[f"data/part/{n}"] for n in ("ca1m", "o365", "general"))
  assert used == 200 - figures["data/empty/no_question"]
  assert figures["data/part/o365"] == pytest.approx(0.508 * 200, abs=20)
  assert figures["data/task/general"] == figures["data/part/general"]


@pytest.mark.parametrize(("digits", "levels"), [("03", {0, 3}), ("12", {1, 2})])
def test_levels(data, digits, levels):
  batches = _train(_recipe(data, levels=digits, length=300))
  for _ in range(3):
    next(batches)
  tasks = {
    key.removeprefix("data/task/")
    for key in batches.figures()
    if key.startswith("data/task/")
  }
  assert "general" in tasks
  for task in tasks - {"general", types.PIXEL}:
    kind = "wild" if task in types.WILD else "ca1m"
    # Of a type that nobody knows the level is not known either: it stays.
    assert types.level(kind, task) in levels | {types.UNKNOWN_LEVEL}, task
  assert (types.PIXEL in tasks) == (0 in levels)


def test_inputs(data):
  seen = {
    name: next(_train(_recipe(data, input=name, length=300)))
    for name in ("points", "relative", "rgb")
  }
  one = seen["points"]
  for name in ("relative", "rgb"):
    # The same questions, answered from the true points.
    np.testing.assert_array_equal(seen[name]["text"], one["text"])
  used = [name is not None for name in one["ids"]]
  xyz = seen["relative"]["points"]
  np.testing.assert_array_equal(xyz[..., 3], one["points"][..., 3])
  assert not xyz[..., :2].any()
  assert xyz[used, ..., 2].max() == 1
  assert not seen["rgb"]["points"].any()


def test_ablations_are_the_papers_run_but_for_their_name():
  path = str(_ROOT / "configs" / "ablation_levels.py")
  for name, same in (
    ("full", "steps=7"),
    ("without_0_1", "levels=23,steps=7"),
    ("without_1_2", "levels=03,steps=7"),
    ("rgb", "input=rgb,steps=7"),
  ):
    got = config.load(f"{path}:name={name},steps=7")
    want = config.load(str(_ROOT / "configs" / f"hispatial_3b.py:{same}"))
    assert got == want
  with pytest.raises(ValueError, match="did you mean 'without_0_1'"):
    config.load(f"{path}:name=witout_0_1")
  with pytest.raises(ValueError, match="digits"):
    config.load(f"{path}:levels=04")


def test_evaluation_on_what_is_there(data):
  cfg = _recipe(data, length=300)
  options = cfg.evals.val.to_dict()
  options = {k: options[k] for k in ("mixture", "split", "num_records")}
  with pytest.raises(FileNotFoundError, match=r"o365 .*no split 'val'"):
    pipeline.eval_batches(options, tokenizer=_WORDS, batch_size=4)
  options |= {"split": "train", "num_records": 3}
  found = pipeline.eval_batches(options, tokenizer=_WORDS, batch_size=4)
  qa = [(i, q) for b in found for i, q in zip(b["index"], b["qa"], strict=True)]
  qa = [(i, q) for i, q in qa if q is not None]
  # Three records of each part in turn: ca1m (one has no question), general,
  # o365.
  assert [i for i, _ in qa] == sorted({i for i, _ in qa})
  assert [i for i, q in qa if q["task"] == "general"] == [3, 4, 5]
  assert {i for i, _ in qa} >= {3, 4, 5, 6, 7, 8}
  assert "coyo" in found.notes[0]


@pytest.mark.slow
def test_the_toy_model_trains_on_released_records(data, tmp_path):
  root = tmp_path / "wild"
  root.mkdir()
  (root / "data").symlink_to(data / "o365")
  texts = ["what is the xyz of the pixel in 1.25m", "How wide is it?"] * 20
  tokenizer.train_small(texts, path=root / "tokenizer.model")
  command = [sys.executable, "-m", "hispatial_jax.train"]
  command += ["--config", f"configs/toy.py:source=wild,steps=4,root={root}"]
  done = subprocess.run(
    [*command, "--workdir", tmp_path / "run", "--config.log.every=1"],
    cwd=_ROOT,
    env={**os.environ, "JAX_NUMPY_DTYPE_PROMOTION": "strict"},
    capture_output=True,
    text=True,
    check=False,
    timeout=300,
  )
  assert done.returncode == 0, done.stderr
  rows = metrics.read(tmp_path / "run")
  assert [row["data/part/all"] for row in rows] == [8, 16, 24, 32]
  assert rows[-1]["train/loss"] < rows[0]["train/loss"]
