"""Kind `hispatial`: the fixture as a model and a batch, and its names."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np

from hispatial_jax.models import hispatial as hispatial_model
from hispatial_jax.models import loss as loss_lib
from hispatial_jax.weights import hispatial, lazy, paligemma, rename, source
from parity_cases import report

_FORWARD = "forward.npz"
# FORMAT.md, "Tolerances": gradient norms agree to 1e-3 of their value.
NORM_RTOL = 1e-3


class Case:
  """The fixture, the model and its parameters, and one batch.

  Attributes:
    fixture, report: see report.py.
    config, model, params: of hispatial_jax.
    batch: image, points, text, mask_ar, mask_loss; numpy.
    real: bool[B,L], what is not padding.
    P: number of image tokens.
  """

  def __init__(self, folder, perturb):
    files = ["weights.npz", _FORWARD, "generate.npz", "train.npz"]
    self.fixture = report.Fixture(folder, files)
    self.report = report.Report()
    config = json.loads((folder / "config.json").read_text())
    found = self._weights(config, folder)
    self.config = found.config
    self.params = {
      n: jnp.asarray(np.asarray(x)) for n, x in found.params.items()
    }
    self.params = report.perturbed(self.params, perturb)
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
    get = self.get
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

  def names(self, prefix):
    """Names of the arrays of forward.npz that begin with `prefix`."""
    return self.fixture.names(_FORWARD, prefix)

  def get(self, name):
    """An array of forward.npz."""
    return self.fixture.get(_FORWARD, name)

  def check(self, name, got, *, atol=0.0, rows=None):
    """Compares with an array of forward.npz, at `rows` of it if given."""
    want = self.get(name)
    if rows is not None:
      got, want = np.asarray(got)[rows], want[rows]
    self.report.compare(name, got, want, atol=atol)


@functools.partial(jax.jit, static_argnames=("model",))
def loss_and_gradients(model, params, batch):
  """(f32 scalar, gradients of all parameters); one program for all cases."""

  def loss(params):
    return loss_lib.next_token_loss(model, params, batch)[0]

  return jax.value_and_grad(loss)(params)


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
