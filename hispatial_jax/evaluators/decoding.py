"""Questions about pictures, decoded greedily in batches of one size.

    decoder = decoding.Decoder(fns["generate"], words, size=448, rows=32)
    seen = [decoder.look(text, rgb, depth_m, intrinsics) for ...]  # threads
    decoder.decode(params, seen)         # at most 32 at a time

All processes call `decode` together, each with its own rows or none. The rows
that fill a batch up are real to the model, but `_mask` is False and they are
dropped; a row's answer does not depend on its neighbours.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hispatial_jax.benchmarks import base
from hispatial_jax.evaluators import rows as rows_lib
from hispatial_jax.pp import text, view

# Few lengths, so few compilations: beside the image's tokens padding is cheap.
LENGTHS = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


class Seen(NamedTuple):
  """Model inputs of one question.

  Attributes:
    ids: tokens: bos, question, newline.
    image: f32[S,S,3] in [-1, 1].
    points: f32[S,S,4].
  """

  ids: list[int]
  image: np.ndarray
  points: np.ndarray


class Decoded(NamedTuple):
  """An answer: its words, log-probability, new tokens, whether it ended."""

  text: str
  logp: float
  tokens: int
  ended: bool


class Decoder:
  """A model's way of being asked; holds no parameters.

  Attributes:
    rows: questions of a batch of this process.
  """

  def __init__(
    self,
    generate: Callable,
    words,
    *,
    size: int,
    rows: int,
    max_new_tokens: int = 64,
    zeros: bool = False,
    relative: bool = False,
  ):
    """Nothing is compiled yet.

    Args:
      generate: of `predict_fns.make`.
      words: the model's tokenizer.
      size: S of its pictures.
      rows: of a batch of this process, a multiple of its devices.
      max_new_tokens: longest answer.
      zeros: the model was trained without points: it never gets any.
      relative: it was trained on op relative_depth.
    """
    self._generate, self._words = generate, words
    self._size, self._zeros, self._relative = size, zeros, relative
    self._most, self.rows = max_new_tokens, rows

  def look(self, question: str, rgb, depth_m=None, intrinsics=None) -> Seen:
    """What the model gets of a question; safe in threads.

    Args:
      question: the prompt as it is; of `<image>` see `base.question_tokens`.
      rgb: u8[H,W,3].
      depth_m: f32[h,w] metres, 0 unknown and at the origin, NaN unknown and
        far away, inf sky; None: no points.
      intrinsics: f32[3,3] normalised.

    Raises:
      ValueError: no Unicode text, or of too many tokens.
    """
    words = self._words
    asked = words.encode(base.question_tokens(question))
    ids = [words.bos_id, *asked, words.newline_id]
    if len(ids) > LENGTHS[-1]:
      raise ValueError(
        f"a question of {len(ids)} tokens; at most {LENGTHS[-1]}"
      )
    seen = view.view(
      rgb,
      None if self._zeros else depth_m,
      intrinsics,
      self._size,
      zeros=self._zeros,
      relative=self._relative,
      unknown_m=None,
    )
    return Seen(ids, seen["image"], seen["points"])

  def decode(self, params, seen: list[Seen]) -> list[Decoded]:
    """As many answers, in order; at most `rows`, all in one batch.

    Raises:
      ValueError: more than a batch.
    """
    if len(seen) > self.rows:
      raise ValueError(f"{len(seen)} questions for a batch of {self.rows}")
    out = self._generate(params, self._batch(seen), max_new_tokens=self._most)
    pairs = zip(out["tokens"], out["logp"], strict=True)
    return [self._read(*pair) for pair, _ in zip(pairs, seen, strict=False)]

  def _batch(self, seen: list[Seen]) -> dict[str, Any]:
    real = len(seen)
    padded = seen + [seen[0] if seen else self._nothing()] * (self.rows - real)
    longest = max(len(one.ids) for one in padded)
    laid, _, _ = text.rows([(one.ids, []) for one in padded], longest)
    batch = {
      **laid,
      "image": np.stack([one.image for one in padded]),
      "points": np.stack([one.points for one in padded]),
      "_mask": np.arange(self.rows) < real,
    }
    need = rows_lib.bucket(batch, step=1)  # of all processes
    return rows_lib.prompts(batch, min(n for n in LENGTHS if n >= need))

  def _nothing(self) -> Seen:
    side = self._size
    return Seen(
      [self._words.bos_id, self._words.newline_id],
      np.zeros((side, side, 3), np.float32),
      np.zeros((side, side, 4), np.float32),
    )

  def _read(self, tokens, logp) -> Decoded:
    ids = [int(t) for t in tokens]
    ended = self._words.eos_id in ids
    used = ids.index(self._words.eos_id) + 1 if ended else len(ids)
    total = float(np.asarray(logp[:used], np.float64).sum())
    return Decoded(self._words.decode(ids), total, used, ended)


def rows_here(batch_size: int, devices: int, processes: int) -> int:
  """A process's rows of a batch: the size rounded up to fill all devices.

  Raises:
    ValueError: less than 1.
  """
  if batch_size < 1:
    raise ValueError(f"batch size {batch_size} is less than 1")
  return -(-batch_size // devices) * devices // processes
