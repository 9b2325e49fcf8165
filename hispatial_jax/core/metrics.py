"""Where numbers go: a jsonl file always, tensorboard and wandb if there.

    writer = metrics.Writer(workdir, step=resumed_at, tensorboard=True)
    writer.write(120, {"train/loss": 1.2})
    print(metrics.progress(120, 1000, speed, {"loss": 1.2}))

Only process 0 writes. A run that restarts from step N first drops the lines
after N, so that each step is in the file once.
"""

import functools
import json
from collections.abc import Mapping
from typing import Any

import jax
from absl import logging
from etils import epath

from hispatial_jax.core import remote, storage

FILE = "metrics.jsonl"


class Writer:
  """Writes (step, name -> number) to all sinks."""

  def __init__(
    self, workdir, *, step=0, tensorboard=True, wandb="", config=None
  ):
    """Opens the sinks.

    Args:
      workdir: folder of metrics.jsonl and tensorboard/.
      step: lines of later steps, left by a killed run, are dropped.
      tensorboard: writes event files if tensorboardX is installed.
      wandb: project name; "" for none.
      config: plain dict that wandb shows beside the run.

    Raises:
      ImportError: wandb was asked for and is not installed.
    """
    self._active = jax.process_index() == 0
    self._board = self._wandb = None
    self._path = epath.Path(workdir) / FILE
    if not self._active:
      return
    drop = functools.partial(drop_after, self._path, step)
    storage.retry(drop, self._path, "write")
    if tensorboard:
      self._board = _tensorboard(epath.Path(workdir) / "tensorboard", step)
    if wandb:
      self._wandb = _wandb(wandb, workdir, config)

  def write(self, step: int, values: Mapping[str, Any]) -> None:
    """Writes numbers (0-d arrays as well) of one step; the jsonl is flushed."""
    if not self._active:
      return
    values = {name: _number(x) for name, x in values.items()}
    line = json.dumps({"step": int(step), **values})

    def append():
      remote.append(self._path, line + "\n")

    # A line cut short by the failure goes, before it is written again.
    whole = functools.partial(drop_after, self._path, step)
    storage.retry(append, self._path, "write", mend=whole)
    if self._board:
      for name, x in values.items():
        self._board.add_scalar(name, x, step)
    if self._wandb:
      self._wandb.log(values, step=step)

  def close(self) -> None:
    """Flushes and closes all sinks."""
    if self._board:
      self._board.close()
    if self._wandb:
      self._wandb.finish()


def read(workdir) -> list[dict[str, Any]]:
  """All lines of WORKDIR/metrics.jsonl; a half-written last one is left out."""
  path = epath.Path(workdir) / FILE
  return _lines(path.read_text()) if path.exists() else []


def drop_after(path, step: int) -> None:
  """Removes the lines of later steps from a jsonl file."""
  path = epath.Path(path)
  if not path.exists():
    return
  lines = _lines(path.read_text())
  keep = [line for line in lines if line["step"] <= step]
  partial = path.parent / f".{path.name}.partial"
  partial.write_text("".join(json.dumps(line) + "\n" for line in keep))
  partial.replace(path)


def progress(
  step: int, total: int, speed: Mapping[str, float], values: Mapping[str, Any]
) -> str:
  """One line of plain text: step 120/1000  12 %  loss 1.2  …  ETA 0:04:11."""
  parts = [f"step {step}/{total}", f"{100 * step / max(total, 1):.0f} %"]
  parts += [f"{name} {_number(x):.4g}" for name, x in values.items()]
  if "examples_per_second" in speed:
    parts.append(f"{speed['examples_per_second']:.1f} examples/s")
    parts.append(f"{speed['seconds_per_step']:.3g} s/step")
    if "mfu" in speed:
      parts.append(f"MFU {100 * speed['mfu']:.1f} %")
    parts.append(f"ETA {clock_time(speed['eta_seconds'])}")
  return "  ".join(parts)


def summary(out: Mapping[str, Any]) -> dict[str, float]:
  """What the progress line and the curves show of a step's sums."""
  out = {name: float(x) for name, x in jax.device_get(out).items()}
  return {
    "loss": out["loss"],
    "accuracy": out["correct"] / max(out["tokens"], 1.0),
    "grad_norm": out["grad_norm"],
    "lr": out["lr"],
    **{name: x for name, x in out.items() if name.startswith("grad_norm/")},
  }


def headline(found: Mapping[str, float]) -> dict[str, float]:
  """The figures over all tasks, and by level; the jsonl has every one."""
  return {
    name: value
    for name, value in found.items()
    if name.count("/") < 2 or "/level" in name
  }


def under(group: str, values: Mapping[str, Any]) -> dict[str, Any]:
  """The same values with group/ before their names."""
  return {f"{group}/{name}": value for name, value in values.items()}


def clock_time(seconds: float) -> str:
  """Seconds as h:mm:ss."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f"{hours}:{minutes:02d}:{seconds:02d}"


def _number(x) -> float | int:
  x = x.item() if hasattr(x, "item") else x
  return x if isinstance(x, int) else float(x)


def _lines(text: str) -> list[dict[str, Any]]:
  """Parsed lines; what follows the last newline was cut off in writing."""
  return [json.loads(line) for line in text.split("\n")[:-1] if line]


def _tensorboard(folder, step: int):
  try:
    import tensorboardX
  except ImportError:
    logging.info(
      "no tensorboard files: pip install hispatial_jax[log] to have them"
    )
    return None
  return tensorboardX.SummaryWriter(str(folder), purge_step=step or None)


def _wandb(project, workdir, config):
  try:
    import wandb
  except ImportError as error:
    raise ImportError(
      "log.wandb is set but wandb is not installed: pip install wandb"
    ) from error
  folder = None if remote.is_remote(workdir) else str(workdir)
  return wandb.init(project=project, dir=folder, config=config, resume="allow")
