"""MoGe-2 checkpoints: the reference's names, three formats, no surprises."""

import json
import os
import zipfile

import golden_moge
import ml_dtypes
import numpy as np
import pytest

from hispatial_jax.core import tree
from hispatial_jax.moge import checkpoint, variants
from hispatial_jax.weights import export, lazy, moge, npz, rename, safetensors

_ENTRIES = {
  "moge-2-vits-normal": 337,
  "moge-2-vitb-normal": 337,
  "moge-2-vitl-normal": 521,
  "moge-2-vitl": 483,
}
_FILES = ("model.pt", "model.safetensors", "model.npz", "folder")


@pytest.fixture
def found(golden):
  """The fixture as a checkpoint."""
  theirs = {n: lazy.of(x) for n, x in golden_moge.state(golden).items()}
  config = golden_moge.config(golden)
  return checkpoint.adopt(theirs, config, "moge-pt", "golden")


def _torch():
  return pytest.importorskip("torch")


@pytest.mark.parametrize("name", variants.NAMES)
def test_state_dicts_have_the_released_entries(name):
  config = variants.config(name)
  shapes = {
    n: x.shape for n, x in tree.flatten(variants.param_shapes(config)).items()
  }
  table = moge.rows(config)
  assert rename.unnamed(shapes, table) == []
  theirs = rename.their_shapes(shapes, table)
  assert len(theirs) + len(moge.BUFFERS) == _ENTRIES[name]
  width = config["encoder"]["dim_out"]
  qkv = theirs["encoder.backbone.blocks.11.attn.qkv.weight"]
  assert qkv == (3 * width, width)
  up = theirs["neck.resamplers.0.0.weight"]
  assert up == (width, 256, 2, 2)
  assert theirs["encoder.backbone.pos_embed"] == (1, 1370, width)


def test_the_references_names_and_layouts(found, golden):
  state = golden_moge.state(golden)
  again = moge.to_theirs(found.params, found.config)
  assert again.keys() == state.keys()
  for name, x in state.items():
    np.testing.assert_array_equal(np.asarray(again[name]), x, err_msg=name)
  kernel = np.asarray(found.params["neck/level_0/resampler/conv_0/kernel"])
  want = state["neck.resamplers.0.0.weight"]
  np.testing.assert_array_equal(kernel, want.transpose(2, 3, 0, 1))
  qkv = np.asarray(found.params["encoder/backbone/blocks/attn/qkv/kernel"])
  want = state["encoder.backbone.blocks.2.attn.qkv.weight"]
  np.testing.assert_array_equal(qkv[2], want.T)


@pytest.mark.parametrize("name", _FILES)
def test_every_format_keeps_every_bit(name, found, tmp_path):
  if name == "model.pt":
    _torch()
  kind = "moge-safetensors" if name == "folder" else None
  checkpoint.save(tmp_path / name, found, kind)
  again = checkpoint.open(tmp_path / name)
  assert again.config == found.config
  assert export.difference(found, again) == (0, "")
  kinds = dict(
    zip(_FILES, (*checkpoint.FORMATS, "moge-safetensors"), strict=True)
  )
  assert again.format == kinds[name] == checkpoint.detect(tmp_path / name)
  # Written again from there, it is the same once more.
  checkpoint.save(tmp_path / "again.npz", again)
  assert (
    export.difference(found, checkpoint.open(tmp_path / "again.npz"))[0] == 0
  )
  assert not list(tmp_path.glob(".partial*"))
  with pytest.raises(FileExistsError, match="is there already"):
    checkpoint.save(tmp_path / name, found, kind)


def test_model_pt_is_the_released_one(found, golden, tmp_path):
  torch = _torch()
  checkpoint.save(tmp_path / "model.pt", found)
  content = torch.load(tmp_path / "model.pt", weights_only=True)
  assert content.keys() == {"model_config", "model"}
  assert content["model_config"] == golden_moge.config(golden)
  state = golden_moge.state(golden)
  assert content["model"].keys() == state.keys()
  for name, x in state.items():
    np.testing.assert_array_equal(content["model"][name].numpy(), x)


def test_bfloat16_survives_and_buffers_stay_exact(found, tmp_path):
  _torch()
  checkpoint.save(tmp_path / "a.pt", found, dtype="bfloat16")
  config, params = checkpoint.load(tmp_path / "a.pt")
  leaves = tree.flatten(params)
  assert config == found.config
  assert {x.dtype for x in leaves.values()} == {np.dtype(ml_dtypes.bfloat16)}
  for name, x in leaves.items():
    want = np.asarray(found.params[name]).astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(x, want)
  _, exact = checkpoint.load(tmp_path / "a.pt", dtype="float32")
  assert {x.dtype for x in tree.flatten(exact).values()} == {
    np.dtype("float32")
  }


def test_npz_holds_text_and_arrays_only(found, tmp_path):
  checkpoint.save(tmp_path / "a.npz", found)
  with np.load(tmp_path / "a.npz", allow_pickle=False) as data:
    assert json.loads(str(data["model_config"])) == found.config
    assert set(data.files) == {
      "model_config",
      *(f"params/{n}" for n in found.params),
    }
  assert "model_config" not in npz.read(tmp_path / "a.npz")
  assert npz.text(tmp_path / "a.npz", "nothing") is None


