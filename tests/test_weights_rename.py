"""The two-way tables: what goes out comes back, to the last bit."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import weights_random

from hispatial_jax.core import tree
from hispatial_jax.weights import hispatial, lazy, paligemma, rename

_TABLES = {"paligemma": paligemma.ROWS, "hispatial": hispatial.ROWS}


def _lazy(params):
  return {name: lazy.of(x) for name, x in params.items()}


def _numpy(arrays):
  return {name: np.asarray(x) for name, x in arrays.items()}


@pytest.mark.parametrize("table", list(_TABLES))
def test_rows_name_every_parameter_once(table):
  cfg = weights_random.config(pointmap=table == "hispatial")
  names = weights_random.params(cfg)
  assert rename.unnamed(names, _TABLES[table]) == []
  places = [(r.ours, r.axes) for r in _TABLES[table]]
  assert len(set(places)) == len(places)


@pytest.mark.parametrize("table", list(_TABLES))
@pytest.mark.parametrize("block_bytes", [1 << 26, 64])
def test_back_and_forth_is_exact(table, block_bytes, monkeypatch):
  monkeypatch.setattr(lazy, "_BLOCK_BYTES", block_bytes)
  cfg = weights_random.config(pointmap=table == "hispatial")
  params, rows = weights_random.params(cfg), _TABLES[table]
  shapes = {name: x.shape for name, x in params.items()}
  theirs = rename.to_theirs(_lazy(params), rows, surplus=6)
  # Through blocks, as files are written.
  theirs = {
    name: lazy.of(
      np.concatenate([b.ravel() for b in x.blocks()]).reshape(x.shape)
    )
    for name, x in theirs.items()
  }
  assert theirs[paligemma.EMBEDDING].shape == (56, 16)
  again = rename.to_ours(theirs, rows, shapes)
  for name, x in again.items():
    blocks = np.concatenate([b.ravel() for b in x.blocks()])
    np.testing.assert_array_equal(blocks.reshape(x.shape), params[name])
    np.testing.assert_array_equal(np.asarray(x), params[name])
  assert again.keys() == params.keys()
  both = rename.to_theirs(again, rows, surplus=6)
  for name, x in _numpy(both).items():
    np.testing.assert_array_equal(x, np.asarray(theirs[name]), err_msg=name)


@hypothesis.given(
  st.permutations(["A", "B", "C"]),
  st.booleans(),
  st.tuples(*[st.integers(1, 4)] * 4),
)
def test_any_row_inverts(order, joined, sizes):
  layers, *rest = sizes
  a, b, c = rest
  first, second, third = order
  axes = f"({first} {second}) {third}" if joined else " ".join(order)
  rows = [
    rename.Row("x", "L 0/2 A B C", "t.{L}.zero", axes),
    rename.Row("x", "L 1/2 A B C", "t.{L}.one", axes),
  ]
  x = np.arange(layers * 2 * a * b * c, dtype=np.float32)
  x = x.reshape(layers, 2, a, b, c)
  theirs = rename.to_theirs({"x": lazy.of(x)}, rows)
  assert len(theirs) == 2 * layers
  shapes = {name: t.shape for name, t in theirs.items()}
  assert shapes == rename.their_shapes({"x": x.shape}, rows)
  again = rename.to_ours(theirs, rows, {"x": x.shape})["x"]
  np.testing.assert_array_equal(np.asarray(again), x)


def test_the_projector_joins_two_heads():
  params = weights_random.params(weights_random.config())
  theirs = _numpy(rename.to_theirs(_lazy(params), hispatial.ROWS))
  both = [params["img/head/kernel"].T, params["pointmap/head/kernel"].T]
  found = theirs["multi_modal_projector.linear.weight"]
  np.testing.assert_array_equal(found, np.concatenate(both, axis=1))
  del params["pointmap/head/kernel"]
  with pytest.raises(ValueError, match="joins 2 parameters, and only img/head"):
    rename.to_theirs(_lazy(params), hispatial.ROWS)


def test_surplus_rows_are_the_mean_and_go_away_again():
  params = weights_random.params(weights_random.config(pointmap=False))
  table = params["llm/embedder/input_embedding"]
  theirs = rename.to_theirs(_lazy(params), paligemma.ROWS, surplus=3)
  found = np.asarray(theirs[paligemma.EMBEDDING])
  np.testing.assert_array_equal(found[:-3], table)
  for row in found[-3:]:
    np.testing.assert_allclose(row, table.mean(axis=0), atol=1e-7)


def test_wrong_axes_are_named():
  row = rename.Row("x", "0/1 P D", "t", "P D")
  with pytest.raises(ValueError, match=r"x is \[2, 3, 4\], expected axes"):
    rename.to_theirs({"x": lazy.of(np.zeros((2, 3, 4)))}, [row])


def test_tables_agree_with_the_written_out_rules():
  """Spot checks in plain numpy, so that a wrong row cannot undo itself."""
  params = weights_random.params(weights_random.config(pointmap=False))
  theirs = _numpy(rename.to_theirs(_lazy(params), paligemma.ROWS))
  text = "language_model.model.layers.1"
  kv = params["llm/layers/attn/kv_einsum/w"][1]
  flat = kv[1].transpose(0, 2, 1).reshape(-1, 16)
  np.testing.assert_array_equal(theirs[f"{text}.self_attn.v_proj.weight"], flat)
  gate = params["llm/layers/mlp/gating_einsum"][1, 0].T
  np.testing.assert_array_equal(theirs[f"{text}.mlp.gate_proj.weight"], gate)
  out = params["llm/layers/attn/attn_vec_einsum/w"][1]
  out = out.transpose(2, 0, 1).reshape(16, -1)
  np.testing.assert_array_equal(theirs[f"{text}.self_attn.o_proj.weight"], out)
  patch = params["img/embedding/kernel"].transpose(3, 2, 0, 1)
  name = "vision_tower.vision_model.embeddings.patch_embedding.weight"
  np.testing.assert_array_equal(theirs[name], patch)
  assert tree.unflatten(params)["img"]["pos_embedding"].shape == (1, 4, 24)
