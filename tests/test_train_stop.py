"""Records that cannot be trained on end a run in one message, no traceback."""

import pathlib

import pytest

from hispatial_jax import train
from hispatial_jax.data import tally

_RECIPE = str(pathlib.Path(__file__).parent / "train_config.py")


@pytest.mark.parametrize(
  "error",
  [
    tally.TooManyBadRecords("9 of 10 records could not be used"),
    tally.NothingUsable("not one of 50 records"),
    ValueError("record 'r1': a question of 90 tokens does not fit in 40"),
    FileNotFoundError("no part of the mixture is there"),
  ],
)
def test_what_the_records_say_is_what_is_printed(
  error, monkeypatch, capsys, tmp_path
):
  def stop(*_):
    raise error

  monkeypatch.setattr(train, "train", stop)
  argv = ["--config", _RECIPE, "--workdir", str(tmp_path)]
  assert train.main(argv) == 1
  assert capsys.readouterr().err == f"error: {error}\n"
  with pytest.raises(type(error)):
    train.main([*argv, "--debug"])
