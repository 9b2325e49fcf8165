"""A model is anything that answers requests.

    model = models.open("checkpoint:runs/toy", batch_size=32)
    answers = model.answer(requests)         # as many, in their order

  checkpoint:DIR    ours, on a mesh of all devices (checkpoint.py)
  hf:DIR_OR_ID      a Hugging Face model, if transformers is there
  openai:MODEL      an OpenAI-compatible endpoint; URL and key come from the
                    environment
  predictions:FILE  answers that someone wrote down (predictions.py)
  blind:SPEC        any of them, shown a black picture and no points

A model says with optional attributes how it wants to be asked:

  needs_pictures  True. False: requests come without picture and points, also
                  those whose picture can't be read.
  collective      False. True: what a request's neighbours are may change the
                  last bits of an answer, and all processes must call
                  `answer` together, with an empty list where one has nothing
                  left. Batches are then the same in every run, whatever was
                  answered before.
  prepare         a function of a request, called ahead and in threads; what
                  it returns is given to `answer` in the request's place;
                  an Answer with an error is not asked at all.
  stream          stream(requests) yields (position, Answer) as they come, for
                  models whose batches last: each is journaled at once.
"""

import difflib
import importlib
from typing import Any, NamedTuple, Protocol

import numpy as np


class Request(NamedTuple):
  """One question, as a model gets it.

  Attributes:
    key: of the example, unique in its benchmark.
    text: the prompt of the chosen variant; may hold "<image>".
    image: u8[H,W,3] RGB with the boxes drawn; None for models that need none.
    depth_m: f32[h,w] metres, 0 or NaN unknown; None: no point map.
    intrinsics: f32[3,3] normalised, pixel centres at +0.5, with depth_m.
  """

  key: str
  text: str
  image: np.ndarray | None = None
  depth_m: np.ndarray | None = None
  intrinsics: np.ndarray | None = None


class Answer(NamedTuple):
  """What a model says to a request.

  Attributes:
    text: its raw words.
    logp: log-probability of the whole answer, where it is known.
    tokens: new tokens, where they are known.
    ended: False: cut at the limit; None: not known.
    error: why there is no answer; it is asked again by --resume.
    usage: what it cost, JSON-able: {"prompt_tokens": 812, ...}.
  """

  text: str = ""
  logp: float | None = None
  tokens: int | None = None
  ended: bool | None = None
  error: str = ""
  usage: dict[str, Any] | None = None


class Model(Protocol):
  """What evaluation asks.

  Attributes:
    batch_size: requests that it wants at once, over all processes.
  """

  batch_size: int

  def describe(self) -> dict[str, Any]:
    """What its answers depend on: JSON-able, without secrets or paths that
    would differ on another machine; the digest of its weights. Runs whose
    descriptions differ don't share a journal."""
    ...

  def answer(self, requests: list[Request]) -> list[Answer]:
    """As many answers, in the order of the requests. What fails for one
    request alone is its `error`; what fails for all (a wrong key) raises."""
    ...


_KINDS = {
  "checkpoint": "checkpoint",
  "hf": "huggingface",
  "openai": "endpoint",
  "predictions": "predictions",
}


def open(spec: str, **options) -> Model:
  """The model of a spec KIND:NAME.

  Args:
    spec: see the head of this file.
    **options: of the kind's own `open(name, **options)`, None left out:
      batch_size, max_new_tokens, ...

  Raises:
    ValueError, OSError: no such kind or model, in one line.
  """
  kind, colon, name = spec.partition(":")
  if kind == "blind" and name:
    return Blind(open(name, **options))
  if kind not in _KINDS or not colon or not name:
    near = difflib.get_close_matches(kind, [*_KINDS, "blind"], n=1)
    hint = f"; did you mean {near[0]}:...?" if near else ""
    raise ValueError(
      f"--model {spec!r}: expected KIND:NAME with a KIND of "
      f"{', '.join(_KINDS)} or blind{hint}"
    )
  module = importlib.import_module(f"hispatial_jax.evaluation.{_KINDS[kind]}")
  given = {key: x for key, x in options.items() if x is not None}
  return module.open(name, **given)


class Blind:
  """A model shown a black picture and no points: what words alone give."""

  needs_pictures = True

  def __init__(self, model: Model):
    """Of any model that looks at pictures.

    Raises:
      ValueError: the model looks at none.
    """
    if not getattr(model, "needs_pictures", True):
      raise ValueError(
        "a file of predictions can't be blinded: give one of a blind run"
      )
    self._model, self.batch_size = model, model.batch_size
    self.collective = getattr(model, "collective", False)
    self._prepare = getattr(model, "prepare", lambda request: request)

  def describe(self) -> dict[str, Any]:
    """That of the model, and that it is blind."""
    return {**self._model.describe(), "blind": True}

  def prepare(self, request: Request):
    """The request without all that can be seen."""
    dark = np.zeros_like(request.image)
    return self._prepare(Request(request.key, request.text, dark))

  def answer(self, requests: list) -> list[Answer]:
    """Answers without having seen anything."""
    return self._model.answer(
      [self.prepare(r) if isinstance(r, Request) else r for r in requests]
    )
