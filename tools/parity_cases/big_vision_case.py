"""Kind `big_vision`: the fixture as a model and a batch."""

import json

import jax.numpy as jnp
import numpy as np

from hispatial_jax.core import tree
from hispatial_jax.models import hispatial, sizes
from hispatial_jax.weights import npz
from parity_cases import report

_CASES = "cases.npz"


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
    fixture, report: see report.py.
    model, params: of hispatial_jax; params is flat.
    cap: the final softcap.
    batch: image, points (None), text, mask_ar, mask_loss.
  """

  def __init__(self, folder, perturb):
    self.folder, self.perturb = folder, perturb
    self.fixture = report.Fixture(folder, [_CASES])
    self.report = report.Report()
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
    return report.perturbed(params, self.perturb)

  def names(self, prefix):
    """Names of the arrays of cases.npz that begin with `prefix`."""
    return self.fixture.names(_CASES, prefix)

  def get(self, name):
    """An array of cases.npz."""
    return self.fixture.get(_CASES, name)

  def check(self, name, got, *, atol=0.0):
    """Compares with an array of cases.npz."""
    self.report.compare(name, got, self.get(name), atol=atol)
