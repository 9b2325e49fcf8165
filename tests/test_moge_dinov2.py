"""The encoder: positions, attention in chunks, taps, registers."""

import functools
import re

import golden_moge
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hispatial_jax.moge import attention, backbones, dinov2, model

_TINY = {"embed_dim": 12, "depth": 3, "num_heads": 2, "img_size": 42}


def _new(**changes):
  """(backbone, its parameters), drawn anew with norms and scales, too."""
  net = dinov2.Backbone(**{**_TINY, **changes})
  image = jnp.zeros((1, 28, 42, 3))
  init = functools.partial(net.init, taps=(0,))
  shapes = jax.eval_shape(init, jax.random.key(0), image)["params"]
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda x: (0.5 * rng.standard_normal(x.shape)).astype(np.float32), shapes
  )
  # 588 inputs: else the patches would drown what the blocks add.
  params["embedding"]["kernel"] /= 20
  return net, params


def _image(rows=2, columns=3):
  rng = np.random.default_rng(1)
  shape = (2, 14 * rows, 14 * columns, 3)
  return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
  ("options", "offset", "antialias"), [("plain", 0.1, False), ("reg", 0, True)]
)
def test_positions_are_torchs(options, offset, antialias, golden):
  stored = golden_moge.arrays(golden, "modules.npz")
  table = jnp.asarray(stored["posembed/pos_embed_37"])
  prefix = f"posembed/{options}/"
  sizes = {n.split("/")[2] for n in stored if n.startswith(prefix)}
  assert len(sizes) == 6
  for size in sizes:
    grid = tuple(map(int, size.split("x")))
    found = dinov2.fit_positions(table, grid, offset, antialias)[0]
    np.testing.assert_array_equal(found[0], stored[f"{prefix}{size}/cls"])
    rows = stored[f"{prefix}{size}/rows"]
    columns = stored[f"{prefix}{size}/cols"]
    part = np.asarray(found[1:]).reshape(*grid, -1)[rows][:, columns]
    np.testing.assert_allclose(part, stored[f"{prefix}{size}/grid"], atol=2e-5)


def _plain_attention(q, k, v):
  scores = np.einsum("bnth,bnsh->bnts", q, k) / np.sqrt(q.shape[-1])
  weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
  return weights / weights.sum(axis=-1, keepdims=True) @ v


@pytest.mark.parametrize("steps", [1, 3, 6, 12, 30])
def test_steps_do_not_change_attention(steps):
  rng = np.random.default_rng(0)
  q, k, v = rng.standard_normal((3, 2, 3, 37, 8)).astype(np.float32)
  # Room for some of the 6 heads, then for some of the 37 queries of one.
  attend = functools.partial(attention.attend_within, 4 * 6 * 37 * 37 // steps)
  found = jax.jit(attend)(q, k, v)
  np.testing.assert_allclose(found, _plain_attention(q, k, v), atol=1e-5)
  # Scores far from zero stay finite.
  found = jax.jit(attend)(100 * q, 100 * k, v)
  assert np.isfinite(found).all()


@pytest.mark.parametrize("platform", ["cpu", "tpu", "cuda"])
def test_scores_of_a_large_batch_are_bounded(platform):
  shape = jax.ShapeDtypeStruct((8, 16, 3601, 64), jnp.bfloat16)
  traced = jax.jit(attention.attend).trace(shape, shape, shape)
  text = traced.lower(lowering_platforms=(platform,)).as_text()
  sizes = [
    4 * int(heads) * int(queries) * 3601
    for heads, queries in re.findall(r"<(\d+)x(\d+)x3601xf32>", text)
  ]
  most = attention._CPU_BYTES if platform == "cpu" else attention._BYTES
  assert most / 2 < max(sizes) <= 1.1 * most


def test_taps_are_the_blocks_outputs_through_the_last_norm():
  net, params = _new()
  image = _image()
  every, _ = _apply(net, params, image, (0, 1, 2))
  tapped, token = _apply(net, params, image, (1,))
  assert tapped[0].shape == (2, 2, 3, 12)
  np.testing.assert_allclose(tapped[0], every[1], atol=1e-5)
  last, other = _apply(net, params, image, (2,))
  np.testing.assert_allclose(last[0], every[2], atol=1e-5)
  assert np.abs(last[0] - tapped[0]).max() > 0.1
  assert np.abs(other - token).max() > 0.1
  # What a norm gives out has its bias as mean weight, whatever the tap.
  scale, bias = params["norm"]["scale"], params["norm"]["bias"]
  for tap in every:
    plain = (np.asarray(tap) - bias) / scale
    np.testing.assert_allclose(plain.mean(axis=-1), 0, atol=1e-4)
    np.testing.assert_allclose(plain.std(axis=-1), 1, atol=1e-3)


def _apply(net, params, image, taps):
  apply = jax.jit(net.apply, static_argnums=2)
  return apply({"params": params}, image, taps)


def test_the_mask_token_is_kept_and_unused():
  net, params = _new()
  before = _apply(net, params, _image(), (2,))
  other = {**params, "mask_token": -3 * params["mask_token"]}
  after = _apply(net, other, _image(), (2,))
  np.testing.assert_array_equal(before[0][0], after[0][0])
  other = {**params, "cls_token": -3 * params["cls_token"]}
  assert (
    np.abs(_apply(net, other, _image(), (2,))[0][0] - after[0][0]).max() > 0
  )


def test_registers_work_and_are_not_given_out():
  net, params = _new(
    num_register_tokens=4, interpolate_antialias=True, interpolate_offset=0.0
  )
  assert params["register_tokens"].shape == (1, 4, 12)
  (tokens,), token = _apply(net, params, _image(), (2,))
  assert tokens.shape == (2, 2, 3, 12)
  other = {**params, "register_tokens": -3 * params["register_tokens"]}
  (changed,), _ = _apply(net, other, _image(), (2,))
  assert np.abs(changed - tokens).max() > 0.01
  # A patch keeps its place: only the first one's picture is changed here.
  image = _image()
  image[:, :14, :14] += 1
  (moved,), _ = _apply(net, params, image, (2,))
  gap = np.abs(moved - tokens).mean(axis=(0, 3))
  assert gap.argmax() == 0
  assert token.shape == (2, 12)


def test_names_and_options():
  found = backbones.hyperparameters("dinov2_vitl14_reg")
  assert (found["embed_dim"], found["num_register_tokens"]) == (1024, 4)
  assert backbones.hyperparameters(_TINY) == _TINY
  for wrong, message in (
    ("dinov2_vitl15", r"did you mean 'dinov2_vitl14'\?"),
    ({**_TINY, "dept": 3}, r"did you mean 'depth'\?"),
    ({**_TINY, "ffn_layer": "swiglu"}, "ffn_layer is 'swiglu', expected 'mlp'"),
    ({"depth": 3}, "lacks embed_dim, num_heads"),
    (None, "is None, expected a name or a dict"),
  ):
    with pytest.raises(ValueError, match=message):
      backbones.hyperparameters(wrong)


def test_taps_by_number_and_by_index():
  assert model.tap_indices(2, 12) == (10, 11)
  assert model.tap_indices([11, 5], 12) == (5, 11)
  for wrong in ([], [12], [-1, 3], 13, 0):
    with pytest.raises(ValueError, match="intermediate_layers is"):
      model.tap_indices(wrong, 12)