def test_config_json_beside_serves_foreign_safetensors(found, tmp_path):
  theirs = moge.to_theirs(found.params, found.config)
  path = tmp_path / "model.safetensors"
  safetensors.write_file(path, theirs)
  with pytest.raises(FileNotFoundError, match="--config-from"):
    checkpoint.open(path)
  (tmp_path / "config.json").write_text("{nothing")
  with pytest.raises(ValueError, match=r"config\.json: not a config"):
    checkpoint.open(tmp_path)
  (tmp_path / "config.json").write_text(json.dumps(found.config))
  assert export.difference(found, checkpoint.open(tmp_path)) == (0, "")
  assert checkpoint.open(path, found.config).config == found.config


class _Evil:
  def __init__(self, path):
    self.path = str(path)

  def __reduce__(self):
    return (os.mkdir, (self.path,))


def test_a_malicious_pickle_is_refused_and_not_executed(found, tmp_path):
  torch = _torch()
  trap, path = tmp_path / "executed", tmp_path / "model.pt"
  torch.save({"model_config": _Evil(trap), "model": {}}, path)
  with pytest.raises(ValueError, match=r"model\.pt: refused, it holds more"):
    checkpoint.open(path)
  array = np.array([_Evil(trap)], dtype=object)
  np.savez(tmp_path / "a.npz", model_config=array, allow_pickle=True)
  with pytest.raises(ValueError, match="refused, it holds objects"):
    checkpoint.open(tmp_path / "a.npz")
  assert not trap.exists()


def test_all_offenders_are_listed(found, golden, tmp_path):
  state = golden_moge.state(golden)
  del state["encoder.backbone.norm.weight"]
  del state["encoder.image_std"]
  name = "neck.res_blocks.1.0.layers.2.bias"
  state["neck.res_blocks.1.0.layers.3.bias"] = state.pop(name)
  state["scale_head.4.bias"] = np.zeros(2, np.float32)
  theirs = {n: lazy.of(x) for n, x in state.items()}
  with pytest.raises(ValueError, match="3 missing, 1 extra, 1 of") as error:
    checkpoint.adopt(theirs, found.config, "moge-pt", "model.pt")
  message = str(error.value)
  assert message.startswith("model.pt does not fit its config")
  assert "-missing encoder.backbone.norm.weight [48]" in message
  assert "-missing encoder.image_std [1,3,1,1]" in message
  assert f"-missing {name} [20] (nearest: neck.res_blocks." in message
  assert "~shape scale_head.4.bias: expected [1], got [2]" in message


def test_other_colours_are_refused(found, golden):
  state = golden_moge.state(golden)
  state["encoder.image_mean"] = np.full((1, 3, 1, 1), 0.5, np.float32)
  theirs = {n: lazy.of(x) for n, x in state.items()}
  with pytest.raises(ValueError, match=r"image_mean is \[0\.5 0\.5 0\.5\]"):
    checkpoint.adopt(theirs, found.config, "moge-pt", "model.pt")
  half = {
    n: lazy.of(x.astype(np.float16))
    for n, x in golden_moge.state(golden).items()
  }
  assert checkpoint.adopt(half, found.config, "moge-pt", "model.pt").params


def test_other_content_is_one_clear_error(found, tmp_path):
  torch = _torch()
  with pytest.raises(FileNotFoundError, match="no such file or folder"):
    checkpoint.open(tmp_path / "no.pt")
  (tmp_path / "empty").mkdir()
  with pytest.raises(ValueError, match="no MoGe-2 checkpoint; expected"):
    checkpoint.open(tmp_path / "empty")
  torch.save({"a": torch.ones(2)}, tmp_path / "a.pt")
  assert checkpoint.detect(tmp_path / "a.pt") is None
  with pytest.raises(ValueError, match="no MoGe-2 checkpoint; expected"):
    checkpoint.open(tmp_path / "a.pt")
  content = {"model_config": found.config, "model": torch.ones(2)}
  torch.save(content, tmp_path / "b.pt")
  with pytest.raises(ValueError, match="model is a Tensor, expected a dict"):
    checkpoint.open(tmp_path / "b.pt")
  content = {"model_config": {"encoder": {}, "nek": {}}, "model": {}}
  torch.save(content, tmp_path / "c.pt")
  with pytest.raises(ValueError, match=r"key nek \(did you mean 'neck'\?\)"):
    checkpoint.open(tmp_path / "c.pt")
  checkpoint.save(tmp_path / "d.npz", found)
  whole = (tmp_path / "d.npz").read_bytes()
  (tmp_path / "d.npz").write_bytes(whole[: len(whole) // 2])
  with pytest.raises(ValueError, match="not a whole npz file"):
    checkpoint.open(tmp_path / "d.npz")
  with pytest.raises(ValueError, match="could be moge-pt, moge-safetensors"):
    checkpoint.save(tmp_path / "e", found)


def test_an_entry_too_much_in_npz_is_told(found, tmp_path):
  path = tmp_path / "a.npz"
  extra = {"neck/level_9/input/bias": lazy.of(np.zeros(3, np.float32))}
  npz.write(
    path,
    {**found.params, **extra},
    {"model_config": json.dumps(found.config)},
  )
  with pytest.raises(ValueError, match="0 missing, 1 extra") as error:
    checkpoint.open(path)
  assert "+extra neck/level_9/input/bias [3]" in str(error.value)
  assert zipfile.is_zipfile(path)
