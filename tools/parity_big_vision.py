"""Kind `big_vision` of tools/parity.py: layout of golden/big_vision.

Every shape and size comes from meta.json and the arrays.
"""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import parity_decode
import parity_report

from hispatial_jax.core import tree
from hispatial_jax.models import hispatial, siglip, sizes
from hispatial_jax.models import loss as loss_lib
from hispatial_jax.weights import npz

_CASES = "cases.npz"
_KEY_BIAS = "/key/bias"


def run(folder, perturb=None) -> int:
  """Compares all arrays of the folder; returns the exit code."""
  case = Case(folder, perturb)
  forward(case)
  bfloat16_files(case)
  loss_and_gradients(case)
  decoding(case)
  grid = tuple(int(n) for n in case.get("posemb_resample/new_grid"))
  table = siglip.resample_positions(case.params["img/pos_embedding"], grid)
  case.check("posemb_resample/new", table)
  for name in case.fixture.unused():
    case.report.missing(name)
  return case.report.close()


def _model_config(meta, shapes) -> dict:
  """Arguments of hispatial.Model; big_vision's own call has no final softcap.

  Args:
    meta: content of meta.json.
    shapes: {name: shape} of the parameters.
  """
  img, llm = meta["config"]["img"], meta["llm_variant"]
  keys = ("width", "depth", "mlp_dim", "num_heads", "num_kv_heads", "head_dim")
  per_head = llm.get("query_pre_attn_norm") == "rsqrt_emb_per_head"
  scale = llm["width"] // llm["num_heads"] if per_head else llm["head_dim"]
  return {
    "img": {
      **{key: img[key] for key in keys[:4]},
      "num_outputs": llm["width"],
      "patch_size": img["patch_size"][0],
      "image_size": meta["image_size"],
    },
    "llm": {
      **{key: llm[key] for key in keys},
      "vocab_size": shapes["llm/embedder/input_embedding"][0],
      "query_scale": scale**-0.5,
      "attn_softcap": llm["attn_logits_softcap"],
      "final_softcap": None,
    },
  }


class Case:
  """The fixture, the model without final softcap, and one batch.

  Attributes:
    fixture, report: see parity_report.
    model, params: of hispatial_jax; params is flat.
    cap: the final softcap.
    batch: image, points (None), text, mask_ar, mask_loss.
  """

  def __init__(self, folder, perturb):
    self.folder, self.perturb = folder, perturb
    self.fixture = parity_report.Fixture(folder, [_CASES])
    self.report = parity_report.Report()
    self.params = self.load("params.npz")
    meta = json.loads((folder / "meta.json").read_text())
    shapes = {name: x.shape for name, x in self.params.items()}
    config = _model_config(meta, shapes)
    tree.check(
      {
        name: x.shape
        for name, x in tree.flatten(sizes.param_shapes(config)).items()
      },
      shapes,
      what=f"{folder}/params.npz does not fit meta.json",
    )
    self.model = hispatial.Model(**config)
    self.width = config["llm"]["width"]
    self.cap = meta["llm_variant"]["final_logits_softcap"]
    self.batch = {
      "image": self.get("image_u8").astype(np.float32) / 127.5 - 1,
      "points": None,
      **{key: self.get(key) for key in ("text", "mask_ar", "mask_loss")},
    }

  def load(self, file):
    """{name: array} of a parameter file, perturbed if asked."""
    found = npz.read(self.folder / file)
    params = {name: jnp.asarray(np.asarray(x)) for name, x in found.items()}
    return parity_report.perturbed(params, self.perturb)

  def get(self, name):
    """An array of cases.npz."""
    return self.fixture.get(_CASES, name)

  def check(self, name, got, *, atol=0.0):
    """Compares with an array of cases.npz."""
    self.report.compare(name, got, self.get(name), atol=atol)


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


def forward(case: Case) -> None:
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


def bfloat16_files(case: Case) -> None:
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


def loss_and_gradients(case: Case) -> None:
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
    size = parity_report.TOLERANCE if name.endswith(_KEY_BIAS) else 0.0
    norm = float(jnp.linalg.norm(beside.ravel()))
    got = jnp.linalg.norm(grad.ravel())
    case.check(f"grad_l2/{name}", got, atol=size * norm)
    if case.fixture.names(_CASES, f"grad/{name}"):
      case.check(f"grad/{name}", grad, atol=size * float(jnp.abs(beside).max()))


def decoding(case: Case) -> None:
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
  tokens = parity_decode.beam(
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
  logits, tokens, cache = parity_decode.cached(
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
  """A twentieth of what the reference's own rounding of the cache changes.

  A few keys lie so near the middle of two bfloat16 numbers that the last bit
  of float32 decides which of them is stored.
  """
  exact = case.get(f"decode/f32cache/{name}")
  return 0.05 * float(np.max(np.abs(case.get(f"{prefix}/{name}") - exact)))


def _uncached(case, params, batch, prefix, tokens, cap):
  """The same steps by whole forwards: cache and no cache agree."""
  logits = parity_decode.uncached(case.model, params, batch, tokens)
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
