"""Kind `moge2`: the fixture as a checkpoint, its pictures and its names."""

import json

import jax.numpy as jnp
import numpy as np

from hispatial_jax.core import tree
from hispatial_jax.moge import checkpoint, infer, solve, variants
from hispatial_jax.weights import lazy, moge
from parity_cases import report

CASES, FOCAL, MODULES = "cases.npz", "focal.npz", "modules.npz"
_WEIGHTS = "weights.npz"
_CANVAS = 128


class Case:
  """The fixture, the model and its parameters.

  Attributes:
    fixture, report: see report.py.
    config, params, model: of hispatial_jax; params are {our name: array}.
    eyes: the same as an `infer.MoGe`.
    meta: content of meta.json.
  """

  def __init__(self, folder, perturb):
    files = [_WEIGHTS, CASES, FOCAL, MODULES]
    self.fixture = report.Fixture(folder, files)
    self.report = report.Report()
    self.meta = json.loads((folder / "meta.json").read_text())
    stored = json.loads((folder / "config.json").read_text())
    text = str(self.fixture.get(_WEIGHTS, "config_json"))
    self.report.compare("config_json", json.loads(text) == stored, True)
    # The stored name is that of the factory; the real one is in meta.json.
    backbone = self.meta["tiny_backbone"]
    encoder = {**stored["encoder"], "backbone": backbone}
    self.config = {**stored, "encoder": encoder}
    self.model = variants.build(self.config)
    self._parameters(folder)
    self.params = report.perturbed(self.params, perturb)
    self.eyes = infer.MoGe(self.config, tree.unflatten(self.params))

  def _parameters(self, folder):
    """Reads them, and holds the way back against the file."""
    names = self.fixture.names(_WEIGHTS)
    theirs = {n: self.fixture.get(_WEIGHTS, n) for n in names}
    del theirs["config_json"]
    arrays = {name: lazy.of(x) for name, x in theirs.items()}
    found = checkpoint.adopt(arrays, self.config, "moge-pt", str(folder))
    again = moge.to_theirs(found.params, self.config)
    same = [np.array_equal(again[n], x) for n, x in theirs.items()]
    self.report.compare(
      "weights.npz: tensors there and back",
      np.array(same),
      np.full(len(same), 1, bool),
    )
    self.params = {
      n: jnp.asarray(np.asarray(x)) for n, x in found.params.items()
    }
    count = sum(x.size for x in self.params.values())
    want = self.meta["num_parameters"]
    self.report.compare("meta.json: num_parameters", count, np.array(want))

  def pictures(self):
    """[(name, u8[H,W,3])] in order."""
    ends = "/image_u8"
    names = [n for n in self.fixture.names(CASES) if n.endswith(ends)]
    return [(n.removesuffix(ends), self.get(n)) for n in sorted(names)]

  def token_counts(self, picture):
    """[(prefix of the case, number of tokens)] of a picture."""
    names = self.fixture.names(CASES, f"{picture}/n")
    found = {int(n.split("/")[1].removeprefix("n")) for n in names}
    return [(f"{picture}/n{n}", n) for n in sorted(found)]

  def names(self, prefix):
    """Names of the arrays of cases.npz that begin with `prefix`."""
    return self.fixture.names(CASES, prefix)

  def get(self, name):
    """An array of cases.npz."""
    return self.fixture.get(CASES, name)

  def check(self, name, got, *, atol=0.0):
    """Compares with an array of cases.npz, if the fixture has it."""
    if self.names(name):
      self.report.compare(name, got, self.get(name), atol=atol)

  def check_map(self, name, got):
    """Compares a map f32[H,W,C] with one stored whole or sampled, CHW."""
    got = np.asarray(got).transpose(2, 0, 1)
    if name in self.names(name):
      return self.check(name, got)
    rows, columns = self.get(f"{name}/rows"), self.get(f"{name}/cols")
    shape = np.array([1, *got.shape])
    self.report.compare(f"{name}/shape", shape, self.get(f"{name}/shape"))
    self.check(f"{name}/sample", got[:, rows][:, :, columns])


def solved(points, mask=None, **options) -> np.ndarray:
  """f32[2], focal and shift of one map, on a canvas that all maps share.

  Args:
    points: f32[H,W,3].
    mask: bool[H,W] or None.
    **options: focal, one number, and ftol of `solve.recover`.
  """
  h, w, _ = points.shape
  # One compiled program serves all sizes.
  room = (_CANVAS - h, _CANVAS - w)
  ends = ((0, 0), (0, room[0]), (0, room[1]))
  points = np.pad(np.asarray(points)[None], (*ends, (0, 0)))
  mask = None if mask is None else np.pad(np.asarray(mask)[None], ends)
  size = np.array([[h, w]], np.int32)
  return np.concatenate(solve.recover(points, mask, size=size, **options))
