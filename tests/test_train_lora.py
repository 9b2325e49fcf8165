"""A run of adapters: what moves, what it leaves, where it goes from there."""

import importlib
import pathlib
import shutil
import sys

import jax
import numpy as np
import pytest
import train_config
import train_driver
import weights_random

from configs import common
from hispatial_jax import predict, program, start, train
from hispatial_jax.core import mesh, npz, rundir, tokenizer, tree
from hispatial_jax.data import pipeline
from hispatial_jax.evaluation import checkpoint
from hispatial_jax.models import hispatial, sizes
from hispatial_jax.weights import adapters, source

_ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(_ROOT / "tools"))
convert_weights = importlib.import_module("convert_weights")

_TRAINED = ("img/head/", "pointmap/")


@pytest.fixture(scope="module", autouse=True)
def quick():
  """Most of the time is the compiler's, for programs that run for a blink."""
  jax.config.update("jax_disable_most_optimizations", True)
  yield
  jax.config.update("jax_disable_most_optimizations", False)


def _recipe(words, init):
  config = train_config.get_config(f"tokenizer={words},steps=4,batch=2")
  config.unlock()
  common.adapt(config, 2)
  config.init = str(init)
  config.model.llm.remat, config.model.llm.gate_apart = "mlp_out", True
  config.optim.frozen_dtype = "bfloat16"
  config.mesh.data, config.mesh.fsdp = 1, 1
  config.log.tensorboard = False
  return config.lock()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """(recipe, what it began with, its work directory after four steps)."""
  folder = tmp_path_factory.mktemp("lora")
  words = folder / "tokenizer.model"
  tokenizer.train_small(["how far is the red chair? 1.25 m"] * 50, path=words)
  cfg = _recipe(words, folder / "base.npz")
  model_cfg = cfg.model.to_dict()
  model_cfg["llm"].pop("lora")
  model_cfg["llm"]["vocab_size"] = tokenizer.load(words).vocab_size
  base = weights_random.params(model_cfg)
  npz.save(folder / "base.npz", tree.unflatten(base))
  _train(cfg, folder / "run")
  return cfg, base, folder / "run"


def _train(cfg, workdir):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(pipeline, "train_iterator", train_driver.Batches)
    return train.train(cfg, workdir)


def test_only_adapters_and_heads_change(run):
  _, base, workdir = run
  params = tree.flatten(rundir.load_params(workdir))
  new = {name for name in params if adapters.is_adapter(name)}
  assert len(new) == 10
  assert params.keys() - new == base.keys()
  for name, x in base.items():
    held = np.float32 if name.startswith(_TRAINED) else jax.numpy.bfloat16
    same = np.array_equal(params[name], x.astype(held))
    assert params[name].dtype == held, name
    assert same == (held is jax.numpy.bfloat16), name
  for name in new:
    assert params[name].any(), name


def test_only_they_have_moments(run):
  cfg, _, workdir = run
  model_cfg = rundir.load_config(workdir)["model"]
  grid = mesh.make(devices=jax.devices()[:1])
  made = program.build(cfg, model_cfg, grid)
  trained = tree.flatten(made.opt.split(made.shapes)[0])
  assert all(
    adapters.is_adapter(name) or name.startswith(_TRAINED) for name in trained
  )
  moments = [x for x in jax.tree.leaves(made.abstract["opt_state"]) if x.ndim]
  assert len(moments) == 2 * len(trained)


def test_it_goes_on_from_a_checkpoint(run, tmp_path):
  cfg, _, workdir = run
  shutil.copytree(workdir, tmp_path / "run")
  shutil.rmtree(tmp_path / "run" / "checkpoints" / "4")
  _train(cfg, tmp_path / "run")
  again, straight = map(rundir.load_params, (tmp_path / "run", workdir))
  jax.tree.map(np.testing.assert_array_equal, again, straight)


def _logits(config, params):
  rng = np.random.default_rng(0)
  batch = jax.tree.map(
    lambda x: (
      rng.normal(size=x.shape).astype(np.float32)
      if x.ndim == 4
      else rng.integers(3, 40, x.shape).astype(np.int32)
    ),
    sizes.example_batch(config, 2),
  )
  batch["mask_ar"][:] = np.arange(8) > 3
  model = hispatial.Model(**config)
  return np.asarray(jax.jit(model.apply)({"params": params}, **batch)[0])


