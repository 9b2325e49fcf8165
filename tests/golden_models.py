"""The reference models' golden numbers, as our models and parameters."""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from hispatial_jax.core import tree
from hispatial_jax.models import decode, sizes
from hispatial_jax.weights import hispatial as names
from hispatial_jax.weights import lazy, rename, source

_GOLDEN = pathlib.Path(__file__).parent / "golden"
# float32 noise of another order of summation; FORMAT.md measured up to 1e-5.
TOLERANCE = 1e-4


def difference(got, want):
  """Largest absolute difference over the largest wanted magnitude."""
  got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
  assert got.shape == want.shape
  return np.abs(got - want).max() / max(np.abs(want).max(), 1e-30)


def close(got, want, tolerance=TOLERANCE):
  """Asserts `difference` <= tolerance."""
  assert difference(got, want) <= tolerance


@functools.cache
def arrays(path):
  """{name: array} of an npz file below tests/golden."""
  return dict(np.load(_GOLDEN / path))


@functools.cache
def hispatial_model():
  """(config, params) of golden/hispatial_model."""
  folder = _GOLDEN / "hispatial_model"
  theirs = {
    name.removeprefix("weights/"): lazy.of(x)
    for name, x in arrays("hispatial_model/weights.npz").items()
  }
  config = json.loads((folder / "config.json").read_text())
  found = source.adopt(theirs, config, "hispatial", "golden")
  ours = {name: jnp.asarray(x.read(())) for name, x in found.params.items()}
  return found.config, tree.unflatten(ours)


def their_names(ours):
  """{reference's name: array} of a tree like the parameters."""
  flat = {name: lazy.of(x) for name, x in tree.flatten(ours).items()}
  theirs = rename.to_theirs(flat, names.ROWS)
  return {name: np.asarray(x.read(())) for name, x in theirs.items()}


@functools.cache
def big_vision_model():
  """(config, params) of golden/big_vision, final softcap off as there."""
  meta = json.loads((_GOLDEN / "big_vision" / "meta.json").read_text())
  img, llm = meta["config"]["img"], meta["llm_variant"]
  same = ("width", "depth", "mlp_dim", "num_heads")
  config = sizes.config(
    "toy",
    img={
      **{key: img[key] for key in same},
      "image_size": meta["image_size"],
      "num_outputs": llm["width"],
    },
    llm={
      key: llm[key] for key in (*same, "num_kv_heads", "head_dim", "vocab_size")
    }
    | {"final_softcap": 0.0},
    pointmap=None,
  )
  return config, nested(arrays("big_vision/params.npz"))


def nested(named):
  """Parameters under big_vision's names as a tree of float32 arrays."""
  return tree.unflatten(
    {
      name.removeprefix("params/"): jnp.asarray(_float32(x))
      for name, x in named.items()
    }
  )


def _float32(x):
  if x.dtype.kind == "V":  # bfloat16, which numpy does not know
    x = x.view(jnp.bfloat16)
  return x.astype(np.float32)


def changed(config, **llm):
  """The config with other entries of `llm`."""
  return {**config, "llm": {**config["llm"], **llm}}


def step_logits(model, params, prompt, tokens, cache_dtype=None):
  """Logits f32[B,N,V] before each of `tokens`, read through the cache."""
  run = jax.jit(model.apply, static_argnames=("method", "cache_dtype"))
  variables = {"params": params}
  logits, first, real = run(
    variables, **prompt, cache_dtype=cache_dtype, method="prefill"
  )
  cache, visible = decode.reserve(first, real, tokens.shape[1])
  length, steps = jnp.sum(real, axis=1, dtype=jnp.int32), [logits]
  for step, token in enumerate(tokens.T[:-1]):
    logits, new = run(
      variables, token, length + step, cache, visible, method="extend"
    )
    row = real.shape[1] + step
    cache, visible = decode.write(cache, visible, new, row)
    steps.append(logits)
  return jnp.stack(steps, axis=1), first
