"""Answers to questions about a picture, with depth or without.

    predictor = predict.Predictor.load("runs/toy")
    answer = predictor.ask("photo.jpg", "How wide is the table?",
                           depth_m=depth_m, intrinsics=K)
    print(answer.text, answer.logp, answer.used_depth)

Without depth, `Predictor.load(..., moge="model.pt")` estimates it from the
picture. Without that too the model sees an all-unknown point map: it answers
from RGB alone, and `used_depth` says so.
"""

import collections
import dataclasses
import os
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from hispatial_jax.core import remote, rundir, tokenizer, tree
from hispatial_jax.models import decode, hispatial, sizes
from hispatial_jax.pp import given, text, view

_BUCKET = 16  # Prompt lengths are rounded up to it: one compilation each.
_LONGEST = 1024


@dataclasses.dataclass(frozen=True)
class Answer:
  """An answer and what it rests on.

  Attributes:
    text: the model's words.
    logp: log-probability of the whole answer under the model.
    used_depth: False: from RGB alone.
    known_depth: share of the depth map's pixels that hold a value.
    depth_source: "given", "moge" (estimated from the picture) or "none".
    ended: False: cut at max_new_tokens.
  """

  text: str
  logp: float
  used_depth: bool
  known_depth: float
  depth_source: str
  ended: bool


@dataclasses.dataclass(frozen=True)
class Question:
  """A question about a picture; see `Predictor.ask` for the forms allowed."""

  image: Any
  question: str
  depth_m: np.ndarray | None = None
  intrinsics: np.ndarray | None = None


