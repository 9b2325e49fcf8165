"""Kind `moge2` of tools/parity.py: layout of golden/moge2.

Every shape, size and name comes from config.json, meta.json and the arrays.
"""

import functools

import jax
import numpy as np

from hispatial_jax.core import tree
from hispatial_jax.moge import frame, resize
from parity_cases import moge2_case, moge2_infer, moge2_modules, moge2_solver


def run(folder, perturb=None) -> int:
  """Compares all arrays of the folder; returns the exit code."""
  case = moge2_case.Case(folder, perturb)
  for picture, image in case.pictures():
    for prefix, num_tokens in case.token_counts(picture):
      raw, sizes = network(case, prefix, image, num_tokens)
      near = moge2_infer.maps(case, prefix, raw, sizes)
      moge2_infer.picture(case, prefix, image, num_tokens, near)
  moge2_infer.levels(case)
  moge2_solver.run(case)
  moge2_modules.run(case)
  for name in case.fixture.unused():
    case.report.missing(name)
  return case.report.close()


@functools.partial(jax.jit, static_argnames=("model",))
def _forward(model, params, x, aspect):
  """(raw outputs, values inside)."""
  variables = {"params": params}
  raw, state = model.apply(variables, x, aspect, mutable=["intermediates"])
  return raw, state["intermediates"]


def network(case: moge2_case.Case, prefix, image, num_tokens):
  """Compares one pass; returns its raw outputs and its frame.

  Args:
    case: the fixture.
    prefix: of the names, "img0/n24".
    image: u8[H,W,3].
    num_tokens: about so many patches.
  """
  size = image.shape[:2]
  grid = resize.token_grid(*size, num_tokens)
  case.check(f"{prefix}/base_hw", np.array(grid))
  sizes = frame.frame([size], frame.Bucket(*grid, *size))
  x = frame.resize_in(image[None], sizes)
  case.check_map(f"{prefix}/encoder_input", x[0])
  params = tree.unflatten(case.params)
  raw, inner = _forward(case.model, params, x, sizes.aspect)
  _encoder(case, prefix, inner)
  for level, grid in enumerate(inner["uv"][0]):
    corners = np.asarray(grid[0])[[0, 0, -1, -1], [0, -1, 0, -1]].T
    case.check(f"{prefix}/uv{level}/corners", corners)
  for level, found in enumerate(inner["neck_out"][0]):
    case.check_map(f"{prefix}/neck_out{level}", found[0])
  for name in ("points", "normal", "mask"):
    found = raw[name][0]
    found = found[..., None] if found.ndim == 2 else found
    case.check_map(f"{prefix}/{name}_head", found)
  case.check(f"{prefix}/scale_head", raw["scale"])
  return raw, sizes


def _encoder(case, prefix, inner):
  backbone = inner["encoder"]["backbone"]
  (taps,) = backbone["taps_prenorm"]
  case.check(f"{prefix}/patch_embed", backbone["patch_embed"][0][0])
  case.check(f"{prefix}/pos_embed", backbone["pos_embed"][0][0])
  case.check(f"{prefix}/taps_prenorm", taps[:, 0])
  case.check_map(f"{prefix}/features", inner["features"][0][0])
  case.check(f"{prefix}/cls_token", inner["cls_token"][0][0])
