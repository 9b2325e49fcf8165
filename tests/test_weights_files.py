"""npz and safetensors: exact, streamed, and told apart from damaged ones."""

import json

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from hispatial_jax.weights import lazy, npz
from hispatial_jax.weights import safetensors as ours

_DTYPES = [np.float32, np.float16, ml_dtypes.bfloat16]


def _arrays(dtype=np.float32):
  rng = np.random.default_rng(0)
  shapes = {"a/kernel": (3, 4, 5), "a/scale": (7,), "b": (), "c": (0, 2)}
  return {n: rng.standard_normal(s).astype(dtype) for n, s in shapes.items()}


def _lazy(arrays):
  return {name: lazy.of(x) for name, x in arrays.items()}


def _same(found, arrays):
  assert found.keys() == arrays.keys()
  for name, x in arrays.items():
    assert found[name].dtype == x.dtype
    np.testing.assert_array_equal(np.asarray(found[name]), x)


@pytest.mark.parametrize("dtype", _DTYPES)
@pytest.mark.parametrize("block_bytes", [1 << 26, 16])
def test_npz_is_big_visions(dtype, block_bytes, tmp_path, monkeypatch):
  monkeypatch.setattr(lazy, "_BLOCK_BYTES", block_bytes)
  arrays, path = _arrays(dtype), tmp_path / "x.npz"
  npz.write(path, _lazy(arrays))
  _same(npz.read(path), arrays)
  with np.load(path) as found:
    for name, x in arrays.items():
      raw = found[f"params/{name}"]
      if dtype == ml_dtypes.bfloat16:
        assert raw.dtype.str == "|V2"
        raw = raw.view(ml_dtypes.bfloat16)
      np.testing.assert_array_equal(raw, x)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("root", ["", "params/"])
def test_npz_of_numpy_is_read(save, root, tmp_path):
  arrays = _arrays()
  arrays["fortran"] = np.asfortranarray(arrays["a/kernel"][0])
  save(tmp_path / "x.npz", **{root + name: x for name, x in arrays.items()})
  _same(npz.read(tmp_path / "x.npz"), arrays)


def test_npz_with_optimizer_gives_its_parameters(tmp_path):
  x = np.ones(2, np.float32)
  np.savez(tmp_path / "x.npz", **{"params/a": x, "opt/0/mu/a": x, "chrono": x})
  assert list(npz.read(tmp_path / "x.npz")) == ["a"]


def test_damaged_npz_is_one_clear_error(tmp_path):
  path = tmp_path / "x.npz"
  npz.write(path, _lazy(_arrays()))
  whole = path.read_bytes()
  for content in (b"", b"no zip", whole[: len(whole) // 2], whole[:-10]):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.npz: not a whole npz file"):
      npz.read(path)
  np.savez(path, a=np.array([{}], dtype=object))
  with pytest.raises(ValueError, match="refused, it holds objects"):
    npz.read(path)
  np.savez(path)
  with pytest.raises(ValueError, match="without arrays"):
    npz.read(path)


@pytest.mark.parametrize("dtype", _DTYPES)
def test_safetensors_are_the_librarys(dtype, tmp_path):
  arrays, path = _arrays(dtype), tmp_path / "x.safetensors"
  ours.write_file(path, _lazy(arrays))
  _same(ours.read(path), arrays)
  if dtype != ml_dtypes.bfloat16:
    _same(safetensors.numpy.load_file(path), arrays)
    safetensors.numpy.save_file(arrays, path)
    _same(ours.read(path), arrays)


def test_shards_follow_the_limit_and_are_indexed(tmp_path):
  arrays = _arrays()
  ours.write_folder(tmp_path, _lazy(arrays), max_bytes=250)
  index = json.loads((tmp_path / ours.INDEX).read_text())
  assert index["metadata"]["total_size"] == sum(
    x.nbytes for x in arrays.values()
  )
  assert set(index["weight_map"]) == set(arrays)
  assert len(list(tmp_path.glob("model-0000?-of-00002.safetensors"))) == 2
  _same(ours.read(tmp_path), arrays)
  (tmp_path / "model-00002-of-00002.safetensors").unlink()
  with pytest.raises(FileNotFoundError, match=r"missing.*00002-of-00002"):
    ours.read(tmp_path)


def test_damaged_safetensors_are_one_clear_error(tmp_path):
  path = tmp_path / "x.safetensors"
  ours.write_file(path, _lazy(_arrays()))
  whole = path.read_bytes()
  for size in (0, 5, 60, len(whole) - 1):
    path.write_bytes(whole[:size])
    with pytest.raises(ValueError, match=r"x\.safetensors"):
      ours.read(path)
  path.write_bytes(whole[:-1])
  with pytest.raises(ValueError, match="truncated"):
    ours.read(path)
  path.write_bytes(b"\x05" + b"\0" * 7 + b"nope!" + whole)
  with pytest.raises(ValueError, match="no safetensors header"):
    ours.read(path)


def test_casting_rounds_and_never_overflows_silently():
  x = {
    "a": lazy.of(np.array([1.0, 1e6], np.float32)),
    "i": lazy.of(np.arange(3)),
  }
  found = lazy.cast(x, "bfloat16")
  assert found["a"].dtype == ml_dtypes.bfloat16
  assert found["i"].dtype == np.arange(3).dtype
  assert float(np.asarray(found["a"])[0]) == 1
  with pytest.raises(ValueError, match="a holds numbers too large for float16"):
    np.asarray(lazy.cast(x, "float16")["a"])
  with pytest.raises(ValueError, match="dtype is 'int8'"):
    lazy.cast(x, "int8")


def test_difference_sees_nan_and_size():
  a, b = np.zeros((4, 3), np.float32), np.zeros((4, 3), ml_dtypes.bfloat16)
  b[2, 1] = 0.5
  assert lazy.difference(lazy.of(a), lazy.of(b)) == 0.5
  a[0, 0] = np.nan
  assert np.isnan(lazy.difference(lazy.of(a), lazy.of(b)))
  assert lazy.difference(lazy.of(a), lazy.of(a)) == 0
