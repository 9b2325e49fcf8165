"""Kind `hispatial` of tools/parity.py: layout of golden/hispatial_model.

Every shape, size and name comes from config.json and the arrays.
"""

import functools
import json

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import parity_hispatial_steps
import parity_report

from hispatial_jax.core import tree
from hispatial_jax.models import hispatial as hispatial_model
from hispatial_jax.models import loss as loss_lib
from hispatial_jax.models import masks, pointmap
from hispatial_jax.weights import hispatial, lazy, paligemma, rename, source

_FORWARD = "forward.npz"
# FORMAT.md, "Tolerances": gradient norms agree to 1e-3 of their value.
NORM_RTOL = 1e-3


def run(folder, perturb=None) -> int:
  """Compares all arrays of the folder; returns the exit code."""
  case = Case(folder, perturb)
  forward(case)
  loss_and_positions(case)
  parity_hispatial_steps.generation(case)
  parity_hispatial_steps.training(case)
  for name in case.fixture.unused():
    case.report.missing(name)
  return case.report.close()


class Case:
  """The fixture, the model and its parameters, and one batch.

  Attributes:
    fixture, report: see parity_report.
    config, model, params: of hispatial_jax.
    batch: image, points, text, mask_ar, mask_loss; numpy.
    real: bool[B,L], what is not padding.
    P: number of image tokens.
  """

  def __init__(self, folder, perturb):
    files = ["weights.npz", _FORWARD, "generate.npz", "train.npz"]
    self.fixture = parity_report.Fixture(folder, files)
    self.report = parity_report.Report()
    config = json.loads((folder / "config.json").read_text())
    found = self._weights(config, folder)
    self.config = found.config
    self.params = {
      n: jnp.asarray(np.asarray(x)) for n, x in found.params.items()
    }
    self.params = parity_report.perturbed(self.params, perturb)
    self.model = hispatial_model.Model(**self.config)
    self._inputs()

  def _weights(self, config, folder):
    prefix, get = "weights/", self.fixture.get
    names = self.fixture.names("weights.npz", prefix)
    theirs = {n.removeprefix(prefix): get("weights.npz", n) for n in names}
    tied = theirs.pop(paligemma.LM_HEAD, None)
    if tied is not None:
      table = theirs[paligemma.EMBEDDING]
      self.report.compare(f"{paligemma.LM_HEAD} (tied)", table, tied)
    arrays = {name: lazy.of(x) for name, x in theirs.items()}
    return source.adopt(arrays, config, "hispatial", str(folder))

  def _inputs(self):
    get = functools.partial(self.fixture.get, _FORWARD)
    ids, types = get("inputs/input_ids"), get("inputs/token_type_ids")
    labels, self.real = get("inputs/labels"), get("inputs/attention_mask")
    img = self.config["img"]
    self.P = P = (img["image_size"] // img["patch_size"]) ** 2
    hidden = types | ~self.real
    self.batch = {
      "image": get("inputs/pixel_values").transpose(0, 2, 3, 1),
      "points": get("inputs/xyz_values").transpose(0, 2, 3, 1),
      "text": ids[:, P:],
      "mask_ar": hidden[:, P:].astype(np.int32),
      "mask_loss": (labels[:, P:] != -100).astype(np.int32),
    }
    self.labels = labels

  def check(self, name, got, *, atol=0.0, rows=None):
    """Compares with an array of forward.npz, at `rows` of it if given."""
    want = self.fixture.get(_FORWARD, name)
    if rows is not None:
      got, want = np.asarray(got)[rows], want[rows]
    self.report.compare(name, got, want, atol=atol)


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


def forward(case: Case) -> None:
  """Embedding, towers, fusion, mask, hidden states, logits."""
  params = tree.unflatten(case.params)
  out, logits, embedded, inner = _forward(case.model, params, case.batch)
  _embedding(case)
  B, _, D = out["pointmap/encoded"].shape
  side = case.fixture.get(_FORWARD, "outputs/depth_encoder").shape[2:]
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
  b, row, col = case.fixture.get(_FORWARD, f"{prefix}/pixel_index_bhw").T
  points = case.batch["points"][b, row, col]
  case.check(f"{prefix}/xyz_and_mask", points)
  case.check(f"{prefix}/values", pointmap.encode(jnp.asarray(points), F))
  rounded = points.copy()
  rounded[:, :3] = points[:, :3].astype(ml_dtypes.bfloat16)
  case.check(
    f"{prefix}/values_if_xyz_rounded_to_bf16",
    pointmap.encode(jnp.asarray(rounded), F),
  )


@functools.partial(jax.jit, static_argnames=("model",))
def loss_and_gradients(model, params, batch):
  """(f32 scalar, gradients of all parameters); one program for all cases."""

  def loss(params):
    return loss_lib.next_token_loss(model, params, batch)[0]

  return jax.value_and_grad(loss)(params)


def loss_and_positions(case: Case) -> None:
  """Positions (counted from 1 there), loss with and without points."""
  real = np.ones_like(case.batch["text"][:1], bool)
  positions = masks.positions(case.P, jnp.asarray(real))
  case.check("outputs/position_ids", positions + 1)
  params = tree.unflatten(case.params)
  loss, grads = loss_and_gradients(case.model, params, case.batch)
  case.check("outputs/loss", loss)
  blind = {**case.batch, "points": np.zeros_like(case.batch["points"])}
  loss, _ = loss_and_gradients(case.model, params, blind)
  case.check("outputs/loss_if_xyz_all_zero", loss)
  gradients(case, grads)


def to_theirs(named) -> dict[str, np.ndarray]:
  """{the reference's name: array} of {our name: array}."""
  arrays = {name: lazy.of(np.asarray(x)) for name, x in named.items()}
  theirs = rename.to_theirs(arrays, hispatial.ROWS)
  return {name: np.asarray(x) for name, x in theirs.items()}


def part(theirs, name):
  """The array that a name such as `conv.weight[:4,:,6,6]` means."""
  base, _, index = name.partition("[")
  parts = []
  for part in filter(None, index.rstrip("]").split(",")):
    ends = [int(end) if end.strip() else None for end in part.split(":")]
    parts.append(slice(*ends) if ":" in part else ends[0])
  return theirs[base][tuple(parts)]


def gradients(case: Case, grads) -> None:
  """Full gradients of some tensors, norms of all."""
  theirs = to_theirs(tree.flatten(grads))
  norms = {n: np.linalg.norm(x.astype(np.float64)) for n, x in theirs.items()}
  for prefix in ("grad_norm/", "grad_norm_if_vision_unfrozen/"):
    for name in case.fixture.names(_FORWARD, prefix):
      got = norms[name.removeprefix(prefix)]
      # A key's bias shifts all scores of a query alike: its gradient is zero
      # up to rounding, so it is held against that of the key's weight.
      beside = name.removeprefix(prefix).replace("k_proj.bias", "k_proj.weight")
      size = norms[beside] * parity_report.TOLERANCE
      if "k_proj.bias" not in name:
        size = NORM_RTOL * case.fixture.get(_FORWARD, name)
      case.check(name, got, atol=size)
  frozen = "vision_tower."
  total = [x for name, x in norms.items() if not name.startswith(frozen)]
  want = case.fixture.get(_FORWARD, "grad_norm_total")
  case.check("grad_norm_total", np.linalg.norm(total), atol=NORM_RTOL * want)
  for name in case.fixture.names(_FORWARD, "grad/"):
    case.check(name, part(theirs, name.removeprefix("grad/")))
