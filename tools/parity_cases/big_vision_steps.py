"""Kind `big_vision`, what takes several steps: decoding."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from hispatial_jax.core import tree
from parity_cases import big_vision_case, decode


def decoding(case: big_vision_case.Case) -> None:
  """Greedy decoding with three caches, the cache itself, and beam search."""
  keys = ("text", "mask_ar", "mask_input")
  batch = {key: case.get(f"decode/{key}") for key in keys}
  batch |= {"image": case.batch["image"], "points": None}
  runs = {
    "f32cache": {"cap": case.cap},
    "bf16cache": {"cap": case.cap, "cache_dtype": "bfloat16"},
    "nosoftcap_f32cache": {},
  }
  params = tree.unflatten(case.params)
  caches = {}
  for name, options in runs.items():
    caches[name] = _greedy(case, params, batch, f"decode/{name}", options)
  _cache(case, batch, caches["f32cache"])
  want = case.get("decode/beam3_f32cache/tokens")
  tokens = decode.beam(
    case.model,
    params,
    batch,
    width=3,
    steps=want.shape[1],
    eos_id=int(case.get("decode/eos_token")),
    cap=case.cap,
  )
  case.check("decode/beam3_f32cache/tokens", tokens)


def _greedy(case, params, batch, prefix, options):
  steps = case.get(f"{prefix}/step_logits").shape[1]
  logits, tokens, cache = decode.cached(
    case.model, params, batch, steps, **options
  )
  rounded = bool(options.get("cache_dtype"))
  noise = functools.partial(_cache_noise, case, prefix) if rounded else _none
  case.check(f"{prefix}/step_logits", logits, atol=noise("step_logits"))
  case.check(f"{prefix}/tokens_no_stop", tokens)
  logp = np.asarray(jax.nn.log_softmax(jnp.asarray(logits), axis=-1))
  logp = np.take_along_axis(logp, tokens[..., None], axis=-1)[..., 0]
  # The reference stops once all examples have ended; what follows is 0.
  ended = np.cumsum(tokens == int(case.get("decode/eos_token")), axis=1) > 0
  after = np.pad(ended.all(axis=0), (1, 0))[:-1]
  case.check(f"{prefix}/tokens", np.where(after, 0, tokens))
  case.check(f"{prefix}/logp", np.where(after, 0, logp), atol=noise("logp"))
  if not rounded:
    _uncached(case, params, batch, prefix, tokens, options.get("cap"))
  return cache


def _none(name) -> float:
  del name
  return 0.0


def _cache_noise(case, prefix, name) -> float:
  """A fifth of what the reference's own rounding of the cache changes.

  A few keys lie so near the middle of two bfloat16 numbers that the last bit
  of float32 decides which of them is stored. One in some thousand such steps,
  each four times as large as the rounding's mean, comes to 5 to 13 % of it,
  from one kind of processor to another.
  """
  exact = case.get(f"decode/f32cache/{name}")
  return 0.2 * float(np.max(np.abs(case.get(f"{prefix}/{name}") - exact)))


def _uncached(case, params, batch, prefix, tokens, cap):
  """The same steps by whole forwards: cache and no cache agree."""
  logits = decode.uncached(case.model, params, batch, tokens)
  if cap:
    logits[:, 1:] = cap * np.tanh(logits[:, 1:] / cap)
  want = case.get(f"{prefix}/step_logits")
  case.report.compare(f"{prefix}/step_logits (uncached)", logits, want)


def _cache(case, batch, cache):
  """Rows of the cache after the prompt; there it is rolled to the right."""
  rows = cache.k.shape[2]
  P = rows - batch["text"].shape[1]
  seq_len = P + batch["mask_input"].sum(axis=1)
  case.check("decode/cache/seq_len", seq_len)
  case.check("decode/cache/begin", rows - seq_len)
  case.check("decode/cache/end", np.full_like(seq_len, rows))
  name = "decode/cache/k_cache_layer0_ex0"
  want = case.get(name)
  begin = rows - int(seq_len[0])
  # Rows outside begin:end are never attended to.
  got = cache.k[0, 0, : rows - begin]
  case.report.compare(f"{name}[begin:end]", got, want[begin:rows])
