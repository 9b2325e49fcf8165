"""PaliGemma-2 folders: what we write, transformers loads and computes alike."""

import jax
import numpy as np
import pytest
import weights_random

from hispatial_jax.core import tree
from hispatial_jax.models import hispatial, sizes
from hispatial_jax.weights import (
  configs,
  export,
  lazy,
  paligemma,
  safetensors,
  source,
)


def _checkpoint(cfg, params):
  arrays = {name: lazy.of(x) for name, x in params.items()}
  return source.Checkpoint(arrays, cfg, "npz")


def _our_logits(cfg, params, image, text):
  with jax.default_matmul_precision("highest"):
    logits, _ = hispatial.Model(**cfg).apply(
      {"params": tree.unflatten(params)}, image, None, text, np.zeros_like(text)
    )
  return np.asarray(logits)


# A query scale that is not that of the head's width, as in the 27B.
@pytest.mark.slow
@pytest.mark.parametrize("llm", [{}, {"query_scale": 4**-0.5, "head_dim": 4}])
def test_transformers_loads_it_and_gives_the_same_logits(llm, tmp_path):
  torch = pytest.importorskip("torch")
  transformers = pytest.importorskip("transformers")
  # Without final softcap: transformers 4.50 applies it here, 4.57 does not.
  cfg = weights_random.config(pointmap=False, final_softcap=None, **llm)
  params = weights_random.params(cfg)
  export.save(tmp_path / "hf", _checkpoint(cfg, params), "huggingface")
  model, info = transformers.PaliGemmaForConditionalGeneration.from_pretrained(
    tmp_path / "hf", attn_implementation="eager", output_loading_info=True
  )
  assert not info["missing_keys"]
  assert not info["unexpected_keys"]
  rng = np.random.default_rng(0)
  image = rng.uniform(-1, 1, (2, 28, 28, 3)).astype(np.float32)
  text = rng.integers(3, 50, (2, 7)).astype(np.int32)
  ids = np.concatenate([np.full((2, 4), 50), text], axis=1)
  with torch.no_grad():
    found = model(
      input_ids=torch.from_numpy(ids).long(),
      pixel_values=torch.from_numpy(image.transpose(0, 3, 1, 2).copy()),
      attention_mask=torch.ones(ids.shape),
    ).logits.numpy()
  want = _our_logits(cfg, params, image, text)
  assert np.abs(want).max() > 0.5
  np.testing.assert_allclose(found[:, 4:, :50], want, atol=2e-5)
  # And what transformers itself saves comes in again.
  model.save_pretrained(tmp_path / "theirs", max_shard_size="20KB")
  again = source.open(tmp_path / "theirs")
  gap = export.difference(_checkpoint(cfg, params), again)
  assert gap == (0, "")


def _write(folder, theirs, cfg, surplus=0):
  folder.mkdir()
  safetensors.write_folder(folder, theirs)
  config = configs.to_huggingface(cfg, surplus)
  export.write_json(folder / "config.json", config)


def _theirs(cfg, params, surplus=0):
  from hispatial_jax.weights import rename

  arrays = {name: lazy.of(x) for name, x in params.items()}
  return rename.to_theirs(arrays, paligemma.ROWS, surplus)


def test_old_and_new_prefixes_are_one(tmp_path):
  cfg = weights_random.config(pointmap=False)
  params = weights_random.params(cfg)
  renamed = {}
  for name, x in _theirs(cfg, params).items():
    new = name.replace("language_model.model.", "model.language_model.")
    renamed[new if new != name else f"model.{name}"] = x
  renamed["lm_head.weight"] = renamed[
    "model.language_model.embed_tokens.weight"
  ]
  buffer = "model.vision_tower.vision_model.embeddings.position_ids"
  renamed[buffer] = lazy.of(np.zeros((1, 4), np.float32))
  _write(tmp_path / "new", renamed, cfg)
  found = source.open(tmp_path / "new")
  assert export.difference(_checkpoint(cfg, params), found) == (0, "")
  with pytest.raises(ValueError, match="twice, with old and new prefix"):
    paligemma.canonical({**renamed, **_theirs(cfg, params)})


def test_surplus_rows_of_the_released_vocabulary(tmp_path, monkeypatch):
  monkeypatch.setattr(paligemma, "VOCAB_SIZE", 50)
  cfg = weights_random.config(pointmap=False)
  params = weights_random.params(cfg)
  export.save(tmp_path / "hf", _checkpoint(cfg, params), "huggingface")
  table = safetensors.read(tmp_path / "hf")[paligemma.EMBEDDING]
  assert table.shape == (50 + 64, 16)
  found = source.open(tmp_path / "hf")
  assert found.config["llm"]["vocab_size"] == 50
  assert export.difference(_checkpoint(cfg, params), found) == (0, "")


def test_names_of_another_model_are_all_listed(tmp_path):
  cfg = weights_random.config(pointmap=False)
  theirs = _theirs(cfg, weights_random.params(cfg))
  name = "language_model.model.layers.2.mlp.up_proj.weight"
  theirs["language_model.model.layers.2.mlp.up_proj.weigh"] = theirs.pop(name)
  theirs.pop("language_model.model.layers.0.input_layernorm.weight")
  _write(tmp_path / "hf", theirs, cfg)
  with pytest.raises(ValueError, match="2 missing, 1 extra, 0 of") as error:
    source.open(tmp_path / "hf")
  assert f"-missing {name} [20,16] (nearest: {name[:-1]})" in str(error.value)
  del theirs[paligemma.EMBEDDING]
  _write(tmp_path / "no", theirs, cfg)
  with pytest.raises(ValueError, match="not a PaliGemma-2 checkpoint: it has"):
    source.open(tmp_path / "no")


def test_config_goes_there_and_back():
  cfg = weights_random.config(pointmap=False, query_scale=4**-0.5)
  params = weights_random.params(cfg)
  shapes = {name: x.shape for name, x in _theirs(cfg, params).items()}
  found = configs.from_huggingface(configs.to_huggingface(cfg, 0), shapes)
  for key, value in cfg["llm"].items():
    assert found["llm"][key] == pytest.approx(value)
  assert found["img"].items() == cfg["img"].items()
  big = sizes.config("28b_448", pointmap=None)
  shapes = {
    n: x.shape for n, x in tree.flatten(sizes.param_shapes(big)).items()
  }
  scale = configs.from_shapes(shapes)["llm"]["query_scale"]
  assert scale == pytest.approx(144**-0.5)
  text = configs.to_huggingface(big, 64)["text_config"]
  assert text["query_pre_attn_scalar"] == pytest.approx(144)
  assert text["vocab_size"] == 257_216


@pytest.mark.parametrize("size", [42, 14])
def test_another_resolution_resamples_the_positions(size, tmp_path):
  cfg = weights_random.config(pointmap=False)
  params = weights_random.params(cfg)
  export.save(tmp_path / "x.npz", _checkpoint(cfg, params))
  found, config = source.load(tmp_path / "x.npz", image_size=size)
  table = found["img"]["pos_embedding"]
  side = size // 14
  assert table.shape == (1, side * side, 24)
  assert config["img"]["image_size"] == size
  old = params["img/pos_embedding"]
  # Aligned corners: corners stay, the middle of 3 is the mean of 4.
  np.testing.assert_allclose(table[0, 0], old[0, 0], atol=1e-6)
  if size == 42:
    np.testing.assert_allclose(table[0, 4], old[0].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(table[0, 8], old[0, 3], atol=1e-6)
