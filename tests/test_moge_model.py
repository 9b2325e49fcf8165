"""The whole network against the reference; configs and their mistakes."""

import subprocess
import sys

import golden_moge
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hispatial_jax.moge import model, resize, variants

_COUNTS = {
  "moge-2-vits-normal": 35_103_656,
  "moge-2-vitb-normal": 104_743_592,
  "moge-2-vitl-normal": 330_901_544,
  "moge-2-vitl": 326_209_221,
}


def _input(cases, picture, tokens):
  """(f32[H,W,3] input of the encoder, aspect) of a picture."""
  image = cases[f"{picture}/image_u8"].astype(np.float32) / 255
  height, width, _ = image.shape
  grid = resize.token_grid(height, width, tokens)
  rows, columns = (
    resize.antialias_matrix(n, 14 * m)
    for n, m in zip((height, width), grid, strict=True)
  )
  x = np.einsum("hH,wW,HWC->hwC", rows, columns, image)
  return (x - np.float32(model.IMAGE_MEAN)) / np.float32(
    model.IMAGE_STD
  ), width / height


@pytest.fixture(scope="module")
def run():
  """fn(golden, dtype) -> (raw outputs, values inside, arrays of the case).

  The batch is the picture and the same picture told to be twice as wide.
  """
  done = {}

  def once(golden, dtype):
    if dtype not in done:
      cases = golden_moge.arrays(golden, "cases.npz")
      x, aspect = _input(cases, "img0", 24)
      net = variants.build(golden_moge.config(golden), dtype)
      apply = jax.jit(
        lambda p, *args: net.apply({"params": p}, *args, mutable=True)
      )
      with jax.default_matmul_precision("highest"):
        raw, state = apply(
          golden_moge.params(golden),
          np.stack([x, x]),
          np.float32([aspect, 2 * aspect]),
        )
      prefix = "img0/n24/"
      case = {
        n.removeprefix(prefix): v
        for n, v in cases.items()
        if n.startswith(prefix)
      }
      done[dtype] = raw, state["intermediates"], case, x
    return done[dtype]

  return once


def _close(found, want):
  # FORMAT.md, section 2: noise of float32 is 1e-5 of 9.4, mistakes cost more.
  size = np.abs(want).max()
  np.testing.assert_allclose(found, want, atol=1e-5 * size, rtol=0)


@pytest.mark.slow
def test_the_encoder_is_the_references(run, golden):
  _, inner, case, x = run(golden, "float32")
  backbone = inner["encoder"]["backbone"]
  _close(x.transpose(2, 0, 1), case["encoder_input"])
  _close(backbone["patch_embed"][0][0], case["patch_embed"])
  _close(backbone["pos_embed"][0][0], case["pos_embed"])
  _close(backbone["taps_prenorm"][0][:, 0], case["taps_prenorm"])
  features = np.asarray(inner["features"][0][0]).transpose(2, 0, 1)
  _close(features, case["features"])
  _close(inner["cls_token"][0][0], case["cls_token"])


def test_neck_and_heads_are_the_references(run, golden):
  raw, inner, case, _ = run(golden, "float32")
  for level, (grid, maps) in enumerate(
    zip(inner["uv"][0], inner["neck_out"][0], strict=True)
  ):
    corners = np.asarray(grid[0])[[0, 0, -1, -1], [0, -1, 0, -1]].T
    _close(corners, case[f"uv{level}/corners"])
    _close(_sampled(maps[0], case, f"neck_out{level}"), _stored(case, level))
  for name in ("points", "normal", "mask"):
    found = np.asarray(raw[name][0])
    found = found.reshape(*found.shape[:2], -1)
    want = case[f"{name}_head/sample"]
    _close(_sampled(found, case, f"{name}_head"), want)
  _close(raw["scale"][:1], case["scale_head"])


def _stored(case, level):
  return case[f"neck_out{level}/sample"]


def _sampled(found, case, name):
  found = np.asarray(found).transpose(2, 0, 1)
  assert (1, *found.shape) == tuple(case[f"{name}/shape"])
  return found[:, case[f"{name}/rows"]][:, :, case[f"{name}/cols"]]


def test_the_aspect_of_each_picture_counts(run, golden):
  raw, inner, _, _ = run(golden, "float32")
  # Features do not know the aspect, what follows does.
  features = inner["features"][0]
  np.testing.assert_array_equal(features[0], features[1])
  assert np.abs(raw["points"][0] - raw["points"][1]).max() > 0.1
  assert raw["scale"][0] == raw["scale"][1]


def test_bfloat16_is_near_and_gives_float32(run, golden):
  exact, rough = run(golden, "float32")[0], run(golden, "bfloat16")[0]
  for name, x in rough.items():
    assert x.dtype == jnp.float32
    size = np.abs(exact[name]).max()
    gap = np.abs(x - exact[name])
    assert np.isfinite(gap).all()
    # 8 bits of mantissa through 4 blocks and 10 convolutions.
    assert gap.max() < 0.1 * size, name
    assert 0 < gap.mean() < 0.01 * size, name