class Predictor:
  """A model with its parameters and words, ready to answer.

  Attributes:
    config: arguments of hispatial.Model.
    size: side of the square that pictures are resized to, pixels.
    takes_depth: False: the model was made or trained without points.
  """

  def __init__(
    self,
    config: dict,
    params,
    words: tokenizer.Tokenizer,
    *,
    max_new_tokens: int = 64,
    batch_size: int = 16,
    blank: bool = False,
    relative: bool = False,
    moge=None,
  ):
    """Makes the model and moves the parameters to the device.

    Args:
      config: arguments of hispatial.Model.
      params: nested dict of arrays.
      words: the tokenizer that belongs to it.
      max_new_tokens: longest answer.
      batch_size: most questions decoded together by `ask_many`.
      blank: the model was trained on point maps of zeros (op drop_points):
        feed it the same, and never depth.
      relative: it was trained on depth without a unit (op relative_depth).
      moge: a MoGe (moge/infer.py) for the depth of questions without any.

    Raises:
      ValueError: parameters of another config, all names listed.
    """
    shapes = sizes.param_shapes(config)
    self.config, self._words = config, words
    self._model = hispatial.Model(**config)
    self._params = jax.device_put(tree.merge(shapes, params))
    self.size = config["img"]["image_size"]
    self._most_tokens, self._batch_size = max_new_tokens, batch_size
    self._points, self._moge = {"zeros": blank, "relative": relative}, moge
    self.takes_depth = config["pointmap"] is not None and not blank

  @classmethod
  def load(cls, path, *, moge=None, **options) -> "Predictor":
    """From a work directory, one of its steps, or an .npz beside a config.

    Args:
      path: as `rundir.load_params` takes it. config.json and
        tokenizer.model lie there or up to two folders above.
      moge: file of a MoGe-2 model, or a MoGe that is loaded already.
      **options: of `Predictor`.

    Raises:
      FileNotFoundError: no checkpoint, config or tokenizer.
      ValueError: the checkpoint does not fit its config.
    """
    config = rundir.load_config(path)
    words = tokenizer.load(_beside(path, "tokenizer.model"))
    model = config["model"]
    llm = {**model["llm"]}
    llm["vocab_size"] = llm["vocab_size"] or words.vocab_size
    hidden = rundir.hidden_points(config)
    if isinstance(moge, str | os.PathLike):
      from hispatial_jax import moge as moge_lib

      moge = moge_lib.load(moge)
    seen = {"blank": hidden["zeros"], "relative": hidden["relative"]}
    options = {**seen, "moge": moge, **options}
    params = rundir.load_params(path)
    return cls({**model, "llm": llm}, params, words, **options)

  def ask(self, image, question: str, depth_m=None, intrinsics=None) -> Answer:
    """Answers one question.

    Args:
      image: path of a picture file, its bytes, or u8[H,W,3] RGB (also
        [H,W] grey, [H,W,4] with alpha, u16). EXIF orientation is honoured.
      question: as words; `<locYYYY><locXXXX>` name a pixel.
      depth_m: [h,w] metres along the viewing axis; 0 or NaN unknown, inf sky.
        Same aspect ratio as the upright image. None: MoGe's, if loaded.
      intrinsics: [3,3], normalised: first row divided by the width, second by
        the height. With MoGe it may be given alone, as the known camera.

    Raises:
      FileNotFoundError: no such picture.
      ValueError: one line that says what is wrong with the input.
    """
    return self.ask_many([Question(image, question, depth_m, intrinsics)])[0]

  def ask_many(self, questions: Iterable[Question | dict]) -> list[Answer]:
    """Answers many, batched by prompt length; the order is kept.

    Args:
      questions: Question, or dicts of its fields.

    Raises:
      As `ask`; the message says which question it was.
    """
    items = [Question(**q) if isinstance(q, dict) else q for q in questions]
    rows, buckets, seen = [], collections.defaultdict(list), {}
    for number, item in enumerate(items):
      try:
        rows.append(self._row(item, seen))
      except ValueError as error:
        where = f"question {number}: " if number else ""
        raise ValueError(f"{where}{error}") from error
      length = -(-len(rows[-1]["ids"]) // _BUCKET) * _BUCKET
      buckets[length].append(number)
    answers: list[Any] = [None] * len(rows)
    for length, numbers in sorted(buckets.items()):
      for start in range(0, len(numbers), self._batch_size):
        some = numbers[start : start + self._batch_size]
        found = self._decode([rows[n] for n in some], length)
        for number, answer in zip(some, found, strict=True):
          answers[number] = answer
    return answers

  def _row(self, item: Question, seen: dict) -> dict[str, Any]:
    """Model inputs; what several questions share of a picture is in `seen`."""
    if not item.question.strip():
      raise ValueError("the question is empty")
    ids = text.encode_prefix(self._words, item.question)
    if len(ids) > _LONGEST:
      raise ValueError(f"a question of {len(ids)} tokens; at most {_LONGEST}")
    path = isinstance(item.image, str | os.PathLike)
    key = str(item.image) if path else id(item.image)
    key = (key, id(item.depth_m), id(item.intrinsics))
    if key not in seen:
      seen[key] = self._view(item)
    return {"ids": ids, **seen[key]}

  def _view(self, item: Question) -> dict[str, Any]:
    rgb = given.read_image(item.image, given.MAX_SIDE)
    depth, matrix = None, item.intrinsics
    source = "given" if item.depth_m is not None else "moge"
    if source == "given" or self._moge is None:
      size = rgb.shape[:2]
      depth, matrix = given.check_depth(item.depth_m, matrix, size)
    elif self.takes_depth:
      depth, matrix = view.estimate(self._moge, rgb, matrix)
    if not self.takes_depth or depth is None:
      depth, source = None, "none"
    seen = view.view(rgb, depth, matrix, self.size, **self._points)
    return {**seen, "source": source}

  def _decode(self, rows: list[dict], length: int) -> list[Answer]:
    """One batch, filled up with its first row to a power of two."""
    size = 1 << (len(rows) - 1).bit_length()
    full = rows + rows[:1] * (size - len(rows))
    prompt, _, _ = text.rows([(row["ids"], []) for row in full], length)
    batch = {k: prompt[k] for k in ("text", "mask_ar", "mask_input")}
    for key in ("image", "points"):
      batch[key] = np.stack([row[key] for row in full])
    out = decode.generate(
      self._model, self._params, batch, max_new_tokens=self._most_tokens
    )
    tokens, logp = np.asarray(out["tokens"]), np.asarray(out["logp"])
    return [
      Answer(
        text=self._words.decode([int(t) for t in tokens[i]]),
        logp=float(logp[i].astype(np.float64).sum()),
        used_depth=row["source"] != "none",
        known_depth=row["known"],
        depth_source=row["source"],
        ended=bool((tokens[i] == self._words.eos_id).any()),
      )
      for i, row in enumerate(rows)
    ]


def _beside(path, name: str):
  path = remote.path(path)
  for folder in (path, path.parent, path.parent.parent):
    if (folder / name).exists():
      return folder / name
  raise FileNotFoundError(f"no {name} in {path} or the two folders above it")
