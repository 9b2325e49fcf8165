"""Kind `moge2`: single layers and resizes, the arrays of modules.npz."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from hispatial_jax.core import tree
from hispatial_jax.moge import dinov2, layers, model, resample, resize
from hispatial_jax.weights import lazy, moge, rename
from parity_cases import moge2_case

_FILE = moge2_case.MODULES
# modules.npz was made from the 37 x 37 table with these options of a backbone.
_POSITIONS = {"plain": (0.1, False), "reg": (0.0, True)}


def run(case: moge2_case.Case) -> None:
  """Compares all arrays of the file."""
  names = case.fixture.names(_FILE)
  modules = sorted({n.split("/")[0] for n in names if n.startswith("res")})
  for name in modules:
    if name.startswith("resampler_"):
      _resampler(case, name)
    elif name.startswith("resblock_"):
      _residual_block(case, name)
  _resizes(case)
  _positions(case)
  _view_planes(case)
  _token_grids(case)


def _resampler(case, name):
  kind = name.removeprefix("resampler_")
  features = case.fixture.get(_FILE, f"{name}/y").shape[1]
  module = resample.Resampler(kind, features, "float32")
  _module(case, name, module, moge.resampler("m", "", kind))


def _residual_block(case, name):
  options = name.removeprefix("resblock_")
  in_norm, hidden_norm, activation = next(
    (a, b, c)
    for a in layers.NORMS
    for b in layers.NORMS
    for c in layers.ACTIVATIONS
    if options == f"{a}_{b}_{c}"
  )
  get = functools.partial(case.fixture.get, _FILE)
  hidden = get(f"{name}/weights/layers.2.weight").shape[0]
  features = get(f"{name}/y").shape[1]
  module = layers.ResidualBlock(
    features, hidden, in_norm, hidden_norm, activation, "float32"
  )
  rows = moge.residual_block("m", "", (in_norm, hidden_norm))
  _module(case, name, module, rows)


def _module(case, name, module, rows):
  """Runs a module with the reference's weights on the reference's input."""
  get = functools.partial(case.fixture.get, _FILE)
  prefix = f"{name}/weights/"
  stored = case.fixture.names(_FILE, prefix)
  theirs = {n.removeprefix(prefix): lazy.of(get(n)) for n in stored}
  x = jnp.asarray(get(f"{name}/x").transpose(0, 2, 3, 1))
  init = jax.eval_shape(module.init, jax.random.key(0), x)["params"]
  shapes = {f"m/{n}": x.shape for n, x in tree.flatten(init).items()}
  found = {n: x.shape for n, x in theirs.items()}
  tree.check(rename.their_shapes(shapes, rows), found, what=name)
  ours = rename.to_ours(theirs, rows, shapes)
  params = tree.unflatten({n: np.asarray(x) for n, x in ours.items()})
  y = jax.jit(module.apply)({"params": params["m"]}, x)
  case.report.compare(f"{name}/y", y.transpose(0, 3, 1, 2), get(f"{name}/y"))


def _sizes(text):
  return tuple(map(int, text.split("x")))


def _resizes(case):
  x = case.fixture.get(_FILE, "resize/x")
  kinds = {
    "bilinear": resize.bilinear_matrix,
    "bilinear_antialias": resize.antialias_matrix,
  }
  for name in case.fixture.names(_FILE, "resize/"):
    _, kind, *size = name.split("/")
    if kind == "x":
      continue
    pairs = list(zip(x.shape[2:], _sizes(*size), strict=True))
    if kind == "nearest":
      rows, columns = (resize.nearest_index(*pair) for pair in pairs)
      found = x[:, :, rows][..., columns]
    else:
      rows, columns = (kinds[kind](*pair) for pair in pairs)
      found = np.einsum("hH,wW,BCHW->BChw", rows, columns, x)
    case.report.compare(name, found, case.fixture.get(_FILE, name))


def _positions(case):
  get = functools.partial(case.fixture.get, _FILE)
  table = jnp.asarray(get("posembed/pos_embed_37"))
  for name in case.fixture.names(_FILE, "posembed/"):
    if not name.endswith("/grid"):
      continue
    prefix = name.removesuffix("/grid")
    _, options, size = prefix.split("/")
    size = _sizes(size)
    found = dinov2.fit_positions(table, size, *_POSITIONS[options])[0]
    case.report.compare(f"{prefix}/cls", found[0], get(f"{prefix}/cls"))
    rows, columns = get(f"{prefix}/rows"), get(f"{prefix}/cols")
    found = np.asarray(found[1:]).reshape(*size, -1)[rows][:, columns]
    case.report.compare(name, found, get(name))


def _view_planes(case):
  for name in case.fixture.names(_FILE, "uv/"):
    h, w, aspect = name.removeprefix("uv/").split("_")
    h, w, aspect = int(h[1:]), int(w[1:]), aspect.removeprefix("ar")
    aspect = w / h if aspect == "auto" else float(aspect)
    found = model.view_plane(h, w, jnp.float32([aspect]))[0]
    case.report.compare(name, found, case.fixture.get(_FILE, name))


def _token_grids(case):
  name = "token_grid/H_W_n_rows_cols"
  want = case.fixture.get(_FILE, name)
  grids = [resize.token_grid(*map(int, row[:3])) for row in want]
  found = np.concatenate([want[:, :3], np.array(grids)], axis=1)
  case.report.compare(name, found, want)
