"""Devices in order; sums and rows; constraints only under a mesh."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hispatial_jax.core import mesh


def test_sizes_must_fill_the_devices():
  assert dict(mesh.make(devices=jax.devices()[:1]).shape) == {
    "dcn": 1,
    "data": 1,
    "fsdp": 1,
    "tensor": 1,
  }
  with pytest.raises(ValueError, match="does not fill 1 devices"):
    mesh.make(data=2, fsdp=3, devices=jax.devices()[:1])
  with pytest.raises(ValueError, match="at most one"):
    mesh.make(data=-1, fsdp=-1, devices=jax.devices()[:1])


class _Device:
  """Of a TPU that is not there."""

  platform, device_kind, core_on_chip = "tpu", "TPU v5 lite", 0

  def __init__(self, slice_index, process_index, *coords):
    self.slice_index, self.process_index = slice_index, process_index
    self.coords, self.id = (*coords, 0), (slice_index, *coords)


def _slices(count):
  """Slices of 2 x 4 chips, four chips a process."""
  return [
    _Device(n, 2 * n + y // 2, x, y)
    for y in range(4)
    for n in range(count)
    for x in range(2)
  ]


def test_a_pod_of_several_slices():
  devices = _slices(2)
  grid = mesh.make(dcn=2, data=1, fsdp=-1, tensor=2, devices=devices)
  assert grid.devices.shape == (2, 1, 4, 2)
  for n, slice_of in enumerate(grid.devices):
    assert {d.slice_index for d in slice_of.flat} == {n}
  with pytest.raises(ValueError, match=r"mesh.dcn=1, .* expected mesh.dcn=2"):
    mesh.make(devices=devices)


def test_devices_that_share_rows_are_of_one_process():
  grid = mesh.make(data=1, fsdp=-1, tensor=2, devices=_slices(1))
  assert mesh.row_groups(8, grid) == 4
  assert mesh.rows_here(8, grid) == 4  # of process 0 of two
  with pytest.raises(ValueError, match="a multiple of the 4 devices"):
    mesh.row_groups(6, grid)
  grid = mesh.make(data=1, fsdp=1, tensor=8, devices=_slices(1))
  with pytest.raises(ValueError, match="8 devices would share rows"):
    mesh.row_groups(8, grid)


def test_recipes_of_before_have_two_axes():
  one = jax.devices()[:1]
  old = {"data": -1, "fsdp": 1, "rules": (), "min_bytes": 0}
  assert mesh.of(old, devices=one) == mesh.make(devices=one)


def test_constraints_act_under_a_mesh_only():
  fn = jax.jit(lambda x: mesh.constrain(x) * 2.0)
  x = jnp.ones((4, 2))
  assert "sharding_constraint" not in fn.lower(x).as_text()
  with mesh.use(mesh.make(devices=jax.devices()[:1])):
    # A fresh function: the first one's trace is kept.
    fn = jax.jit(lambda x: mesh.constrain(x) * 2.0)
    assert fn.lower(x).as_text().count("sharding_constraint") == 1


def test_rows_go_there_and_back():
  grid = mesh.make(devices=jax.devices()[:1])
  batch = {"image": np.arange(12.0, dtype=np.float32).reshape(4, 3)}
  put = mesh.put_batch(batch, grid)
  np.testing.assert_array_equal(mesh.local_rows(put["image"]), batch["image"])


def test_global_sum_is_exact():
  out = mesh.global_sum({"n": 2**53 + 1, "x": 0.5})
  assert int(out["n"]) == 2**53 + 1
  assert float(out["x"]) == 0.5
