"""Where parameters come from; what each recipe trains."""

import pathlib
import types

import jax
import ml_collections
import numpy as np
import pytest

from hispatial_jax import program, start
from hispatial_jax.core import config, layouts, mesh, npz, optim, rundir, tree
from hispatial_jax.models import sizes
from hispatial_jax.weights import adapters

_ROOT = pathlib.Path(__file__).parent.parent
_SIGLIP = 413_327_088  # without its head: golden/big_vision/FORMAT.md


@pytest.fixture(scope="module")
def made():
  """(model config, optimizer, layout, random parameters on the host)."""
  cfg = config.load(str(_ROOT / "tests" / "train_config.py"))
  model_cfg = {**cfg.model.to_dict(), "image_sees_text": True}
  model_cfg["llm"]["vocab_size"] = 64
  shapes = sizes.param_shapes(model_cfg)
  opt = optim.build(cfg.optim, shapes, total_steps=5)
  grid = mesh.make(devices=jax.devices()[:1])
  layout, _ = program.lay_out(cfg.mesh, shapes, opt, grid)
  state = start.initial_state("", 0, model_cfg, opt, layout)
  return model_cfg, opt, layout, jax.device_get(state["params"])


def _other(params):
  """Other values in the same shapes."""
  rng = np.random.default_rng(1)
  draw = lambda x: rng.normal(size=x.shape).astype(x.dtype)  # noqa: E731
  return jax.tree.map(draw, params)


def test_from_an_npz(made, tmp_path):
  model_cfg, opt, layout, params = made
  wanted = _other(params)
  npz.save(tmp_path / "p.npz", wanted)
  rundir.save_config(tmp_path, {"model": model_cfg})
  got = start.initial_state(tmp_path / "p.npz", 0, model_cfg, opt, layout)
  jax.tree.map(np.testing.assert_array_equal, got["params"], wanted)
  assert int(got["step"]) == 0


def test_paligemma_gets_a_point_map_whose_head_is_zero(made, tmp_path):
  model_cfg, opt, layout, params = made
  wanted = _other(params)
  fusion = wanted.pop("pointmap")
  npz.save(tmp_path / "p.npz", wanted)
  plain = {**model_cfg, "pointmap": None}
  rundir.save_config(tmp_path, {"model": plain})
  got = start.initial_state(tmp_path / "p.npz", 0, model_cfg, opt, layout)
  got = jax.device_get(got["params"])
  pointmap = got.pop("pointmap")
  jax.tree.map(np.testing.assert_array_equal, got, wanted)
  assert not pointmap["head"]["kernel"].any()
  assert pointmap["embedding"]["kernel"].any()
  assert tree.flatten(pointmap).keys() == tree.flatten(fusion).keys()


def test_checkpoint_of_another_size_lists_all_names(made, tmp_path):
  model_cfg, opt, layout, params = made
  small = {**model_cfg, "llm": {**model_cfg["llm"], "mlp_dim": 24}}
  shapes = sizes.param_shapes(small)
  zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
  npz.save(tmp_path / "p.npz", zeros)
  rundir.save_config(tmp_path, {"model": small})
  with pytest.raises(ValueError, match="2 of another shape") as error:
    start.initial_state(tmp_path / "p.npz", 0, model_cfg, opt, layout)
  assert "llm/layers/mlp/gating_einsum" in str(error.value)
  assert "llm/layers/mlp/linear" in str(error.value)
  assert params is not None


def test_a_tokenizer_too_large_for_the_model():
  class Words:
    vocab_size = 100

  cfg = ml_collections.ConfigDict({"llm": {"vocab_size": 64}})
  with pytest.raises(ValueError, match=r"vocab_size=64.* has 100 words"):
    start.model_config(config.Watched(cfg), Words)
  cfg.llm.vocab_size = 0
  filled = start.model_config(config.Watched(cfg), Words)
  assert filled == {"llm": {"vocab_size": 100}}


def _recipes():
  names = sorted(path.name for path in (_ROOT / "configs").glob("*.py"))
  names.remove("common.py")
  return [*names, "toy.py:lora=8"]


@pytest.mark.parametrize("name", _recipes())
def test_every_recipe_is_locked_and_fits_its_model(name):
  cfg = config.load(str(_ROOT / "configs" / name))
  assert cfg.is_locked
  text = (_ROOT / "configs" / name.partition(":")[0]).read_text()
  assert f"--config configs/{name}" in text
  model_cfg = cfg.model.to_dict()
  model_cfg["llm"]["vocab_size"] = model_cfg["llm"]["vocab_size"] or 512
  shapes = sizes.param_shapes(model_cfg)
  opt = optim.build(cfg.optim, shapes, total_steps=cfg.total_steps)
  grid = mesh.make(devices=jax.devices()[:1])
  program.lay_out(cfg.mesh, shapes, opt, grid)


def test_the_run_of_adapters_trains_them_and_the_heads():
  cfg = config.load(str(_ROOT / "configs" / "hispatial_3b_lora.py"))
  assert cfg.batch_size == 2 * cfg.optim.accumulate
  shapes = sizes.param_shapes(cfg.model.to_dict())
  opt = optim.build(cfg.optim, shapes, total_steps=cfg.total_steps)
  trained = tree.flatten(opt.split(shapes)[0])
  own = {n: x for n, x in trained.items() if adapters.is_adapter(n)}
  assert sum(x.size for x in own.values()) == 20_766_720
  assert sum(x.size for x in trained.values()) == 69_656_448
  assert {"/".join(n.split("/")[:2]) for n in trained.keys() - own} == {
    "img/head",
    "pointmap/embedding",
    "pointmap/head",
  }
  # Of a pod's chips each holds the small ones whole.
  sizes_of = {"dcn": 1, "data": 1, "fsdp": 16, "tensor": 1}
  grid = types.SimpleNamespace(shape=sizes_of)
  specs = layouts.specs(own, cfg.mesh.rules, grid, min_bytes=cfg.mesh.min_bytes)
  split = {n for n, s in tree.flatten(specs).items() if "fsdp" in s}
  assert split == {n for n, x in own.items() if x.size * 4 > 4 << 20} != set()


def test_the_papers_run_trains_all_but_siglip():
  cfg = config.load(str(_ROOT / "configs" / "hispatial_3b.py"))
  shapes = sizes.param_shapes(cfg.model.to_dict())
  opt = optim.build(cfg.optim, shapes, total_steps=cfg.total_steps)
  size = lambda part: sum(x.size for x in jax.tree.leaves(part))  # noqa: E731
  trained, frozen = opt.split(shapes)
  assert size(frozen) == _SIGLIP
  assert size(trained) + _SIGLIP == 3_079_212_912
  decayed = tree.flatten(optim.decayed(trained, cfg.optim.no_decay))
  assert sorted(n.split("/")[-1] for n, hit in decayed.items() if not hit) == (
    ["bias"] * 2 + ["scale"] * 5
  )