def test_view_plane_by_hand(golden):
  found = model.view_plane(2, 4, jnp.float32([0.75]))[0]
  # Half-diagonal 1, sides 3 : 4: borders at 0.6 and 0.8.
  np.testing.assert_allclose(
    found[0, :, 0], [-0.45, -0.15, 0.15, 0.45], atol=1e-6
  )
  np.testing.assert_allclose(found[:, 0, 1], [-0.4, 0.4], atol=1e-6)
  stored = golden_moge.arrays(golden, "modules.npz")
  found = model.view_plane(6, 9, jnp.float32([1.4]))[0]
  np.testing.assert_allclose(found, stored["uv/h6_w9_ar1.4"], atol=1e-6)


@pytest.mark.parametrize("name", variants.NAMES)
def test_parameters_are_counted_exactly(name):
  assert variants.num_params(variants.config(name)) == _COUNTS[name]


def test_a_model_without_heads_and_without_scale(golden):
  config = golden_moge.config(golden)
  for name in ("normal_head", "mask_head", "scale_head"):
    del config[name]
  net = variants.build(config)
  assert hash(net) == hash(variants.build(config))
  assert net == variants.build(config)
  x = jax.ShapeDtypeStruct((1, 28, 42, 3), jnp.float32)
  aspect = jax.ShapeDtypeStruct((1,), jnp.float32)
  shapes = variants.param_shapes(config)
  found = jax.eval_shape(net.apply, {"params": shapes}, x, aspect)
  assert {n: v.shape for n, v in found.items()} == {"points": (1, 32, 48, 3)}
  x = jax.ShapeDtypeStruct((1, 30, 42, 3), jnp.float32)
  with pytest.raises(ValueError, match=r"x is \(1, 30, 42, 3\), expected"):
    jax.eval_shape(net.apply, {"params": shapes}, x, aspect)


_WRONG = [
  (("points_haed", {}), r"points_haed \(did you mean 'points_head'\?\)"),
  (("neck", {}), "lacks neck.dim_in, neck.dim_res_blocks"),
  (("neck", None), "neck is None, expected a dict"),
  (("neck.foo", 1), r"unknown config key neck\.foo"),
  (("neck.resamplers", ["bilinaer"] * 4), r"did you mean 'bilinear'\?"),
  (("neck.resamplers", ["bilinear"]), "expected 4 entries"),
  (("neck.resamplers", "max_pool"), "unknown neck.resamplers 'max_pool'"),
  (("neck.dim_in", [3] * 5), r"neck\.dim_in takes \[3, 3, 3, 3, 3\]"),
  (("neck.dim_res_blocks", [8, 8]), "expected 5 widths"),
  (("neck.num_res_blocks", 10**9), "from 0 to 64"),
  (("mask_head.dim_out", [None] * 4 + [3]), "expected 1 at the last level"),
  (("mask_head.activation", "gelu"), r"mask_head\.activation 'gelu'"),
  (("encoder.backbone", "dinov2_vitl13"), "did you mean 'dinov2_vitl14'"),
  (("encoder.backbone.num_heads", 5), "expected a multiple of num_heads, 5"),
  (("encoder.backbone.depth", -1), "depth holds -1"),
  (("encoder.intermediate_layers", [3, 4]), "from 0 to 3"),
  (("encoder.dim_outt", 4), r"did you mean 'encoder\.dim_out'\?"),
  (("scale_head.dims", [48, 2]), "expected widths, 1 the last"),
  (("remap_output", "expo"), r"remap_output 'expo' \(did you mean 'exp'\?\)"),
  (("num_tokens_range", [3600, 1200]), "the least first"),
]


@pytest.mark.parametrize(("change", "message"), _WRONG)
def test_a_wrong_config_is_one_clear_error(change, message, golden):
  config = golden_moge.config(golden)
  (path, value), node = change, config
  *folders, last = path.split(".")
  for folder in folders:
    node = node[folder]
  node[last] = value
  with pytest.raises(ValueError, match=message) as error:
    variants.build(config)
  assert "\n" not in str(error.value)


def test_remains_of_old_code_are_ignored_with_a_warning(golden):
  config = golden_moge.config(golden)
  config["version"] = "v2"
  with pytest.warns(UserWarning, match="unknown config key version"):
    net = variants.build(config)
  assert net == variants.build(golden_moge.config(golden))
  with pytest.raises(ValueError, match=r"mean 'moge-2-vitl'\?"):
    variants.config("moge-2-vitx")


def test_the_face_is_lazy():
  code = (
    "import sys; from hispatial_jax import moge;"
    "assert 'jax' not in sys.modules;"
    "assert moge.variants.NAMES and moge.Model;"
    "from jax._src import xla_bridge;"
    "assert not xla_bridge._backends, 'a device was started';"
    "assert 'MoGe' in dir(moge);"
    "moge.nothing"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=False
  )
  assert "hispatial_jax.moge has no 'nothing'; it has" in done.stderr
