"""Kind `big_vision` of tools/parity.py: layout of golden/big_vision.

Every shape and size comes from meta.json and the arrays.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from hispatial_jax.core import tree
from hispatial_jax.models import loss as loss_lib
from hispatial_jax.models import siglip
from parity_cases import big_vision_case, big_vision_steps, report

_KEY_BIAS = "/key/bias"


def run(folder, perturb=None) -> int:
  """Compares all arrays of the folder; returns the exit code."""
  case = big_vision_case.Case(folder, perturb)
  forward(case)
  bfloat16_files(case)
  loss_and_gradients(case)
  big_vision_steps.decoding(case)
  grid = tuple(int(n) for n in case.get("posemb_resample/new_grid"))
  table = siglip.resample_positions(case.params["img/pos_embedding"], grid)
  case.check("posemb_resample/new", table)
  for name in case.fixture.unused():
    case.report.missing(name)
  return case.report.close()


@functools.partial(jax.jit, static_argnames=("model",))
def _forward(model, params, inputs):
  (logits, out), state = model.apply(
    {"params": params}, **inputs, mutable=["intermediates"]
  )
  everywhere = model.apply(
    {"params": params}, out["pre_logits"], method="logits"
  )
  embedded = model.apply(
    {"params": params},
    inputs["text"],
    method=lambda m, text: m._llm.embed(text),
  )
  return logits, out, everywhere, embedded, state["intermediates"]


def _inputs(batch):
  """What the model sees: all but the last token."""
  text = {key: batch[key][:, :-1] for key in ("text", "mask_ar")}
  return {"image": batch["image"], "points": None, **text}


def forward(case: big_vision_case.Case) -> None:
  """One call of the model, in float32."""
  params = tree.unflatten(case.params)
  logits, out, everywhere, embedded, inner = _forward(
    case.model, params, _inputs(case.batch)
  )
  case.check("call/img_stem", inner["img"]["stem"][0][0])
  case.check("call/img_encoded", out["img/encoded"])
  case.check("call/image_tokens", out["image_tokens"])
  case.check("call/text_embeddings_ex0", embedded[0])
  case.check("call/attn_mask", out["attn_mask"])
  case.check("call/llm_encoded", inner["llm"]["encoded"][0])
  case.check("call/llm_pre_logits", out["pre_logits"])
  case.check("call/text_logits", logits)
  case.check("call/text_tokens", jnp.argmax(logits, axis=-1))
  capped = case.cap * jnp.tanh(everywhere[0] / case.cap)
  case.check("call/llm_logits_softcapped_ex0", capped)


def bfloat16_files(case: big_vision_case.Case) -> None:
  """The bfloat16 file, raised to float32 or used as it is."""
  raw = case.load("params.bf16.npz")
  params = {name: x.astype(jnp.float32) for name, x in raw.items()}
  inputs = _inputs(case.batch)
  logits, out, *_ = _forward(case.model, tree.unflatten(params), inputs)
  prefix = "call_bf16params_upcast"
  case.check(f"{prefix}/text_logits", logits)
  case.check(f"{prefix}/image_tokens", out["image_tokens"])
  # Kept in bfloat16, the file changes one number: sqrt(width), the factor of
  # the embedding, is rounded. Products and 1 + scale stay in float32, for the
  # compiler fuses them.
  root = jnp.sqrt(jnp.float32(case.width))
  rounded = root.astype(jnp.bfloat16).astype(jnp.float32)
  table = "llm/embedder/input_embedding"
  embedding = {**params, table: params[table] * (rounded / root)}
  _, out, *_ = _forward(case.model, tree.unflatten(embedding), inputs)
  P = out["image_tokens"].shape[1]
  variables = {"params": tree.unflatten(params)}
  logits = case.model.apply(
    variables, out["pre_logits"][:, P:], method="logits"
  )
  prefix = "call_bf16params_as_loaded"
  case.check(f"{prefix}/text_logits", logits)
  case.check(f"{prefix}/image_tokens", out["image_tokens"])


def loss_and_gradients(case: big_vision_case.Case) -> None:
  """The trainer's loss, and its gradient for every parameter."""

  def loss(params):
    return loss_lib.next_token_loss(
      case.model, params, case.batch, reduce="examples"
    )

  params = tree.unflatten(case.params)
  (mean, aux), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
  case.check("loss/mean", mean)
  count = np.maximum(np.sum(aux["mask"], axis=1), 1)
  per_example = np.sum(aux["nll"] * aux["mask"], axis=1) / count
  case.check("loss/per_example", per_example)
  named = tree.flatten(grads)
  for name, grad in named.items():
    # A key's bias shifts all scores of a query alike: its gradient is zero up
    # to rounding, so it is held against that of the key's kernel.
    beside = named[name.replace(_KEY_BIAS, "/key/kernel")]
    size = report.TOLERANCE if name.endswith(_KEY_BIAS) else 0.0
    norm = float(jnp.linalg.norm(beside.ravel()))
    got = jnp.linalg.norm(grad.ravel())
    case.check(f"grad_l2/{name}", got, atol=size * norm)
    if case.names(f"grad/{name}"):
      case.check(f"grad/{name}", grad, atol=size * float(jnp.abs(beside).max()))
