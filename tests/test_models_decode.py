"""Decoding through the cache equals whole forward passes, token by token."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hispatial_jax.models import decode, hispatial, sizes

_TOWER = {"width": 16, "depth": 2, "mlp_dim": 24, "num_heads": 2}
_LENGTHS = (3, 6, 5)
_NEW = 5


@functools.cache
def _model(image_sees_text=True):
  config = sizes.config(
    "toy",
    img={**_TOWER, "num_outputs": 16, "image_size": 28},
    llm={**_TOWER, "num_kv_heads": 1, "head_dim": 8, "vocab_size": 40},
    pointmap={"width": 16, "num_outputs": 16, "num_freqs": 2},
    image_sees_text=image_sees_text,
  )
  leaves, treedef = jax.tree.flatten(sizes.param_shapes(config))
  keys = jax.random.split(jax.random.key(1), len(leaves))
  drawn = [
    0.3 * jax.random.normal(k, x.shape)
    for k, x in zip(keys, leaves, strict=True)
  ]
  return hispatial.Model(**config), jax.tree.unflatten(treedef, drawn)


def _prompts(seed=0):
  rng = np.random.default_rng(seed)
  text = rng.integers(3, 40, (3, max(_LENGTHS) + 1)).astype(np.int32)
  real = np.arange(text.shape[1]) < np.array(_LENGTHS)[:, None]
  return {
    "image": rng.uniform(-1, 1, (3, 28, 28, 3)).astype(np.float32),
    "points": rng.normal(size=(3, 28, 28, 4)).astype(np.float32),
    "text": text * real,
    "mask_ar": (~real).astype(np.int32),
    "mask_input": real.astype(np.int32),
  }


def _uncached_logits(model, params, prompt, tokens):
  """f32[B,N,V] before each token, by one forward without a cache."""
  width = max(_LENGTHS) + tokens.shape[1]
  text = np.zeros((3, width), np.int32)
  mask_ar = np.ones((3, width), np.int32)
  for row, length in enumerate(_LENGTHS):
    text[row, :length] = prompt["text"][row, :length]
    text[row, length : length + tokens.shape[1]] = tokens[row]
    mask_ar[row, :length] = 0
  logits, _ = jax.jit(model.apply)(
    {"params": params}, prompt["image"], prompt["points"], text, mask_ar
  )
  starts = np.array(_LENGTHS)[:, None] - 1 + np.arange(tokens.shape[1])
  return np.take_along_axis(np.asarray(logits), starts[..., None], axis=1)


def _without_end(**kwargs):
  return {"max_new_tokens": _NEW, "eos_id": -1, **kwargs}


@pytest.mark.parametrize("image_sees_text", [True, False])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_uncached_forward(image_sees_text, seed):
  model, params = _model(image_sees_text)
  prompt = _prompts(seed)
  out = decode.generate(model, params, prompt, **_without_end())
  tokens = np.asarray(out["tokens"])
  logits = _uncached_logits(model, params, prompt, tokens)
  np.testing.assert_array_equal(tokens, logits.argmax(-1))
  logp = np.asarray(jax.nn.log_softmax(logits))
  logp = np.take_along_axis(logp, tokens[..., None], -1)[..., 0]
  np.testing.assert_allclose(out["logp"], logp, atol=1e-4)


def test_rows_do_not_feel_each_other():
  model, params = _model()
  prompt = _prompts()
  together = decode.generate(model, params, prompt, **_without_end())
  for row in range(3):
    one = {name: x[row : row + 1] for name, x in prompt.items()}
    alone = decode.generate(model, params, one, **_without_end())
    np.testing.assert_array_equal(alone["tokens"][0], together["tokens"][row])


def test_questions_of_an_image_share_it():
  model, params = _model(image_sees_text=False)
  groups = [_prompts(seed) for seed in (0, 1)]
  shared = {
    name: np.concatenate([x[name] for x in groups]) for name in groups[0]
  }
  images = {name: shared[name][::3] for name in ("image", "points")}
  together = decode.generate(
    model, params, {**shared, **images}, **_without_end()
  )
  for row in range(6):
    one = {name: x[row : row + 1] for name, x in shared.items()}
    for name, x in images.items():
      one[name] = x[row // 3 : row // 3 + 1]
    alone = decode.generate(model, params, one, **_without_end())
    np.testing.assert_array_equal(together["tokens"][row], alone["tokens"][0])
    np.testing.assert_allclose(
      together["logp"][row], alone["logp"][0], atol=1e-5
    )


def test_rows_end_at_eos_and_stay_silent():
  model, params = _model()
  prompt = _prompts()
  free = np.asarray(
    decode.generate(model, params, prompt, **_without_end())["tokens"]
  )
  eos = int(free[0, 1])
  out = decode.generate(model, params, prompt, max_new_tokens=_NEW, eos_id=eos)
  for row, tokens in enumerate(free):
    ends = np.flatnonzero(tokens == eos)
    end = ends[0] + 1 if len(ends) else _NEW
    np.testing.assert_array_equal(out["tokens"][row, :end], tokens[:end])
    assert not out["tokens"][row, end:].any()
    assert not out["logp"][row, end:].any()


def test_drawing_is_seeded_and_narrow_nucleus_is_greedy():
  model, params = _model()
  prompt = _prompts()

  def draw(seed, **kwargs):
    rng = jax.random.key(seed)
    options = _without_end(temperature=1.0, rng=rng, **kwargs)
    return np.asarray(
      decode.generate(model, params, prompt, **options)["tokens"]
    )

  np.testing.assert_array_equal(draw(0), draw(0))
  assert (draw(0) != draw(1)).any()
  greedy = decode.generate(model, params, prompt, **_without_end())
  np.testing.assert_array_equal(draw(0, top_p=1e-6), greedy["tokens"])


def test_nucleus_keeps_the_likeliest_tokens():
  logits = jnp.log(jnp.array([[0.15, 0.5, 0.05, 0.3]]))

  def kept(top_p):
    return np.isfinite(decode.nucleus(logits, top_p))[0].tolist()

  assert kept(0.4) == [False, True, False, False]
  assert kept(0.6) == [False, True, False, True]
  assert kept(0.9) == [True, True, False, True]
  assert kept(1.0) == [True] * 4


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"max_new_tokens": 0}, "expected 1 or more"),
    ({"temperature": 1.0}, "pass rng"),
    ({"temperature": -1.0}, "temperature >= 0"),
    ({"top_p": 0.0}, "top_p <= 1"),
  ],
)
def test_bad_options_are_told(options, message):
  model, params = _model()
  with pytest.raises(ValueError, match=message):
    decode.generate(model, params, _prompts(), **_without_end() | options)
