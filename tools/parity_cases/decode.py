"""Decoding, one visible step after the other, for tools/parity.py.

`models/decode.py` answers in one jitted loop; parity needs the logits of every
step, a decoder without any cache, and beam search.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from hispatial_jax.models import decode

_KEYS = ("image", "points", "text", "mask_ar", "mask_input")


@functools.partial(jax.jit, static_argnames=("model", "cache_dtype"))
def _prefill(model, params, batch, cache_dtype=None):
  return model.apply(
    {"params": params}, **batch, cache_dtype=cache_dtype, method="prefill"
  )


@functools.partial(jax.jit, static_argnames=("model",))
def _extend(model, params, *args):
  return model.apply({"params": params}, *args, method="extend")


def _prompt(batch):
  """What prefill reads; plain PaliGemma-2 has no points."""
  return {key: batch.get(key) for key in _KEYS}


def cached(model, params, batch, steps, *, cap=None, cache_dtype=None):
  """Greedy decoding that never stops.

  Args:
    model, params, batch: as in decode.generate.
    steps: number of new tokens.
    cap: softcap of all steps but the first, or None (big_vision's habit).
    cache_dtype: of keys and values.

  Returns:
    (logits f32[B,steps,V], tokens i32[B,steps], Cache after the prompt).
  """
  batch = _prompt(batch)
  logits, first, real = _prefill(model, params, batch, cache_dtype)
  cache, visible = decode.reserve(first, real, steps)
  length = jnp.sum(real, axis=1, dtype=jnp.int32)
  all_logits, tokens = [logits], []
  for step in range(steps):
    tokens.append(jnp.argmax(all_logits[-1], axis=-1).astype(jnp.int32))
    if step + 1 == steps:
      break
    logits, new = _extend(
      model, params, tokens[-1], length + step, cache, visible
    )
    row = real.shape[1] + step
    cache, visible = decode.write(cache, visible, new, row)
    all_logits.append(cap * jnp.tanh(logits / cap) if cap else logits)
  return np.stack(all_logits, 1), np.stack(tokens, 1), first


def continued(batch, tokens, room):
  """The batch with tokens after each row's prompt, padded to one length.

  Args:
    batch: as in decode.generate; B prompts.
    tokens: i32[B,n], n <= room.
    room: rows to add to the text, so that every n compiles to one program.
  """
  text, ar, real = (
    np.pad(np.asarray(batch[key]), ((0, 0), (0, room)))
    for key in ("text", "mask_ar", "mask_input")
  )
  for row, length in enumerate(real.sum(axis=1)):
    text[row, length : length + tokens.shape[1]] = tokens[row]
    ar[row, length:] = 1
    real[row, length : length + tokens.shape[1]] = 1
  return {**batch, "text": text, "mask_ar": ar, "mask_input": real}


def uncached_step(model, params, batch, tokens, room):
  """f32[B,V]: logits after prompt and tokens, by one whole forward."""
  batch = _prompt(continued(batch, tokens, room))
  return np.asarray(_prefill(model, params, batch)[0])


def uncached(model, params, batch, tokens):
  """f32[B,n,V]: logits of every step of tokens i32[B,n], each from scratch."""
  n = tokens.shape[1]
  steps = [
    uncached_step(model, params, batch, tokens[:, :step], n)
    for step in range(n)
  ]
  return np.stack(steps, axis=1)


def beam(model, params, batch, *, width, steps, eos_id, cap=None):
  """Beam search as the reference does it: i32[B,steps], 0 after eos.

  Any live sequence may end at any step; the best ended one is returned. Scores
  are sums of log-probabilities without length penalty.

  Args:
    model, params, batch: as in decode.generate.
    width: live sequences kept for each prompt.
    steps: most new tokens.
    eos_id: token that ends a sequence.
    cap: see `cached`.
  """
  whole = {k: np.asarray(batch[k]) for k in _KEYS if batch.get(k) is not None}
  found = []
  for row in range(len(batch["text"])):
    one = {key: x[row : row + 1] for key, x in whole.items()}
    found.append(_beam_one(model, params, one, width, steps, eos_id, cap))
  return np.stack(found)


def _beam_one(model, params, prompt, width, steps, eos_id, cap):
  live, best = [((), 0.0)], ((), -np.inf)
  for step in range(steps):
    logp = _log_probs(model, params, prompt, live, width, steps, step, cap)
    ended = [
      ((*t, eos_id), s + p[eos_id])
      for (t, s), p in zip(live, logp, strict=True)
    ]
    best = max([best, *ended], key=lambda candidate: candidate[1])
    grown = [
      ((*t, int(token)), s + p[token])
      for (t, s), p in zip(live, logp, strict=True)
      for token in np.argsort(-p, kind="stable")[: width + 1]
      if token != eos_id
    ]
    live = sorted(grown, key=lambda candidate: -candidate[1])[:width]
    if live[0][1] < best[1]:
      break
  tokens = np.zeros(steps, np.int32)
  tokens[: len(best[0])] = best[0]
  return tokens


def _log_probs(model, params, prompt, live, width, steps, step, cap):
  tokens = np.array([t for t, _ in live], np.int32).reshape(len(live), step)
  tokens = np.pad(tokens, ((0, width - len(live)), (0, 0)))
  many = {key: np.repeat(x, width, axis=0) for key, x in prompt.items()}
  logits = uncached_step(model, params, many, tokens, steps)[: len(live)]
  if cap and step:
    logits = cap * np.tanh(logits / cap)
  return np.asarray(jax.nn.log_softmax(jnp.asarray(logits), axis=-1))
