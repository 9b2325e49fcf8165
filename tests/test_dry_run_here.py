"""train --dry_run: the table of the devices here; nothing read or written."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from hispatial_jax import train

_ROOT = pathlib.Path(__file__).parent.parent


@pytest.mark.slow
def test_eight_devices_that_share(tmp_path):
  flags = os.environ["XLA_FLAGS"]
  eight = f"{flags} --xla_force_host_platform_device_count=8"
  command = [sys.executable, "-m", "hispatial_jax.train", "--dry_run"]
  command += ["--config", _ROOT / "tests" / "pod_config.py"]
  command += ["--config.mesh.fsdp=2", "--config.mesh.tensor=2"]
  done = subprocess.run(
    command,
    cwd=tmp_path,
    env={**os.environ, "XLA_FLAGS": eight, "PYTHONPATH": str(_ROOT)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  out = done.stdout
  assert "8 cpu as dcn=1 x data=2 x fsdp=2 x tensor=2; batch size 8" in out
  assert float(re.search(r"\| together \| (\S+) \|", out)[1]) > 0
  # Weights of shards, and sums over those that share rows.
  assert "all-gather, GB sent" in out
  assert "all-reduce, GB sent" in out
  assert "hardware / model FLOPs" in out
  assert "least time" not in out  # of a CPU nobody knows
  assert not list(tmp_path.iterdir())


def test_a_run_needs_a_folder(capsys):
  with pytest.raises(SystemExit):
    train.main(["--config", "configs/toy.py"])
  assert "required: --workdir" in capsys.readouterr().err
