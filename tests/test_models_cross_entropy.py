"""The loss in chunks: today's values and gradients, and no array of logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hispatial_jax.core import mesh
from hispatial_jax.models import attention, cross_entropy

_B, _T, _D, _V = 3, 7, 8, 96


def _case(dtype="float32"):
  keys = jax.random.split(jax.random.key(0), 4)
  x = jax.random.normal(keys[0], (_B, _T, _D)).astype(dtype)
  table = 2 * jax.random.normal(keys[1], (_V, _D))
  targets = jax.random.randint(keys[2], (_B, _T), 0, _V)
  weights = jax.random.uniform(keys[3], (_B, _T)).at[1, 4:].set(0.0)
  return x, table, targets, weights


def _plain(x, table, targets, weights, softcap):
  logits = jnp.einsum(
    "BTD,VD->BTV",
    x,
    table.astype(x.dtype),
    preferred_element_type=jnp.float32,
  )
  logits = attention.softcap(logits, softcap)
  nll = -jnp.take_along_axis(
    jax.nn.log_softmax(logits), targets[..., None], axis=-1
  )[..., 0]
  return jnp.sum(nll * weights), nll, jnp.argmax(logits, axis=-1) == targets


@pytest.mark.parametrize(
  ("softcap", "chunk"), [(2.0, 0), (30.0, 3), (0.0, 7), (2.0, 100)]
)
def test_equal_to_the_plain_loss(softcap, chunk):
  x, table, targets, weights = _case()
  total, nll, correct = cross_entropy.weighted(
    x, table, targets, weights, softcap, chunk
  )
  wanted = _plain(x, table, targets, weights, softcap)
  np.testing.assert_allclose(total, wanted[0], rtol=1e-6)
  np.testing.assert_allclose(nll, wanted[1], rtol=1e-5, atol=1e-6)
  np.testing.assert_array_equal(correct, wanted[2])

  def ours(x, table):
    of = cross_entropy.weighted(x, table, targets, weights, softcap, chunk)
    return 3.0 * of[0]

  def plain(x, table):
    return 3.0 * _plain(x, table, targets, weights, softcap)[0]

  got = jax.grad(ours, argnums=(0, 1))(x, table)
  want = jax.grad(plain, argnums=(0, 1))(x, table)
  for a, b in zip(got, want, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_bfloat16_gradients_keep_their_dtypes():
  x, table, targets, weights = _case("bfloat16")

  def ours(x, table):
    return cross_entropy.weighted(x, table, targets, weights, 30.0, 2)[0]

  dx, dtable = jax.grad(ours, argnums=(0, 1))(x, table)
  assert (dx.dtype, dtable.dtype) == (jnp.bfloat16, jnp.float32)
  want = jax.grad(lambda t: _plain(x, t, targets, weights, 30.0)[0])(table)
  # 8 bits of mantissa in the gradient of the logits
  np.testing.assert_allclose(dtable, want, atol=0.02 * np.abs(want).max())


def test_equal_logits_go_to_the_first_word():
  x, table, targets, weights = _case()
  table = table.at[:].set(table[:1])
  targets = targets.at[:].set(0)
  right = cross_entropy.weighted(x, table, targets, weights, 30.0, 2)[2]
  assert right.all()
  wrong = cross_entropy.weighted(x, table, targets + 1, weights, 30.0, 2)[2]
  assert not wrong.any()


def test_no_array_of_all_logits():
  x, table, targets, weights = _case()

  def ours(chunk):
    def of(x, table):
      return cross_entropy.weighted(x, table, targets, weights, 30.0, chunk)[0]

    return str(jax.make_jaxpr(jax.value_and_grad(of, argnums=(0, 1)))(x, table))

  assert f"[{_B},{_T},{_V}]" in ours(0)
  chunked = ours(2)
  assert f"[{_B},2,{_V}]" in chunked
  for size in (_T, _B * _T):
    assert f"{size},{_V}]" not in chunked


def test_on_a_mesh_of_one():
  args = _case()
  want = cross_entropy.weighted(*args, 30.0, 2)
  with mesh.use(mesh.make(devices=jax.devices()[:1])):
    got = jax.jit(cross_entropy.weighted, static_argnums=(4, 5))(*args, 30.0, 2)
  for a, b in zip(got, want, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-6)


def _products(of, *args):
  return str(jax.make_jaxpr(of)(*args)).count("dot_general")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_gradient_of_a_frozen_table_is_computed(dtype):
  x, table, targets, weights = _case(dtype)

  def ours(x, table):
    return cross_entropy.weighted(x, table, targets, weights, 30.0, 2)[0]

  both = jax.grad(ours, argnums=(0, 1))
  assert _products(ours, x, table) == 1
  assert _products(jax.grad(ours), x, table) == 2
  assert _products(both, x, table) == 3
  np.testing.assert_array_equal(jax.grad(ours)(x, table), both(x, table)[0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_table_gradient_waits_in_the_compute_dtype(dtype):
  x, table, targets, weights = _case(dtype)

  def kept(x, table):
    def of(x, table):
      return cross_entropy.weighted(x, table, targets, weights, 30.0, 2)[0]

    return jax.tree.leaves(jax.vjp(of, x, table)[1])

  whole = [k for k in jax.eval_shape(kept, x, table) if k.shape == (_V, _D)]
  assert [k.dtype for k in whole] == [dtype]


def test_nothing_is_asked_of_the_sum():
  x, table, targets, weights = _case()

  def correct(x, table):
    out = cross_entropy.weighted(x, table, targets, weights, 30.0, 2)
    return jnp.sum(out[1])

  got = jax.grad(correct, argnums=(0, 1))(x, table)
  assert not any(np.asarray(g).any() for g in got)
