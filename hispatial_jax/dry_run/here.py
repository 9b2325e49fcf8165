"""A recipe's training step, compiled for the devices at hand.

    python -m hispatial_jax.train --config C --dry_run

Reads no records and no weights and writes nothing; the tokenizer only where
the recipe leaves the vocabulary's size to it.
"""

import jax

from hispatial_jax.core import chips, mesh
from hispatial_jax.dry_run import figures, report


def show(cfg) -> None:
  """Prints the table of the training step on process 0.

  Args:
    cfg: locked ConfigDict.

  Raises:
    ValueError: the recipe, a batch that these devices cannot share, or a step
      that does not fit.
  """
  grid = mesh.of(cfg.mesh)
  device = jax.local_devices()[0]
  stats = device.memory_stats() or {}
  found = figures.of(
    "train",
    cfg,
    grid,
    chip=chips.of_device(device.device_kind),
    hbm=stats.get("bytes_limit"),
  )
  found["devices"] = f"{grid.size} {device.device_kind}"
  if jax.process_index() == 0:
    print(report.table(found), flush=True)
