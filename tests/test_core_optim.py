"""AdamW as the reference has it, against a float64 replica written out."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hispatial_jax.core import optim

_LR = 1e-2


def _params(rng):
  shapes = {
    "img/Transformer/kernel": (4, 6),
    "llm/embedder/input_embedding": (8, 4),
    "llm/layers/attn/q_einsum/w": (2, 3, 4, 5),
    "llm/layers/pre_ffw_norm/scale": (2, 4),
    "pointmap/embedding/bias": (4,),
    "img/attn/key/bias": (2, 2, 3),
  }
  flat = {k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()}
  return optim.tree.unflatten(flat)


def _reference(params, grads, decay, *, clip=1.0):
  """Three steps by the golden facts, in float64 numpy."""
  p = {k: v.astype(np.float64) for k, v in params.items()}
  m = {k: np.zeros_like(v) for k, v in p.items()}
  v = {k: np.zeros_like(x) for k, x in p.items()}
  for t, step in enumerate(grads, 1):
    norm = np.sqrt(
      sum((g.astype(np.float64) ** 2).sum() for g in step.values())
    )
    factor = min(1.0, clip / (norm + 1e-6))
    for k in p:
      g = step[k].astype(np.float64) * factor
      p[k] *= 1 - _LR * decay[k]
      m[k] = 0.9 * m[k] + 0.1 * g
      v[k] = 0.999 * v[k] + 0.001 * g * g
      root = np.sqrt(v[k] / (1 - 0.999**t)) + 1e-8
      p[k] -= _LR * m[k] / (1 - 0.9**t) / root
  return p


@pytest.mark.parametrize("scale", [1e-3, 10.0], ids=["unclipped", "clipped"])
def test_adamw_equals_the_facts(scale):
  rng = np.random.default_rng(0)
  params = _params(rng)
  flat = optim.tree.flatten(params)
  grads = [
    {
      k: scale * rng.normal(size=v.shape).astype(np.float32)
      for k, v in flat.items()
    }
    for _ in range(3)
  ]
  decay = {k: 0.0 if k.endswith(("bias", "scale")) else 0.1 for k in flat}
  want = _reference(flat, grads, decay)

  tx = optim.adamw(_LR, decay_mask=optim.decayed(params))
  state = tx.init(params)
  for step in grads:
    updates, state = tx.update(optim.tree.unflatten(step), state, params)
    params = optax.apply_updates(params, updates)
  for name, got in optim.tree.flatten(params).items():
    # float32 against float64: a few units in the last place of values near 3.
    np.testing.assert_allclose(got, want[name], atol=2e-6, err_msg=name)


def test_decay_reaches_matrices_only():
  mask = optim.tree.flatten(optim.decayed(_params(np.random.default_rng(0))))
  assert [name for name, hit in mask.items() if not hit] == [
    "img/attn/key/bias",
    "llm/layers/pre_ffw_norm/scale",
    "pointmap/embedding/bias",
  ]


def test_clip_factor_has_the_epsilon():
  grads = {"w": jnp.array([3.0, 4.0])}
  clipped, _ = optim.clip_by_global_norm(1.0).update(grads, None)
  np.testing.assert_allclose(clipped["w"], np.array([3, 4]) / (5 + 1e-6))
  small = {"w": jnp.array([0.3, 0.4])}
  kept, _ = optim.clip_by_global_norm(1.0).update(small, None)
  np.testing.assert_array_equal(kept["w"], small["w"])


def test_norms_by_the_first_two_parts_of_the_names():
  grads = {
    "llm": {
      "layers": {"mlp": {"w": jnp.full((2, 2), 2.0)}, "s": jnp.array([3.0])},
      "embedder": {"input_embedding": jnp.array([-2.0], jnp.bfloat16)},
    },
    "scale": jnp.array([1.0]),
  }
  norms = optim.subtree_norms(grads)
  assert {name: float(x) for name, x in norms.items()} == {
    "llm/layers": 5.0,
    "llm/embedder": 2.0,
    "scale": 1.0,
  }
  assert optim.global_norm(grads) == pytest.approx(30**0.5)


def test_frozen_leaves_have_no_state():
  params = _params(np.random.default_rng(0))
  cfg = dict(
    lr=1e-3,
    schedule="constant",
    warmup_steps=0,
    final=0.0,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    weight_decay=0.1,
    clip=1.0,
    mu_dtype="",
    freeze=["img/.*"],
    train=[],
    no_decay=[".*(bias|scale)"],
  )
  opt = optim.build(cfg, params, total_steps=10)
  train, frozen = opt.split(params)
  assert set(frozen) == {"img"}
  assert "img" not in train
  names = optim.tree.flatten(opt.tx.init(train))
  assert not [name for name in names if "img" in name]
  back = opt.join(train, frozen)
  jax.tree.map(np.testing.assert_array_equal, back, params)
  with pytest.raises(ValueError, match="all 6 parameters are frozen"):
    optim.build({**cfg, "freeze": [".*"]}, params, total_steps=10)


def test_schedules():
  cosine = optim.schedule(
    "cosine", 2.0, total_steps=110, warmup_steps=10, final=0.1
  )
  steps = [0, 9, 10, 60, 110, 500]
  np.testing.assert_allclose(
    [cosine(s) for s in steps], [0.2, 2, 2, 1.1, 0.2, 0.2], rtol=1e-6
  )
  linear = optim.schedule("linear", 1.0, total_steps=10)
  np.testing.assert_allclose([linear(0), linear(5), linear(10)], [1, 0.5, 0])
  assert optim.schedule("constant", 2e-5, total_steps=5)(4) == np.float32(2e-5)
  with pytest.raises(ValueError, match="expected one of"):
    optim.schedule("cosin", 1.0, total_steps=5)
  with pytest.raises(ValueError, match="warmup_steps 9"):
    optim.schedule("cosine", 1.0, total_steps=5, warmup_steps=9)