def _exported(workdir, out, *more):
  assert convert_weights.main([str(workdir), str(out), "--verify", *more]) == 0
  return source.load(out)


def test_exported_it_says_the_same(run, tmp_path, capsys):
  _, base, workdir = run
  config = rundir.load_config(workdir)["model"]
  apart = _logits(config, rundir.load_params(workdir))
  params, plain = _exported(workdir, tmp_path / "out", "--to", "hispatial")
  assert tree.flatten(params).keys() == base.keys()
  np.testing.assert_allclose(_logits(plain, params), apart, atol=1e-5)
  # A step alone finds the run's config above it.
  step = workdir / "checkpoints" / "4"
  same, _ = _exported(step, tmp_path / "out.npz")
  jax.tree.map(np.testing.assert_array_equal, same, params)
  assert capsys.readouterr().out.count("round trip: 0\n") == 2
  words = tokenizer.load(workdir / "tokenizer.model")
  models = [
    predict.Predictor.load(workdir, max_new_tokens=4),
    predict.Predictor(plain, params, words, max_new_tokens=4),
  ]
  rgb = np.full((28, 28, 3), 99, np.uint8)
  one, other = (model.ask(rgb, "how far is the red chair?") for model in models)
  assert one.text == other.text
  assert one.logp == pytest.approx(other.logp, abs=1e-4)


def test_evaluation_reads_it_as_it_is(run):
  cfg, _, workdir = run
  words = tokenizer.load(workdir / "tokenizer.model")
  laid = cfg.mesh.to_dict()
  grid = mesh.make(devices=jax.devices()[:1])
  model = rundir.load_config(workdir)["model"]
  arguments, params = checkpoint.load(workdir, model, laid, words, grid)
  assert arguments["llm"]["lora"] == cfg.model.llm.lora.to_dict()
  whole = rundir.load_params(workdir)
  jax.tree.map(np.testing.assert_array_equal, params, whole)


def test_kept_apart_it_needs_its_config(run, tmp_path, capsys):
  _, _, workdir = run
  whole = tree.flatten(rundir.load_params(workdir))
  args = [str(workdir), str(tmp_path / "a.npz"), "--keep-adapters"]
  assert convert_weights.main(args) == 0
  assert set(npz.load(tmp_path / "a.npz")) == {"img", "llm", "pointmap"}
  out = str(tmp_path / "b.npz")
  assert convert_weights.main([args[1], out]) == 1
  assert "holds adapters, whose scale" in capsys.readouterr().err
  assert (
    convert_weights.main([*args[:1], str(tmp_path / "c.pt"), *args[2:]]) == 1
  )
  assert "no room for adapters" in capsys.readouterr().err
  shutil.copy(workdir / "config.json", tmp_path)
  assert convert_weights.main([args[1], out, "--keep-adapters"]) == 0
  again = tree.flatten(npz.load(tmp_path / "b.npz"))
  jax.tree.map(np.testing.assert_array_equal, again, whole)


def test_a_run_begins_with_another_ones_adapters(run):
  _, base, workdir = run
  config = rundir.load_config(workdir)["model"]
  found = source.open(workdir)
  assert adapters.fit(found, config) is found
  for other in ({**config["llm"]["lora"], "rank": 3}, {"rank": 0}):
    model_cfg = {**config, "llm": {**config["llm"], "lora": other}}
    shapes = sizes.param_shapes(model_cfg)
    params = jax.tree.map(lambda x: jax.numpy.full(x.shape, 7.0), shapes)
    flat = tree.flatten(start.load_into(params, workdir, model_cfg))
    # What the adapters learnt is in the weights; the new ones are untouched.
    name = "llm/layers/mlp/linear"
    np.testing.assert_array_equal(
      flat[name], np.asarray(adapters.merge(found).params[name])
    )
    assert not np.array_equal(flat[name], base[name])
    fresh = [x for n, x in flat.items() if adapters.is_adapter(n)]
    assert all(np.all(np.asarray(x) == 7) for x in fresh)
    assert len(fresh) == (10 if other["rank"] else 0)
