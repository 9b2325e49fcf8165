"""Answers that someone wrote down: a JSON list, or one JSON object a line.

    [{"key": "2D/12", "prediction": "(B)<eos>"}, ...]

Besides key and prediction a row may hold logp, tokens and ended. Text is taken
as it is, special tokens too: the parsers strip them.
"""

import collections
import hashlib
import json
from typing import Any

from hispatial_jax.core import remote
from hispatial_jax.evaluation import models

_SHOWN = 20


class Predictions:
  """A model that looks its answers up.

  Attributes:
    rows: key -> row.
  """

  needs_pictures = False

  def __init__(self, rows: dict[str, dict], name: str, digest: str, size: int):
    """`name` and `digest` are of the file; `size` is the batch size."""
    self.rows, self._name, self._digest = rows, name, digest
    self.batch_size = size

  def describe(self) -> dict[str, Any]:
    """The file's name and digest."""
    return {"kind": "predictions", "file": self._name, "sha256": self._digest}

  def answer(self, requests: list[models.Request]) -> list[models.Answer]:
    """The predictions; a key that is missing is an error of that question."""
    return [self._one(request.key) for request in requests]

  def unknown(self, keys) -> list[str]:
    """Keys of the file that are not among those of the benchmark."""
    return sorted(set(self.rows) - set(keys))

  def _one(self, key: str) -> models.Answer:
    row = self.rows.get(key)
    if row is None:
      return models.Answer(error=f"no prediction for this key in {self._name}")
    more = {k: row[k] for k in ("logp", "tokens", "ended") if k in row}
    return models.Answer(text=row["prediction"], **more)


def open(name: str, *, batch_size: int = 256, **_) -> Predictions:
  """Reads the file.

  Raises:
    FileNotFoundError: no such file.
    ValueError: not such a file, or keys that occur twice, all listed.
  """
  path = remote.fetch(name).expanduser()
  if not path.is_file():
    raise FileNotFoundError(f"no file of predictions {path}")
  data = path.read_bytes()
  rows = _parse(data, path)
  keys = collections.Counter(_key(row, i, path) for i, row in enumerate(rows))
  twice = [key for key, times in keys.items() if times > 1]
  if twice:
    raise ValueError(
      f"{path}: {len(twice)} keys have more than one prediction: "
      f"{', '.join(twice[:_SHOWN])}{', ...' if twice[_SHOWN:] else ''}"
    )
  digest = hashlib.sha256(data).hexdigest()
  by_key = {str(row["key"]): row for row in rows}
  return Predictions(by_key, path.name, digest, batch_size)


def _parse(data: bytes, path) -> list[Any]:
  try:
    text = data.decode("utf-8-sig")
    if text.lstrip().startswith("["):
      return json.loads(text)
    return [json.loads(line) for line in text.splitlines() if line.strip()]
  except ValueError as error:
    raise ValueError(
      f"{path}: neither a JSON list nor a JSON object a line: {error}"
    ) from None


def _key(row, number: int, path) -> str:
  if not isinstance(row, dict) or not {"key", "prediction"} <= set(row):
    raise ValueError(
      f'{path}: row {number} is {row!r:.80}; expected {{"key", "prediction"}}'
    )
  if not isinstance(row["prediction"], str):
    raise ValueError(
      f"{path}: the prediction of {row['key']!r} is no text: "
      f"{row['prediction']!r:.80}"
    )
  return str(row["key"])
