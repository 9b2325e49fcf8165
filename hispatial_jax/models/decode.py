"""Answers, token by token: one prefill, then a while loop, in one jit.

The cache is a value (`attention.Cache`): rows 0 .. P+T-1 hold image and prompt,
right padding included but never seen; row P+T+n holds generated token n of all
rows. Positions continue each prompt's own count, so padding shifts nothing.

Axis letters are those of `models/hispatial.py`; here N counts new tokens.
"""

import functools

import jax
import jax.numpy as jnp

from hispatial_jax.models import apart, gemma2


def generate(
  model,
  params,
  batch,
  *,
  max_new_tokens: int,
  temperature: float = 0.0,
  top_p: float = 1.0,
  rng: jax.Array | None = None,
  eos_id: int = 1,
  cache_dtype: str | None = None,
) -> dict:
  """Continues every prompt until all rows have ended.

  Args:
    model: `hispatial.Model`.
    params: its parameters.
    batch: image, points, text i32[B,T], mask_ar, mask_input i32[B,T]; prompts
      at the left, one question a row; B / R images if each has R rows, see
      `hispatial.Model`. Other keys are ignored.
    max_new_tokens: N.
    temperature: 0 takes the likeliest token; else logits are divided by it.
    top_p: when drawing, keep the smallest set of tokens whose probabilities
      sum to at least this.
    rng: key, needed when temperature > 0.
    eos_id: token that ends a row (it is returned, too).
    cache_dtype: of keys and values; None is the model's dtype.

  Returns:
    tokens i32[B,N], 0 after eos; logp f32[B,N], log-softmax of the untempered
    logits at each token, 0 after eos.

  Raises:
    ValueError: for arguments out of range, or drawing without rng.
  """
  if max_new_tokens < 1:
    raise ValueError(f"max_new_tokens is {max_new_tokens}, expected 1 or more")
  if temperature < 0 or not 0 < top_p <= 1:
    raise ValueError(
      f"temperature is {temperature}, top_p is {top_p}; expected "
      "temperature >= 0 and 0 < top_p <= 1"
    )
  if temperature > 0 and rng is None:
    raise ValueError("temperature > 0 draws tokens: pass rng")
  keys = ("image", "points", "text", "mask_ar", "mask_input")
  prompt = {key: batch[key] for key in keys if key in batch}
  rng = jax.random.key(0) if rng is None else rng
  return _generate(
    model,
    params,
    prompt,
    rng,
    num_tokens=max_new_tokens,
    temperature=temperature,
    top_p=top_p,
    eos_id=eos_id,
    cache_dtype=cache_dtype,
  )


@functools.partial(
  jax.jit,
  static_argnames=(
    "model",
    "num_tokens",
    "temperature",
    "top_p",
    "eos_id",
    "cache_dtype",
  ),
)
def _generate(
  model,
  params,
  prompt,
  rng,
  *,
  num_tokens,
  temperature,
  top_p,
  eos_id,
  cache_dtype,
):
  apply = functools.partial(model.apply, {"params": params})
  record = functools.partial(
    _record,
    rng=rng,
    draw=functools.partial(_draw, temperature=temperature, top_p=top_p),
    eos_id=eos_id,
  )
  logits, cache, real = apply(
    **prompt, cache_dtype=cache_dtype, method="prefill"
  )
  state = record(_start(real.shape[0], num_tokens), logits)
  # The last token is never attended to, so it needs no row.
  cache, visible = reserve(cache, real, num_tokens - 1)
  length = jnp.sum(real, axis=1, dtype=jnp.int32)
  ways = {"default": _stacked}
  if apart.knows(params["llm"]["layers"]):
    ways["cpu"] = _apart
  state = jax.lax.platform_dependent(
    params,
    state,
    cache,
    visible,
    length,
    **{
      platform: functools.partial(_continue, way, model, real.shape[1], record)
      for platform, way in ways.items()
    },
  )
  return {"tokens": state["tokens"], "logp": state["logp"]}


