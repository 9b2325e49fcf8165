"""Where parameters lie: by rule, by size, by the mesh."""

import types

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec

from configs import common
from hispatial_jax.core import layouts, mesh, tree
from hispatial_jax.models import sizes


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
  spec = layouts.fsdp_spec(shape, 4, 8, min_bytes=4096)
  assert spec == PartitionSpec(*want)


def test_small_leaves_are_replicated():
  assert layouts.fsdp_spec((1024, 1024), 4, 8, min_bytes=4 << 20) == (
    PartitionSpec()
  )
  assert layouts.fsdp_spec((1025, 1024), 4, 8, min_bytes=4 << 20) == (
    PartitionSpec(None, "fsdp")
  )


def test_rules_by_name():
  grid = mesh.make(devices=jax.devices()[:1])
  leaf = jax.ShapeDtypeStruct((8, 8), jnp.float32)
  params = {"a": {"w": leaf}, "b": leaf}
  rules = [("a/.*", (None, "fsdp")), (".*", "replicate")]
  got = layouts.specs(params, rules, grid)
  assert got == {"a": {"w": PartitionSpec(None, "fsdp")}, "b": PartitionSpec()}
  with pytest.raises(ValueError, match="b"):
    layouts.specs(params, rules[:1], grid)
  with pytest.raises(ValueError, match=r"a/w \(8, 8\): 'fdsp'\n  b"):
    layouts.specs(params, [(".*", "fdsp")], grid)


def _grid(**shape):
  """Only its sizes are looked at."""
  return types.SimpleNamespace(shape=dict.fromkeys(mesh.AXES, 1) | shape)


_BOTH = ("fsdp", "tensor")


@pytest.mark.parametrize(
  ("layout", "shape", "want"),
  [
    # The largest other axis is sharded, not the largest.
    ("tensor:3", (26, 2, 64, 256), (None, None, "fsdp", "tensor")),
    ("tensor:1", (26, 256, 64), (None, "tensor", "fsdp")),
    # Three heads for two devices: as without a tensor axis.
    ("tensor:1", (26, 3, 64, 8), (None, None, "fsdp")),
    # Too small to be sharded, but never too small for its heads.
    ("tensor:0", (2, 5), ("tensor",)),
    ("all", (512, 16), (_BOTH,)),
    # Words for fsdp's devices, not for all.
    ("all", (516, 3), ("fsdp",)),
    ("all", (8, 8), ()),
    ((("fsdp", "tensor"), None), (512, 16), (_BOTH, None)),
    ("fsdp", (512, 16), ("fsdp",)),
  ],
)
def test_layouts_with_tensor(layout, shape, want):
  leaf = jax.ShapeDtypeStruct(shape, jnp.float32)
  found = layouts.specs(
    {"w": leaf}, [(".*", layout)], _grid(fsdp=4, tensor=2), min_bytes=1000
  )
  assert found == {"w": PartitionSpec(*want)}


def test_an_axis_that_is_not_there():
  leaf = jax.ShapeDtypeStruct((8, 8), jnp.float32)
  for wrong in ("tensor:2", "tensor", ("fsdp", ("dcn", "model"))):
    with pytest.raises(ValueError, match=r"w \(8, 8\): "):
      layouts.specs({"w": leaf}, [(".*", wrong)], _grid())


@pytest.mark.parametrize("size", ["3b_448", "10b_448", "28b_448"])
def test_the_recipes_rules(size):
  shapes = sizes.param_shapes(sizes.config(size))
  rules = common.base().mesh.rules
  leaves = tree.flatten(shapes)

  def found(rules, **sizes):
    return tree.flatten(layouts.specs(shapes, rules, _grid(**sizes)))

  # Without a tensor axis they are what they were without these rules.
  assert found(rules, fsdp=16) == found([(".*", "fsdp")], fsdp=16)
  shared = found(rules, fsdp=8, tensor=2)
  for name, x in leaves.items():
    if x.size < 2**20 or "pos_embedding" in name:
      continue
    names = [n for part in shared[name] if part for n in _names(part)]
    inner = "/layers/" in name or "encoderblock" in name or "embedder" in name
    assert sorted(names) == (["fsdp", "tensor"] if inner else ["fsdp"]), name


def _names(part):
  return (part,) if isinstance(part, str) else part
