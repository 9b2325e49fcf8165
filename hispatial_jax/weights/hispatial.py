"""HiSpatial's `weights.pt`, read without ever running what it holds.

The released model projects concat[SigLIP, depth] with one Linear. Ours adds two
heads, so its weight splits into `img/head` and `pointmap/head` on the way in
and is joined again on the way out.

Source: HiSpatial@9b0a571 hispatial/model (state dict names), golden numbers in
tests/golden/hispatial_model.
"""

import os

from hispatial_jax.weights import lazy, paligemma, rename, torch_file

_CONV = "depth_encoder.conv"

ROWS = [
  *paligemma.IMG,
  rename.Row(
    "img/head/kernel", "D M", f"{paligemma.PROJECTOR}.weight", "M (0/2 D)"
  ),
  rename.Row(
    "pointmap/head/kernel", "D M", f"{paligemma.PROJECTOR}.weight", "M (1/2 D)"
  ),
  rename.Row("img/head/bias", "M", f"{paligemma.PROJECTOR}.bias", "M"),
  *paligemma.LLM,
  rename.Row(
    "pointmap/embedding/kernel", "h w C D", f"{_CONV}.weight", "D C h w"
  ),
  rename.Row("pointmap/embedding/bias", "D", f"{_CONV}.bias", "D"),
]


def read(path: str | os.PathLike) -> dict[str, lazy.Array]:
  """The tensors of a `.pt` file; nothing in it is executed.

  Raises:
    ValueError: not a dict of tensors, or not readable.
  """
  return torch_file.arrays(torch_file.load(path), str(path))


def write(path: str | os.PathLike, theirs: lazy.Arrays) -> None:
  """Writes a state dict as the reference's trainer does, `lm_head` included."""
  state = torch_file.tensors(theirs)
  state[paligemma.LM_HEAD] = state[paligemma.EMBEDDING]
  torch_file.save(path, state)
