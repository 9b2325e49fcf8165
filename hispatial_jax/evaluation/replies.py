"""What an endpoint sends back, read as far as it goes."""

from typing import NamedTuple


class Reply(NamedTuple):
  """What came back; without `error` there is a text.

  Attributes:
    text: of the model.
    finish: why it ended, "stop" or "length"; with an error: None where it may
      be of use to ask again.
    usage: {"prompt_tokens", "completion_tokens"}, as far as they were said.
    logp: log-probability of the answer, where it was sent.
    error: why there is no text.
  """

  text: str = ""
  finish: str | None = None
  usage: dict[str, int] | None = None
  logp: float | None = None
  error: str = ""


def read(found) -> Reply:
  """A reply of what the client returns, whatever that is."""
  choices = getattr(found, "choices", None)
  if not isinstance(choices, list) or not choices:
    shown = found if isinstance(found, str) else type(found).__name__
    said = getattr(found, "error", None) or shown
    return Reply(error=f"an answer without choices: {str(said)!r}")
  usage = _usage(getattr(found, "usage", None))
  message = getattr(choices[0], "message", None)
  text = getattr(message, "content", None)
  finish = getattr(choices[0], "finish_reason", None)
  if not isinstance(text, str) or not text.strip():
    why = getattr(message, "refusal", None) or f"finish_reason {finish!r}"
    # What was cut while still thinking will be so again: don't pay twice.
    cut = finish if finish in ("length", "content_filter") else None
    return Reply(finish=cut, usage=usage, error=f"an empty answer: {why}")
  return Reply(text, str(finish), usage, _logp(choices[0]))


def _usage(found) -> dict[str, int]:
  names = ("prompt_tokens", "completion_tokens")
  counts = {name: getattr(found, name, None) for name in names}
  return {k: n for k, n in counts.items() if type(n) is int and n >= 0}


def _logp(choice) -> float | None:
  tokens = getattr(getattr(choice, "logprobs", None), "content", None) or []
  found = [getattr(token, "logprob", None) for token in tokens]
  known = found and all(isinstance(x, int | float) for x in found)
  return float(sum(found)) if known else None


def message(error) -> str:
  """What the endpoint says to a status that is no success."""
  body = error.body
  said = body.get("message") if isinstance(body, dict) else body
  said = said or error.message or "without a word"
  return " ".join(str(said).split())


def root(error: BaseException) -> str:
  """The first cause of an exception."""
  while error.__cause__ is not None:
    error = error.__cause__
  return str(error) or type(error).__name__
