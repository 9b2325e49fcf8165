"""What a work directory says of itself."""

import pytest

from hispatial_jax.core import rundir


def test_no_checkpoint_there(tmp_path):
  with pytest.raises(FileNotFoundError, match="expected a work directory"):
    rundir.load_params(tmp_path)


def test_config_beside(tmp_path):
  rundir.save_config(tmp_path, {"a": 1})
  step = tmp_path / "checkpoints" / "5"
  step.mkdir(parents=True)
  assert rundir.load_config(step) == {"a": 1}
