"""Layers cut for a CPU: the scan's tokens, and each weight read but once."""

import functools

import jax
import numpy as np
import pytest

from hispatial_jax.core import hlo
from hispatial_jax.models import apart, decode, hispatial, sizes

_ROWS, _NEW = 2, 4


@functools.cache
def _model(image_sees_text=True, **llm):
  tower = {"width": 16, "depth": 1, "mlp_dim": 24, "num_heads": 2}
  decoder = {"width": 32, "depth": 3, "mlp_dim": 96, "num_heads": 4}
  decoder |= {"num_kv_heads": 2, "head_dim": 8, "vocab_size": 40, **llm}
  config = sizes.config(
    "toy",
    img={**tower, "num_outputs": decoder["width"], "image_size": 28},
    llm=decoder,
    pointmap=None,
    image_sees_text=image_sees_text,
  )
  leaves, treedef = jax.tree.flatten(sizes.param_shapes(config))
  rng = np.random.default_rng(0)
  drawn = [0.3 * rng.standard_normal(x.shape, np.float32) for x in leaves]
  return hispatial.Model(**config), jax.tree.unflatten(treedef, drawn)


def _prompts():
  rng = np.random.default_rng(1)
  real = np.arange(5) < np.array([[3], [5]])
  return {
    "image": rng.uniform(-1, 1, (_ROWS, 28, 28, 3)).astype(np.float32),
    "points": None,
    "text": rng.integers(3, 40, real.shape).astype(np.int32) * real,
    "mask_ar": (~real).astype(np.int32),
    "mask_input": real.astype(np.int32),
  }


def _generate(model, params, **options):
  return decode.generate(
    model, params, _prompts(), max_new_tokens=_NEW, eos_id=-1, **options
  )


@pytest.mark.parametrize(
  ("image_sees_text", "options"),
  [(True, {}), (False, {"cache_dtype": "bfloat16"})],
)
def test_the_same_tokens_as_the_scan(monkeypatch, image_sees_text, options):
  model, params = _model(image_sees_text, query_scale=0.2)
  here = _generate(model, params, **options)
  monkeypatch.setattr(
    jax.lax, "platform_dependent", lambda *args, default, cpu: default(*args)
  )
  decode._generate.clear_cache()
  elsewhere = _generate(model, params, **options)
  decode._generate.clear_cache()
  np.testing.assert_array_equal(here["tokens"], elsewhere["tokens"])
  np.testing.assert_allclose(here["logp"], elsewhere["logp"], atol=1e-5)


def test_a_token_reads_each_weight_once_and_copies_none():
  model, params = _model(width=128, mlp_dim=512, head_dim=32)
  run = jax.jit(lambda params: _generate(model, params))
  text = run.lower(params).compile().as_text()
  once, twice = (hlo.cost(text, unknown_trips=n).bytes for n in (1, 2))
  weights = sum(x.nbytes for x in jax.tree.leaves(params["llm"]["layers"]))
  assert twice - once < 1.3 * weights


def test_parameters_with_adapters_are_left_to_the_scan():
  _, params = _model()
  layers = params["llm"]["layers"]
  assert apart.knows(layers)
  q = layers["attn"]["q_einsum"]
  attn = {**layers["attn"], "q_einsum": {**q, "lora_a": q["w"]}}
  assert not apart.knows({**layers, "attn": attn})
