"""Against big_vision's own PaliGemma-2 (golden/big_vision)."""

import golden_models
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hispatial_jax.core import tree
from hispatial_jax.models import decode, gemma2, hispatial, loss, siglip

_P = 16  # image tokens


@pytest.fixture(autouse=True, scope="module")
def _exact():
  with jax.default_matmul_precision("highest"):
    yield


@pytest.fixture(scope="module")
def cases():
  return golden_models.arrays("big_vision/cases.npz")


def _image(cases):
  return cases["image_u8"].astype(np.float32) / np.float32(127.5) - 1


def _call(params, cases, **changes):
  config, _ = golden_models.big_vision_model()
  model = hispatial.Model(**golden_models.changed(config, **changes))
  return model.apply(
    {"params": params},
    _image(cases),
    None,
    cases["text"][:, :-1],
    cases["mask_ar"][:, :-1],
    mutable="intermediates",
  )


@pytest.fixture(scope="module")
def outputs(cases):
  """(logits, out, intermediates) of one call."""
  (logits, out), state = _call(golden_models.big_vision_model()[1], cases)
  return logits, out, state["intermediates"]


def test_image_tower(cases, outputs):
  _, out, state = outputs
  golden_models.close(state["img"]["stem"][0][0], cases["call/img_stem"])
  golden_models.close(out["img/encoded"], cases["call/img_encoded"])
  golden_models.close(out["image_tokens"], cases["call/image_tokens"])


def test_language_model(cases, outputs):
  logits, out, state = outputs
  (layers,) = state["llm"]["layers"]["x"]
  golden_models.close(layers[0, 0, _P:], cases["call/text_embeddings_ex0"])
  golden_models.close(state["llm"]["encoded"][0], cases["call/llm_encoded"])
  golden_models.close(out["pre_logits"], cases["call/llm_pre_logits"])
  golden_models.close(logits, cases["call/text_logits"])
  tokens = jnp.argmax(logits, axis=-1)
  np.testing.assert_array_equal(tokens, cases["call/text_tokens"])


def test_attention_mask(cases, outputs):
  _, out, _ = outputs
  np.testing.assert_array_equal(out["attn_mask"], cases["call/attn_mask"])


def test_softcapped_logits(cases, outputs):
  config, params = golden_models.big_vision_model()
  capped = golden_models.changed(config, final_softcap=30.0)
  got = hispatial.Model(**capped).apply(
    {"params": params}, outputs[1]["pre_logits"][0], method="logits"
  )
  golden_models.close(got, cases["call/llm_logits_softcapped_ex0"])


def test_attention_softcap_matters(cases):
  params = golden_models.big_vision_model()[1]
  (_, out), _ = _call(params, cases, attn_softcap=0)
  off = np.abs(out["pre_logits"] - cases["call/llm_pre_logits"]).max()
  assert off > 10  # FORMAT.md: it moves pre-logits by 15


def test_bfloat16_parameters_as_float32(cases):
  params = golden_models.nested(
    golden_models.arrays("big_vision/params.bf16.npz")
  )
  (logits, out), _ = _call(params, cases)
  name = "call_bf16params_upcast"
  golden_models.close(out["image_tokens"], cases[f"{name}/image_tokens"])
  golden_models.close(logits, cases[f"{name}/text_logits"])


def test_bfloat16_parameters_as_big_vision_computes_with_them(cases):
  """There sqrt(width) is rounded to bfloat16; nothing else differs.

  1 + scale is a bfloat16 sum, too, but XLA keeps its excess precision.
  """
  config, _ = golden_models.big_vision_model()
  params = golden_models.nested(
    golden_models.arrays("big_vision/params.bf16.npz")
  )
  image, _ = hispatial.Model(**config).apply(
    {"params": params}, _image(cases), None, method="embed_image"
  )
  name = "call_bf16params_as_loaded"
  golden_models.close(image, cases[f"{name}/image_tokens"])
  table = params["llm"]["embedder"]["input_embedding"]
  factor = jnp.sqrt(jnp.float32(48)).astype(jnp.bfloat16)
  text = table[cases["text"][:, :-1]] * factor.astype(jnp.float32)
  x = jnp.concatenate([image, text], axis=1)
  llm, variables = gemma2.Model(**config["llm"]), {"params": params["llm"]}
  positions = jnp.broadcast_to(jnp.arange(x.shape[1]), x.shape[:2])
  x, _ = llm.apply(variables, x, positions, cases["call/attn_mask"])
  logits = llm.apply(variables, x[:, _P:], method="logits")
  golden_models.close(logits, cases[f"{name}/text_logits"])


