"""Layouts by rule; sums and rows; constraints only under a mesh."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from hispatial_jax.core import mesh


def test_sizes_must_fill_the_devices():
  assert dict(mesh.make(devices=jax.devices()[:1]).shape) == {
    "data": 1,
    "fsdp": 1,
  }
  with pytest.raises(ValueError, match="does not fill 1 devices"):
    mesh.make(data=2, fsdp=3, devices=jax.devices()[:1])
  with pytest.raises(ValueError, match="at most one"):
    mesh.make(data=-1, fsdp=-1, devices=jax.devices()[:1])


@pytest.mark.parametrize(
  ("shape", "want"),
  [
    ((27, 1152, 4304), (None, None, "fsdp")),
    ((257152, 2304), ("fsdp",)),
    ((27, 16), ()),
    ((64, 64), (None, "fsdp")),
    ((63, 65), ()),
  ],
)
def test_fsdp_takes_the_largest_axis_that_divides(shape, want):
  spec = mesh.fsdp_spec(shape, 4, 8, min_bytes=4096)
  assert spec == PartitionSpec(*want)


def test_small_leaves_are_replicated():
  assert mesh.fsdp_spec((1024, 1024), 4, 8, min_bytes=4 << 20) == (
    PartitionSpec()
  )
  assert mesh.fsdp_spec((1025, 1024), 4, 8, min_bytes=4 << 20) == (
    PartitionSpec(None, "fsdp")
  )


def test_rules_by_name():
  grid = mesh.make(devices=jax.devices()[:1])
  leaf = jax.ShapeDtypeStruct((8, 8), jnp.float32)
  params = {"a": {"w": leaf}, "b": leaf}
  rules = [("a/.*", (None, "fsdp")), (".*", "replicate")]
  got = mesh.specs(params, rules, grid)
  assert got == {"a": {"w": PartitionSpec(None, "fsdp")}, "b": PartitionSpec()}
  with pytest.raises(ValueError, match="b"):
    mesh.specs(params, rules[:1], grid)
  with pytest.raises(ValueError, match=r"a/w: 'fdsp'\n  b: 'fdsp'"):
    mesh.specs(params, [(".*", "fdsp")], grid)


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
