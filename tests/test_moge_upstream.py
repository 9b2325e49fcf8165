"""Microsoft's package as a backend; numbers only where MOGE_DIR names it."""

import importlib.util
import os
import sys

import jax
import numpy as np
import pytest

from hispatial_jax.moge import (
  checkpoint,
  frame,
  infer,
  metric,
  upstream,
  variants,
)

live = pytest.mark.skipif(
  not os.environ.get("MOGE_DIR"), reason="set MOGE_DIR (and UTILS3D_DIR)"
)
_TOKENS = 24
_SIZES = [(70, 98), (98, 70), (75, 75)]


@pytest.fixture
def absent(monkeypatch):
  for name in upstream.FOLDERS:
    monkeypatch.delenv(name, raising=False)
  for name in [n for n in sys.modules if n.split(".")[0] == "moge"]:
    monkeypatch.delitem(sys.modules, name)
  if importlib.util.find_spec("moge"):
    pytest.skip("the package is installed")


def test_an_absent_package_is_one_clear_error(absent):
  with pytest.raises(ModuleNotFoundError) as error:
    upstream.load("model.pt")
  message = str(error.value)
  assert "tools/requirements-upstream.txt" in message
  assert "MOGE_DIR" in message
  assert "\n" not in message


@pytest.mark.parametrize("name", upstream.FOLDERS)
def test_a_folder_that_is_no_checkout_is_named(absent, name, monkeypatch):
  monkeypatch.setenv(name, "/nowhere")
  with pytest.raises(FileNotFoundError, match=f"{name}=/nowhere"):
    upstream.load("model.pt")
  assert "/nowhere" not in sys.path


def test_the_requirements_name_a_commit():
  tool = os.path.join(os.path.dirname(__file__), "..", "tools")
  with open(os.path.join(tool, "requirements-upstream.txt")) as file:
    lines = [line for line in file if line.strip() and line[0] != "#"]
  (line,) = (line for line in lines if line.startswith("moge @ "))
  commit = line.strip().rpartition("@")[2]
  assert len(commit) == 40
  assert int(commit, 16)


def _face_a_wall(torch, net):
  """A slanted wall of which half of the pixels are valid.

  What a network of random numbers says is no scene: no focal length fits it,
  and solvers differ in what they then give up with.
  """
  head = net.points_head
  for block in (net.neck.input_blocks[-1], head.input_blocks[-1]):
    block.weight *= 0.1
    block.weight[:2, :2, 0, 0] = torch.eye(2)
  # x, y and the logarithm of z by the place in the image.
  last = head.output_blocks[-1].weight
  last *= 0.1
  last[:, :2, 0, 0] = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
  picture = _pictures()[0].transpose(2, 0, 1)[None]
  mask = net(torch.tensor(picture / 255).float(), _TOKENS)["mask"]
  net.mask_head.output_blocks[-1].bias -= torch.logit(mask.median())


@pytest.fixture(scope="module")
def model(tmp_path_factory):
  """A model.pt: ViT-S, thin heads, all parameters drawn."""
  torch = pytest.importorskip("torch")
  package = upstream.import_moge()
  config = variants.config("moge-2-vits-normal")
  thin = {384: 32, 386: 34, 256: 24, 128: 16, 64: 12, 32: 8}
  config["encoder"]["dim_out"] = 32
  for name in ("neck", "points_head", "normal_head", "mask_head"):
    for key in ("dim_in", "dim_res_blocks"):
      config[name][key] = [thin.get(n, n) for n in config[name][key]]
  config["num_tokens_range"] = [_TOKENS, 64]
  torch.manual_seed(0)
  net = package.MoGeModel(**config)
  with torch.no_grad():
    for x in net.parameters():
      x += 0.02 * torch.randn_like(x)
    _face_a_wall(torch, net)
  path = tmp_path_factory.mktemp("moge") / "model.pt"
  torch.save({"model_config": config, "model": net.state_dict()}, path)
  return str(path)


@pytest.fixture(scope="module")
def both(model):
  return infer.MoGe.load(model), upstream.load(model, device="cpu")


def _pictures():
  rng = np.random.default_rng(0)
  return [rng.integers(0, 256, (*s, 3)).astype(np.uint8) for s in _SIZES]


def _close(found, want, share=1e-4):
  found, want = np.asarray(found), np.asarray(want)
  finite = np.isfinite(want)
  np.testing.assert_array_equal(np.isfinite(found), finite)
  assert finite.any()
  size = np.abs(want[finite]).max()
  np.testing.assert_allclose(found[finite], want[finite], atol=share * size)


@live
def test_what_the_network_says_is_the_references(both, model):
  _, theirs = both
  picture = _pictures()[0]
  config, params = checkpoint.load(model)
  net = variants.build(config)
  bucket = frame.bucket(picture.shape[:2], _TOKENS)
  sizes = frame.frame([picture.shape[:2]], bucket)
  canvas = np.zeros((1, *bucket[2:], 3), np.uint8)
  canvas[0, : picture.shape[0], : picture.shape[1]] = picture
  x = frame.resize_in(canvas, sizes)
  apply = jax.jit(net.apply)
  raw = apply({"params": params}, x, sizes.aspect)
  ours = metric.maps(raw, jax.tree.map(jax.numpy.asarray, sizes), "exp")
  want = theirs.model.forward(theirs.tensor(picture[None]), _TOKENS)
  assert set(ours) == set(want)
  for name, x in want.items():
    x = x.detach().numpy()
    y = np.asarray(ours[name])
    if y.ndim > 1:
      y = y[:, : picture.shape[0], : picture.shape[1]]
    _close(y, x)


@live
@pytest.mark.parametrize(
  "options",
  [
    {},
    {"fov_x_deg": 60.0},
    {"force_projection": False, "apply_mask": False},
    {"num_tokens": 40},
  ],
)
def test_point_maps_are_the_references(both, options):
  ours, theirs = both
  pictures = _pictures()
  found = ours.infer_many(pictures, **options)
  wanted = theirs.infer_many(pictures, **options)
  for one, two in zip(found, wanted, strict=True):
    for name in vars(two):
      _close(getattr(one, name), getattr(two, name))


@live
def test_a_camera_becomes_a_field_of_view(both):
  _, theirs = both
  picture = _pictures()[0]
  known = frame.cameras(50.0, None, [picture.shape[:2]])[0]
  found = theirs.infer(picture, intrinsics=known)
  np.testing.assert_allclose(found.intrinsics, known, atol=1e-5)
  known[0, 2] = 0.6
  with pytest.raises(ValueError, match="axis in the middle"):
    theirs.infer(picture, intrinsics=known)
