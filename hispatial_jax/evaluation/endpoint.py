"""A model behind an OpenAI-compatible endpoint.

    model = endpoint.open("gpt-5", temperature="none")      # OPENAI_API_KEY
    model = endpoint.open("gemini-2.5-pro", key_env="GEMINI_API_KEY",
      base_url="https://generativelanguage.googleapis.com/v1beta/openai/")
    model = endpoint.open("my-model", base_url="http://localhost:8000/v1",
      key_env="")                                           # vLLM, SGLang, ...

The picture goes as a data URL before the words, with the boxes drawn on it;
points can't be sent. `client` says what becomes of errors.
"""

import base64
import functools
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from hispatial_jax.evaluation import budget, client, models

_IMAGE = "<image>"  # Where our prompts have the picture; here it has its own.
_QUALITY = 95
_CLIENT = ("key_env", "concurrency", "timeout_s", "retries", "patience")
_LIMITS = tuple(budget.Limits.__dataclass_fields__)


class Endpoint:
  """Asks several requests at a time.

  Attributes:
    batch_size: requests that `answer` wants at once.
    spent: of this run so far, see `budget.Meter.spent`.
  """

  def __init__(
    self,
    chat: client.Client,
    *,
    batch_size: int | None = None,
    picture: str = "jpeg",
    max_side: int = 0,
    system: str = "",
  ):
    """Asks nothing yet.

    Args:
      chat: the endpoint and how to speak to it.
      batch_size: default four times its concurrency, so that the last of a
        batch seldom leave it idle.
      picture: "jpeg" (quality 95) or "png".
      max_side: longest side of a picture, pixels; 0 leaves it as it is.
      system: a system message; "" for none.

    Raises:
      ValueError: another kind of picture.
    """
    if picture not in ("jpeg", "png"):
      raise ValueError(f'picture must be "jpeg" or "png", got {picture!r}')
    self._chat, self.batch_size = chat, batch_size or 4 * chat.concurrency
    self._picture, self._max_side, self._system = picture, max_side, system

  @property
  def spent(self) -> dict[str, Any]:
    """Requests, tokens and cost of this run so far."""
    return self._chat.meter.spent()

  def describe(self) -> dict[str, Any]:
    """Endpoint, model and what is sent; neither the key nor its name."""
    return {
      "kind": "endpoint",
      "url": self._chat.url,
      "model": self._chat.model,
      "generation": dict(self._chat.generation),
      "picture": self._picture,
      "max_side": self._max_side,
      "system": self._system,
    }

  def answer(self, requests: list[models.Request]) -> list[models.Answer]:
    """As many answers; what failed for one alone is its error.

    Raises:
      client.Stopped: no use to ask on; its `answers` holds those that came.
    """
    out: list[models.Answer | None] = [None] * len(requests)
    try:
      for number, answer in self.stream(requests):
        out[number] = answer
    except client.Stopped as stopped:
      raise client.Stopped(str(stopped), out) from None
    return out

  def stream(
    self, requests: list[models.Request]
  ) -> Iterator[tuple[int, models.Answer]]:
    """Yields (position, answer) as they come.

    Raises:
      client.Stopped: after those that came.
    """
    conversations = [
      functools.partial(self.messages, request) for request in requests
    ]
    for number, reply in self._chat.each(conversations):
      yield number, _answer(reply)

  def messages(self, request: models.Request) -> list[dict[str, Any]]:
    """What is sent for a request."""
    text = request.text.replace(_IMAGE, "").strip()
    content: list[dict[str, Any]] = [{"type": "text", "text": text}]
    if request.image is not None:
      url = data_url(request.image, self._picture, self._max_side)
      content.insert(0, {"type": "image_url", "image_url": {"url": url}})
    system = [{"role": "system", "content": self._system}]
    user = [{"role": "user", "content": content}]
    return (system if self._system else []) + user


def open(
  name: str,
  *,
  batch_size: int | None = None,
  picture: str = "jpeg",
  max_side: int = 0,
  system: str = "",
  **options,
) -> Endpoint:
  """The model NAME of an endpoint; see `Endpoint` and `connect`."""
  return Endpoint(
    connect(name, **options),
    batch_size=batch_size,
    picture=picture,
    max_side=max_side,
    system=system,
  )


def connect(
  name: str,
  *,
  base_url: str | None = None,
  max_new_tokens: int = 100,
  token_field: str | None = None,
  temperature: float | str | None = 0.0,
  seed: int | None = None,
  logprobs: bool = False,
  reasoning_effort: str | None = None,
  response_format: dict | None = None,
  **more,
) -> client.Client:
  """The client of a model, to ask nothing but words or to make an Endpoint of.

  Args:
    name: as the endpoint calls it.
    base_url: see `client.Client`.
    max_new_tokens: longest answer; models that think count their thoughts.
    token_field: how the endpoint calls that: "max_completion_tokens", the
      default at OpenAI's own, or "max_tokens", the default elsewhere.
    temperature: None or "none" where a model allows its own only.
    seed, reasoning_effort, response_format: sent where given.
    logprobs: ask for them: answers then have a log-probability.
    **more: key_env, concurrency, timeout_s, retries, patience of
      `client.Client`, and what `budget.Limits` holds.

  Raises:
    ValueError: no key, or an option that doesn't exist.
    ImportError: openai is not installed.
  """
  unknown = sorted(set(more) - {*_CLIENT, *_LIMITS})
  if unknown:
    raise ValueError(
      f"an endpoint has no option {', '.join(unknown)}; beside those that say "
      f"what is sent there are {', '.join((*_CLIENT, *_LIMITS))}"
    )
  limits = {key: more.pop(key) for key in _LIMITS if key in more}
  generation = {
    "temperature": None if temperature == "none" else temperature,
    "seed": seed,
    "reasoning_effort": reasoning_effort,
    "response_format": response_format,
    "logprobs": logprobs or None,
  }
  chat = client.Client(
    name,
    base_url=base_url,
    limits=budget.Limits(**limits),
    **more,
    **{key: x for key, x in generation.items() if x is not None},
  )
  own = "api.openai.com" in chat.url
  field = token_field or ("max_completion_tokens" if own else "max_tokens")
  chat.generation[field] = max_new_tokens
  return chat


def data_url(rgb: np.ndarray, picture: str = "jpeg", max_side: int = 0) -> str:
  """u8[H,W,3] -> "data:image/...;base64,...".

  Args:
    rgb: the picture.
    picture: "jpeg", without subsampled colours (thin boxes stay sharp), or
      "png".
    max_side: larger ones are made smaller; 0 for never.
  """
  scale = max_side / max(rgb.shape[:2])
  if 0 < scale < 1:
    size = [max(1, round(scale * n)) for n in rgb.shape[1::-1]]
    rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
  flags = [
    int(cv2.IMWRITE_JPEG_QUALITY),
    _QUALITY,
    int(cv2.IMWRITE_JPEG_SAMPLING_FACTOR),
    int(cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
  ]
  bgr = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR)
  suffix, flags = (".jpg", flags) if picture == "jpeg" else (".png", [])
  _, data = cv2.imencode(suffix, bgr, flags)
  return f"data:image/{picture};base64,{base64.b64encode(data).decode()}"


def _answer(reply) -> models.Answer:
  usage = reply.usage or {}
  if reply.error:
    return models.Answer(error=reply.error, usage=reply.usage)
  ended = {"stop": True, "length": False}.get(reply.finish)
  tokens = usage.get("completion_tokens")
  return models.Answer(reply.text, reply.logp, tokens, ended, "", reply.usage)
