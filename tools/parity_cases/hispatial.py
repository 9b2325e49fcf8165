"""Kind `hispatial` of tools/parity.py: layout of golden/hispatial_model.

Every shape, size and name comes from config.json and the arrays.
"""

import functools

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from hispatial_jax.core import tree
from hispatial_jax.models import masks, pointmap
from parity_cases import hispatial_case, hispatial_steps, report


def run(folder, perturb=None) -> int:
  """Compares all arrays of the folder; returns the exit code."""
  case = hispatial_case.Case(folder, perturb)
  forward(case)
  loss_and_positions(case)
  hispatial_steps.generation(case)
  hispatial_steps.training(case)
  for name in case.fixture.unused():
    case.report.missing(name)
  return case.report.close()


@functools.partial(jax.jit, static_argnames=("model",))
def _forward(model, params, batch):
  """(text and image pre-logits, logits everywhere, intermediates)."""
  inputs = {k: batch[k] for k in ("image", "points", "text", "mask_ar")}
  (_, out), state = model.apply(
    {"params": params}, **inputs, mutable=["intermediates"]
  )
  variables = {"params": params}
  logits = model.apply(variables, out["pre_logits"], method="logits")
  embedded = model.apply(
    variables, batch["text"], method=lambda m, text: m._llm.embed(text)
  )
  return out, logits, embedded, state["intermediates"]


def forward(case: hispatial_case.Case) -> None:
  """Embedding, towers, fusion, mask, hidden states, logits."""
  params = tree.unflatten(case.params)
  out, logits, embedded, inner = _forward(case.model, params, case.batch)
  _embedding(case)
  B, _, D = out["pointmap/encoded"].shape
  side = case.get("outputs/depth_encoder").shape[2:]
  channels_first = np.asarray(out["pointmap/encoded"]).transpose(0, 2, 1)
  case.check("outputs/depth_encoder", channels_first.reshape(B, D, *side))
  case.check("outputs/vision_last_hidden_state", out["img/encoded"])
  both = np.concatenate([out["img/encoded"], out["pointmap/encoded"]], axis=-1)
  case.check("outputs/projector_input", both)
  case.check("outputs/image_features_unscaled", out["image_tokens"])
  root = np.sqrt(case.config["llm"]["width"])
  case.check("outputs/image_features", out["image_tokens"] / root)
  inputs = np.concatenate([out["image_tokens"], embedded], axis=1)
  case.check("outputs/inputs_embeds", inputs / root)
  # Rows of padding queries mean nothing (FORMAT.md, "Mask, training").
  case.check("outputs/attention_visible", out["attn_mask"], rows=case.real)
  layers = [*inner["llm"]["layers"]["x"][0], out["pre_logits"]]
  for i, hidden in enumerate(layers):
    case.check(f"outputs/hidden_states/{i}", hidden, rows=case.real)
  case.check("outputs/logits", logits, rows=case.real)
  next_label = np.pad(case.labels, ((0, 0), (0, 1)), constant_values=-100)
  b, t = np.nonzero(next_label[:, 1:] != -100)
  case.check("outputs/suffix_logits/index_bt", np.stack([b, t], axis=1))
  case.check("outputs/suffix_logits/target", next_label[b, t + 1])
  case.check("outputs/suffix_logits/values", np.asarray(logits)[b, t])


def _embedding(case):
  prefix, F = "outputs/xyz_embed", case.config["pointmap"]["num_freqs"]
  b, row, col = case.get(f"{prefix}/pixel_index_bhw").T
  points = case.batch["points"][b, row, col]
  case.check(f"{prefix}/xyz_and_mask", points)
  case.check(f"{prefix}/values", pointmap.encode(jnp.asarray(points), F))
  rounded = points.copy()
  rounded[:, :3] = points[:, :3].astype(ml_dtypes.bfloat16)
  case.check(
    f"{prefix}/values_if_xyz_rounded_to_bf16",
    pointmap.encode(jnp.asarray(rounded), F),
  )


def loss_and_positions(case: hispatial_case.Case) -> None:
  """Positions (counted from 1 there), loss with and without points."""
  real = np.ones_like(case.batch["text"][:1], bool)
  positions = masks.positions(case.P, jnp.asarray(real))
  case.check("outputs/position_ids", positions + 1)
  params = tree.unflatten(case.params)
  loss, grads = hispatial_case.loss_and_gradients(
    case.model, params, case.batch
  )
  case.check("outputs/loss", loss)
  blind = {**case.batch, "points": np.zeros_like(case.batch["points"])}
  loss, _ = hispatial_case.loss_and_gradients(case.model, params, blind)
  case.check("outputs/loss_if_xyz_all_zero", loss)
  gradients(case, grads)


def gradients(case: hispatial_case.Case, grads) -> None:
  """Full gradients of some tensors, norms of all."""
  theirs = hispatial_case.to_theirs(tree.flatten(grads))
  norms = {n: np.linalg.norm(x.astype(np.float64)) for n, x in theirs.items()}
  for prefix in ("grad_norm/", "grad_norm_if_vision_unfrozen/"):
    for name in case.names(prefix):
      got = norms[name.removeprefix(prefix)]
      # A key's bias shifts all scores of a query alike: its gradient is zero
      # up to rounding, so it is held against that of the key's weight.
      beside = name.removeprefix(prefix).replace("k_proj.bias", "k_proj.weight")
      size = norms[beside] * report.TOLERANCE
      if "k_proj.bias" not in name:
        size = hispatial_case.NORM_RTOL * case.get(name)
      case.check(name, got, atol=size)
  frozen = "vision_tower."
  total = [x for name, x in norms.items() if not name.startswith(frozen)]
  want = case.get("grad_norm_total")
  case.check(
    "grad_norm_total",
    np.linalg.norm(total),
    atol=hispatial_case.NORM_RTOL * want,
  )
  for name in case.names("grad/"):
    case.check(name, hispatial_case.part(theirs, name.removeprefix("grad/")))
