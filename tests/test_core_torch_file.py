"""Files of torch.save give plain values and arrays, and run nothing."""

import concurrent.futures
import io
import random
import sys
import zipfile

import numpy as np
import pytest
import released_fakes
import torch

from hispatial_jax.core import torch_file


def test_plain_values_and_tensors_come_back():
  content = {
    "a": [1, 2.5, None, True, "text", b"bytes"],
    "b": (1, {"c": {3, 4}}),
    7: torch.arange(6.0).reshape(2, 3),
  }
  found = torch_file.load(released_fakes.saved(content))
  tensor = found.pop(7)
  assert torch.equal(tensor, content.pop(7))
  assert found == content


_ARRAYS = [
  np.arange(6, dtype=">f8").reshape(2, 3).T,
  np.arange(6, dtype=np.uint8),
  np.array([True, False]),
  np.array(["a", "bcd"]),
  np.array([], np.int64),
  np.array(3.5),
  np.float32(1.5),
  np.float16(-2),
  np.int64(-9),
  np.bool_(True),
  np.str_("text"),
]


@pytest.mark.parametrize("array", _ARRAYS, ids=repr)
@pytest.mark.parametrize("core", ["numpy._core", "numpy.core"])
@pytest.mark.parametrize("zipped", [True, False])
def test_numpy_comes_back(array, core, zipped):
  data = released_fakes.saved(
    {"x": array}, _use_new_zipfile_serialization=zipped
  )
  if core == "numpy.core":
    data = _renamed(data, zipped)
  found = torch_file.load(data)["x"]
  assert isinstance(found, np.ndarray | np.generic)
  assert found.dtype == array.dtype.newbyteorder("=")
  np.testing.assert_array_equal(found, array)


def _renamed(data, zipped):
  """As a numpy before 2.0 would have said it."""
  new, old = b"numpy._core.multiarray", b"numpy.core.multiarray"
  if not zipped:
    return data.replace(new, old)
  out = io.BytesIO()
  with (
    zipfile.ZipFile(io.BytesIO(data)) as before,
    zipfile.ZipFile(out, "w") as after,
  ):
    for info in before.infolist():
      content = before.read(info)
      assert not info.filename.endswith("data.pkl") or new in content
      after.writestr(info.filename, content.replace(new, old))
  return out.getvalue()


def test_an_array_of_objects_holds_plain_values():
  array = np.array([{"a": 1}, None, "b"], dtype=object)
  found = torch_file.load(released_fakes.saved(array))
  assert found.tolist() == array.tolist()


def test_what_would_run_is_refused(tmp_path):
  mark = tmp_path / "mark"
  for content in (
    released_fakes.Bomb(mark),
    {"x": [1, released_fakes.Bomb(mark)]},
    np.array([released_fakes.Bomb(mark)], dtype=object),
  ):
    for zipped in (True, False):
      data = released_fakes.saved(
        content, _use_new_zipfile_serialization=zipped
      )
      with pytest.raises(torch_file.Refused, match=r"than tensors \(\S*open\)"):
        torch_file.load(data)
      (tmp_path / "bomb.pt").write_bytes(data)
      with pytest.raises(torch_file.Refused):
        torch_file.load(tmp_path / "bomb.pt", mmap=zipped)
  assert not mark.exists()


@pytest.mark.parametrize(
  ("content", "named"),
  [
    (len, "len"),
    (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
    (np.datetime64("2020-01-01"), "dtype 'M8'"),
    (np.zeros(2, [("a", "i4"), ("b", "O")]), "dtype 'V"),
  ],
)
def test_other_objects_are_refused_by_name(content, named):
  with pytest.raises(torch_file.Refused) as error:
    torch_file.load(released_fakes.saved(content))
  assert named in str(error.value)
  assert "\n" not in str(error.value)
  assert "weights_only" not in str(error.value)


def test_an_array_cannot_claim_more_than_it_has():
  state = (1, (10**9, 10**9), torch_file._Dtype("f8"), False, b"12345678")
  with pytest.raises(Exception, match="not of its shape"):
    torch_file._Array().__setstate__(state)


def test_a_tensor_cannot_claim_more_than_it_has():
  wide = torch.zeros(1).expand(10**6, 10**6)
  found = torch_file.load(released_fakes.saved(wide))
  with pytest.raises(ValueError, match="holds 1 numbers"):
    torch_file.as_array(found)


def test_an_archive_may_not_unpack_to_more():
  data, out = released_fakes.saved(torch.zeros(10**6)), io.BytesIO()
  with (
    zipfile.ZipFile(io.BytesIO(data)) as before,
    zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as after,
  ):
    for info in before.infolist():
      after.writestr(info.filename, before.read(info))
  assert len(out.getvalue()) < 10**5
  with pytest.raises(torch_file.Refused, match="unpack to 4000"):
    torch_file.load(out.getvalue())


def test_damage_is_one_clear_error(tmp_path):
  whole = released_fakes.saved({"x": _ARRAYS, "t": torch.arange(9)})
  rng = random.Random(0)
  messages = []
  for trial in range(400):
    data = bytearray(whole[: rng.randrange(len(whole)) if trial % 2 else None])
    for _ in range(4 if trial % 2 == 0 else 0):
      data[rng.randrange(len(data))] = rng.randrange(256)
    try:
      torch_file.load(bytes(data))
    except (torch_file.Refused, torch_file.Damaged) as error:
      messages.append(str(error))
  assert len(messages) > 200
  assert not any("\n" in text for text in messages)
  old = released_fakes.saved(1.5, _use_new_zipfile_serialization=False)
  cut = old[: old.index(b"G?\xf8") + 4]  # inside a number
  for data in (cut, b"", b"abc", b"PK\3\4", whole[:-20]):
    with pytest.raises(
      torch_file.Damaged, match="not a whole file of torch"
    ) as e:
      torch_file.load(data)
    assert "internal miniz error" not in str(e.value)
  with pytest.raises(OSError, match=r"none\.pt"):
    torch_file.load(tmp_path / "none.pt")


def test_threads_do_not_disturb_each_other():
  data = released_fakes.saved({"x": np.arange(1000)})
  before = torch.serialization.get_safe_globals()
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    for found in pool.map(torch_file.load, [data] * 400):
      assert found["x"][999] == 999
  assert set(torch.serialization.get_safe_globals()) == set(before)


def test_as_array():
  for tensor, dtype in (
    (torch.ones(2, dtype=torch.bfloat16), np.float32),
    (torch.ones(2, dtype=torch.float16, requires_grad=True), np.float16),
    (torch.ones(2, dtype=torch.bool), np.bool_),
  ):
    found = torch_file.as_array(tensor)
    assert isinstance(found, np.ndarray)
    assert found.dtype == dtype
    assert found.tolist() == [1, 1]
  assert torch_file.as_array([[1, 2]]).shape == (1, 2)
  for wrong in (
    "text",
    [1, "a"],
    [[1], [2, 3]],
    None,
    torch.ones(2).to_sparse(),
  ):
    with pytest.raises(ValueError, match=r"expected|no array|inhomogeneous"):
      torch_file.as_array(wrong)


def test_without_torch_it_says_what_to_install(monkeypatch):
  data = released_fakes.saved([1])
  monkeypatch.setitem(sys.modules, "torch", None)
  with pytest.raises(ImportError, match=r"hispatial_jax\[convert\]"):
    torch_file.load(data)
  assert not torch_file.is_tensor(1)