def _continue(way, model, first, record, params, state, cache, visible, length):
  """The loop that makes all tokens after the first.

  Args:
    way: `_apart` or `_stacked`: fn(model, params, cache) -> (fn(token,
      position, cache, visible, row) -> (logits, cache, visible), cache as that
      wants it).
    first: row of the cache that the first token gets.
    record: fn(state, logits) -> state.
    length: i32[B], tokens of the prompts.
  """
  num_tokens = state["tokens"].shape[1]
  extend, cache = way(model, params, cache)

  def unfinished(carry):
    state, _, _ = carry
    return (state["step"] < num_tokens) & ~jnp.all(state["done"])

  def body(carry):
    state, cache, visible = carry
    n = state["step"] - 1  # number of the token to read
    logits, cache, visible = extend(
      state["token"], length + n, cache, visible, first + n
    )
    return record(state, logits), cache, visible

  carry = (state, cache, visible)
  return jax.lax.while_loop(unfinished, body, carry)[0]


def _stacked(model, params, cache):
  """The model's own scan over layers."""

  def extend(token, position, cache, visible, row):
    logits, new = model.apply(
      {"params": params}, token, position, cache, visible, method="extend"
    )
    return logits, *write(cache, visible, new, row)

  return extend, cache


def _apart(model, params, cache):
  """The layers one by one; see `apart`."""
  apply = functools.partial(model.apply, {"params": params})
  llm = gemma2.Model(**model.llm)
  layers = apart.cut(params["llm"]["layers"], model.dtype)

  def extend(token, position, cache, visible, row):
    visible = visible.at[:, row].set(True)
    x = apply(token[:, None], method="embed_text")[:, 0]
    x, cache = apart.extend(llm, layers, x, position, cache, visible, row)
    x = apart.norm(x, params["llm"]["final_norm"]["scale"])
    return apply(x, method="logits"), cache, visible

  return extend, apart.cut_cache(cache)


def _start(batch_size, num_tokens):
  return {
    "step": jnp.int32(0),
    "token": jnp.zeros(batch_size, jnp.int32),
    "done": jnp.zeros(batch_size, bool),
    "tokens": jnp.zeros((batch_size, num_tokens), jnp.int32),
    "logp": jnp.zeros((batch_size, num_tokens)),
  }


def _record(state, logits, *, rng, draw, eos_id):
  """Chooses token `step` of every row that has not ended."""
  step, done = state["step"], state["done"]
  token, logp = draw(logits, jax.random.fold_in(rng, step))
  token, logp = jnp.where(done, 0, token), jnp.where(done, 0.0, logp)
  return {
    "step": step + 1,
    "token": token,
    "done": done | (token == eos_id),
    "tokens": state["tokens"].at[:, step].set(token),
    "logp": state["logp"].at[:, step].set(logp),
  }


def reserve(cache, real, rows):
  """Adds empty rows: (Cache [L,B,S+rows,K,H], visible bool[B,S+rows])."""

  def grow(x):
    return jnp.pad(x, ((0, 0), (0, 0), (0, rows), (0, 0), (0, 0)))

  return jax.tree.map(grow, cache), jnp.pad(real, ((0, 0), (0, rows)))


def write(cache, visible, new, row):
  """Puts `new`, a Cache of one row, at `row` and makes it visible."""

  def put(old, x):
    return jax.lax.dynamic_update_slice_in_dim(old, x, row, axis=2)

  return jax.tree.map(put, cache, new), visible.at[:, row].set(True)


def _draw(logits, rng, *, temperature, top_p):
  """f32[B,V] logits -> (token i32[B], its log-probability f32[B])."""
  largest = jnp.max(logits, axis=-1, keepdims=True)
  if temperature == 0:
    # `jnp.argmax`, which a CPU takes ten times as long for.
    number = jnp.arange(logits.shape[-1], dtype=jnp.int32)
    number = jnp.where(logits == largest, number, number[-1])
    token = jnp.min(number, axis=-1)
  else:
    kept = nucleus(logits / temperature, top_p)
    token = jax.random.categorical(rng, kept, axis=-1)
  total = jnp.sum(jnp.exp(logits - largest), axis=-1)
  logp = jnp.take_along_axis(logits - largest, token[:, None], axis=-1)[:, 0]
  logp -= jnp.log(total)
  return token.astype(jnp.int32), logp


def nucleus(logits, top_p):
  """Sets all but the likeliest tokens, which sum to top_p or more, to -inf."""
  if top_p >= 1:
    return logits
  ordered = -jnp.sort(-logits, axis=-1)
  probs = jax.nn.softmax(ordered, axis=-1)
  before = jnp.cumsum(probs, axis=-1) - probs
  least = jnp.min(
    jnp.where(before < top_p, ordered, jnp.inf), axis=-1, keepdims=True
  )
  return jnp.where(logits >= least, logits, -jnp.inf)
