"""HiSpatial's weights.pt: read without unpickling, written as it was."""

import json
import os
import pickle
import shutil

import ml_dtypes
import numpy as np
import pytest
import weights_random

from hispatial_jax.weights import export, hispatial, lazy, paligemma, source

torch = pytest.importorskip("torch")


@pytest.fixture
def released(golden, tmp_path):
  """A folder laid out as the released model, and its tensors."""
  folder = tmp_path / "released"
  folder.mkdir()
  shutil.copyfile(
    golden / "hispatial_model" / "config.json", folder / "config.json"
  )
  with np.load(golden / "hispatial_model" / "weights.npz") as data:
    tensors = {n.removeprefix("weights/"): data[n] for n in data.files}
  _save(tensors, folder / "weights.pt")
  return folder, tensors


def _save(tensors, path):
  torch.save({n: torch.from_numpy(x) for n, x in tensors.items()}, path)


def test_projector_splits_and_depth_encoder_is_the_point_map(released):
  folder, tensors = released
  params, config = source.load(folder)
  both = tensors["multi_modal_projector.linear.weight"].T
  D = both.shape[0] // 2
  np.testing.assert_array_equal(params["img"]["head"]["kernel"], both[:D])
  np.testing.assert_array_equal(params["pointmap"]["head"]["kernel"], both[D:])
  conv = tensors["depth_encoder.conv.weight"].transpose(2, 3, 1, 0)
  found = params["pointmap"]["embedding"]["kernel"]
  np.testing.assert_array_equal(found, conv)
  assert config["pointmap"]["num_freqs"] == 32
  assert config["llm"]["query_scale"] == 16**-0.5
  assert config["img"]["image_size"] == 56


@pytest.mark.parametrize("kind", ["hispatial", "hispatial-safetensors"])
def test_export_is_the_file_again(kind, released, tmp_path):
  folder, tensors = released
  export.save(tmp_path / "out", source.open(folder), kind)
  if kind == "hispatial":
    found = hispatial.read(tmp_path / "out" / "weights.pt")
  else:
    from hispatial_jax.weights import safetensors

    found = dict(safetensors.read(tmp_path / "out"))
    found[paligemma.LM_HEAD] = found[paligemma.EMBEDDING]
  assert found.keys() == tensors.keys()
  for name, x in tensors.items():
    np.testing.assert_array_equal(np.asarray(found[name]), x, err_msg=name)
  assert source.open(tmp_path / "out").config == source.open(folder).config


def test_bfloat16_survives(tmp_path):
  cfg = weights_random.config()
  params = weights_random.params(cfg, dtype=ml_dtypes.bfloat16)
  arrays = {name: lazy.of(x) for name, x in params.items()}
  found = source.Checkpoint(arrays, cfg, "npz")
  export.save(tmp_path / "out", found, "hispatial")
  again = source.open(tmp_path / "out")
  assert export.difference(found, again) == (0, "")
  assert {x.dtype for x in again.params.values()} == {np.dtype("bfloat16")}


class _Evil:
  def __init__(self, path):
    self.path = str(path)

  def __reduce__(self):
    return (os.mkdir, (self.path,))


def test_a_malicious_pickle_is_refused_and_not_executed(released, tmp_path):
  folder, tensors = released
  trap = tmp_path / "executed"
  content = {n: torch.from_numpy(x) for n, x in tensors.items()}
  torch.save({**content, "x": _Evil(trap)}, folder / "weights.pt")
  with pytest.raises(ValueError, match=r"weights\.pt: refused"):
    source.open(folder)
  (folder / "weights.pt").write_bytes(pickle.dumps(_Evil(trap)))
  with pytest.raises(ValueError, match=r"weights\.pt"):
    source.open(folder)
  assert not trap.exists()


def test_other_content_is_one_clear_error(released):
  folder, _ = released
  path = folder / "weights.pt"
  whole = path.read_bytes()
  for content in (b"", b"nothing", whole[: len(whole) // 2]):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"weights\.pt: "):
      source.open(folder)
  torch.save([1, 2], path)
  with pytest.raises(ValueError, match="holds a list, expected a dict"):
    source.open(folder)
  torch.save({"a": torch.ones(1), "step": 3, "lr": "x"}, path)
  with pytest.raises(ValueError, match=r"no tensors: \['step', 'lr'\]"):
    source.open(folder)


def test_all_offenders_are_listed(released):
  folder, tensors = released
  norm = "language_model.model.norm.weight"
  bias = "depth_encoder.conv.bias"
  del tensors[norm]
  tensors["depth_encoder.conv.bia"] = tensors.pop(bias)
  name = "multi_modal_projector.linear.bias"
  tensors[name] = tensors[name][:-1]
  _save(tensors, folder / "weights.pt")
  with pytest.raises(ValueError, match="2 missing, 1 extra, 1 of") as error:
    source.open(folder)
  message = str(error.value)
  assert f"-missing {norm}" in message
  assert f"-missing {bias} [32] (nearest: depth_encoder.conv.bia)" in message
  assert f"~shape {name}: expected [48], got [47]" in message


def test_an_untied_output_table_is_refused(released):
  folder, tensors = released
  tensors[paligemma.LM_HEAD] = tensors[paligemma.LM_HEAD] + 1
  _save(tensors, folder / "weights.pt")
  with pytest.raises(ValueError, match=r"lm_head\.weight differs from"):
    source.open(folder)


def test_config_json_is_needed_and_checked(released):
  folder, _ = released
  config = json.loads((folder / "config.json").read_text())
  del config["text_config"]["num_key_value_heads"]
  (folder / "config.json").write_text(json.dumps(config))
  with pytest.raises(ValueError, match=r"lacks text_config\.num_key_value_h"):
    source.open(folder)
  (folder / "config.json").write_text("{nothing")
  with pytest.raises(ValueError, match=r"config\.json: not a config"):
    source.open(folder)
  (folder / "config.json").unlink()
  with pytest.raises(FileNotFoundError, match="--config-from"):
    source.open(folder)