def _batch(cases):
  names = ("text", "mask_ar", "mask_loss")
  return {"image": _image(cases), **{name: cases[name] for name in names}}


def test_loss(cases):
  config, params = golden_models.big_vision_model()
  got, aux = loss.next_token_loss(
    hispatial.Model(**config), params, _batch(cases), reduce="examples"
  )
  golden_models.close(got, cases["loss/mean"])
  mask = np.asarray(aux["mask"])
  per_example = (np.asarray(aux["nll"]) * mask).sum(1) / mask.sum(1)
  golden_models.close(per_example, cases["loss/per_example"])


def test_gradients(cases):
  config, params = golden_models.big_vision_model()
  model = hispatial.Model(**config)

  @jax.jit
  @jax.grad
  def gradient(params):
    batch = _batch(cases)
    return loss.next_token_loss(model, params, batch, reduce="examples")[0]

  checked, grads = 0, tree.flatten(gradient(params))
  for key, want in cases.items():
    kind, _, name = key.partition("/")
    if kind not in ("grad", "grad_l2"):
      continue
    got = grads[name.removeprefix("params/")]
    got = np.linalg.norm(got) if kind == "grad_l2" else got
    if name.endswith("key/bias"):  # zero up to rounding: compare absolutely
      assert np.abs(np.asarray(got) - want).max() < 1e-3
    else:
      golden_models.close(got, want)
    checked += 1
  assert checked == 21 + 34


def _prompt(cases):
  names = ("text", "mask_ar", "mask_input")
  prompt = {name: cases[f"decode/{name}"] for name in names}
  return {"image": _image(cases), "points": None, **prompt}


@pytest.mark.parametrize(
  ("name", "cap", "cache_dtype"),
  [
    ("f32cache", 30.0, None),
    ("bf16cache", 30.0, "bfloat16"),
    ("nosoftcap_f32cache", 0.0, None),
  ],
)
def test_decoding(cases, name, cap, cache_dtype):
  config, params = golden_models.big_vision_model()
  model = hispatial.Model(**golden_models.changed(config, final_softcap=cap))
  uncapped = hispatial.Model(**config)
  prompt = _prompt(cases)
  got = decode.generate(
    model, params, prompt, max_new_tokens=8, cache_dtype=cache_dtype
  )
  case = {k: cases[f"decode/{name}/{k}"] for k in ("tokens", "logp")}
  np.testing.assert_array_equal(got["tokens"], case["tokens"])
  no_stop = cases[f"decode/{name}/tokens_no_stop"]
  np.testing.assert_array_equal(got["tokens"], no_stop)
  want = cases[f"decode/{name}/step_logits"]
  steps, _ = golden_models.step_logits(
    model, params, prompt, case["tokens"], cache_dtype
  )
  # Rounding keys to bfloat16 turns noise of 1e-7, which differs from one kind
  # of processor to another, into steps of 4e-3.
  tolerance = 2**-7 if cache_dtype else golden_models.TOLERANCE
  golden_models.close(steps[:, 1:], want[:, 1:], tolerance)
  # A log-probability is as exact as the logits that it is a difference of.
  off = np.abs(got["logp"][:, 1:] - case["logp"][:, 1:]).max()
  assert off <= tolerance * np.abs(want).max()
  # big_vision never caps the first step; nor does our model without a cap.
  first, _ = golden_models.step_logits(
    uncapped, params, prompt, case["tokens"][:, :1], cache_dtype
  )
  golden_models.close(first, want[:, :1], tolerance)


def test_cache_rows(cases):
  config, params = golden_models.big_vision_model()
  prompt = _prompt(cases)
  _, cache = golden_models.step_logits(
    hispatial.Model(**config), params, prompt, cases["decode/text"][:, :1]
  )
  real = prompt["mask_input"].sum(axis=1) + _P
  np.testing.assert_array_equal(real, cases["decode/cache/seq_len"])
  begin, end = cases["decode/cache/begin"][0], cases["decode/cache/end"][0]
  want = cases["decode/cache/k_cache_layer0_ex0"]
  # There, rows stand at the right; here, at the left.
  golden_models.close(cache.k[0, 0, : real[0]], want[begin:end])
  assert not want[end:].any()


def test_position_table_of_another_size(cases):
  table = golden_models.big_vision_model()[1]["img"]["pos_embedding"]
  got = siglip.resample_positions(
    table, tuple(cases["posemb_resample/new_grid"])
  )
  golden_models.close(got, cases["posemb_resample/new"])
