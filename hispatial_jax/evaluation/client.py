"""Chat completions of any OpenAI-compatible endpoint, by the `openai` client.

    chat = client.Client("gpt-5", key_env="OPENAI_API_KEY")
    for number, reply in chat.each([[{"role": "user", "content": "2+2?"}]]):
      print(reply.text or reply.error)

What goes wrong, and what becomes of it:

  429, 5xx, time-outs, broken connections   again, with back-off and as
                                            Retry-After says; then an error
  an answer that can't be read              asked again; then an error
  a refused key, an unknown model, no       Stopped, with one line
  quota, no connection at all, a cap
  many errors in a row                      Stopped: the endpoint is dead

The key is read from the environment, lives in the client alone, and is taken
out of every text that comes back.
"""

import os
import queue
import threading
from collections.abc import Iterator
from typing import Any

from hispatial_jax.evaluation import budget, keys, replies

_UNREADABLE = 2  # Times that an unreadable answer is asked for again.
_LONGEST_ERROR = 400


class Stopped(ValueError):
  """No use to ask on; what was answered is kept, and --resume continues.

  Attributes:
    answers: by whoever asked: one for each request, None where it wasn't
      asked.
  """

  def __init__(self, why: str, answers: list | None = None):
    """`why` is one line."""
    super().__init__(why)
    self.answers = answers or []


class _Halt(BaseException):
  """Leaves the client's own loop of retries, which catches Exception."""


class Client:
  """One model of one endpoint."""

  def __init__(
    self,
    model: str,
    *,
    base_url: str | None = None,
    key_env: str = "OPENAI_API_KEY",
    concurrency: int = 8,
    timeout_s: float = 120.0,
    retries: int = 5,
    patience: int = 10,
    limits: budget.Limits | None = None,
    **generation,
  ):
    """Reads the key; asks nothing yet.

    Args:
      model: as the endpoint calls it.
      base_url: http(s)://HOST/v1; default: OPENAI_BASE_URL, else OpenAI's.
      key_env: environment variable that holds the key; "" for servers that
        want none.
      concurrency: calls at a time.
      timeout_s: without a byte from the endpoint.
      retries: of one call, by the client.
      patience: errors in a row that mean a dead endpoint.
      limits: pace and caps of this run.
      **generation: sent with every call: max_tokens, temperature, ...

    Raises:
      ValueError: no key, or no URL.
      ImportError: openai is not installed.
    """
    openai = _openai()
    key = keys.read(key_env)
    base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
    self.model, self.concurrency = model, max(1, concurrency)
    self.generation = generation
    self._key_env, self._patience, self._retries = key_env, patience, retries
    self._halted = threading.Event()
    self._stop: str | None = None
    self._in_a_row, self._ever, self._lock = 0, False, threading.Lock()
    self.meter = budget.Meter(limits or budget.Limits(), self._halted)
    self._client = openai.OpenAI(
      api_key=key,
      base_url=base_url,
      timeout=timeout_s,
      max_retries=retries,
      http_client=openai.DefaultHttpxClient(
        event_hooks={"request": [lambda _: self._attempt()]}
      ),
    )
    self.url = keys.bare_url(str(self._client.base_url))
    self._hide = lambda text: keys.hide(text, key)
    self._clean = lambda text: keys.scrub(text, key)

  def each(self, conversations: list) -> Iterator[tuple[int, replies.Reply]]:
    """Asks all, several at a time; yields (number, reply) as they come.

    Args:
      conversations: lists of messages, or functions that make one.

    Raises:
      Stopped: after the replies that came; the rest was not asked.
    """
    todo, done = queue.SimpleQueue(), queue.SimpleQueue()
    for item in enumerate(conversations):
      todo.put(item)

    def work():
      while True:
        try:
          number, messages = todo.get_nowait()
        except queue.Empty:
          return
        try:
          done.put((number, self._ask(messages)))
        except BaseException as error:  # raised where it is waited for
          done.put((number, error))

    # Daemons: ctrl-C doesn't wait for an endpoint that hangs.
    for _ in range(min(self.concurrency, len(conversations))):
      threading.Thread(target=work, daemon=True).start()
    try:
      for _ in range(len(conversations)):
        number, reply = done.get()
        if isinstance(reply, BaseException):
          raise reply
        if reply is not None:
          yield number, reply
    except BaseException:  # ctrl-C: nobody waits for the rest
      self._halt("interrupted")
      raise
    if self._stop:
      raise Stopped(self._stop)

  def _ask(self, messages) -> replies.Reply | None:
    """One call; None when the run has stopped before there was a reply."""
    messages = messages() if callable(messages) else messages
    for left in reversed(range(1 + _UNREADABLE)):
      reply = self._call(messages)
      if reply is None or reply.finish or not reply.error or not left:
        break
      if self._halted.wait(0.1 * (_UNREADABLE - left + 1)):
        break
    if reply is not None:
      self._count(reply)
      error = self._clean(reply.error)[:_LONGEST_ERROR]
      reply = reply._replace(text=self._hide(reply.text), error=error)
    return reply

  def _call(self, messages) -> replies.Reply | None:
    openai, used = _openai(), {}
    try:
      if self._halted.is_set():
        raise _Halt
      self._within(self.meter.begin)
    except _Halt:
      return None
    try:
      found = self._client.chat.completions.create(
        model=self.model, messages=messages, **self.generation
      )
      reply = replies.read(found)
      used = reply.usage or {}
      if self.meter.limits.counts_tokens and not used and not reply.error:
        self._halt("the endpoint counts no tokens, so no cap on tokens or cost "
                   "can be kept: use max_requests")  # fmt: skip
      return reply
    except _Halt:
      return None
    except openai.APIStatusError as error:
      return self._refused(error)
    except openai.APITimeoutError:
      return replies.Reply(finish="error", error=f"timed out {self._tries()}")
    except openai.APIConnectionError as error:
      why = (
        f"no connection to {self.url} {self._tries()}: {replies.root(error)}"
      )
      if not self._ever:
        self._halt(why)
      return replies.Reply(finish="error", error=why)
    except (openai.OpenAIError, ValueError, RecursionError) as error:
      return replies.Reply(error=f"an answer that can't be read: {error}")
    finally:
      self.meter.end(
        used.get("prompt_tokens", 0), used.get("completion_tokens", 0)
      )

  def _refused(self, error) -> replies.Reply | None:
    """Of a status that is no success: None when it stops the run."""
    status, said = error.status_code, replies.message(error)
    if status in (401, 403):
      self._halt(
        f"{self.url} refused the key ({status}): set the environment variable "
        f"{self._key_env or 'that key_env names'} to a valid one"
      )
    elif status == 404:
      self._halt(f"{self.url} has no model {self.model!r} (404): {said}")
    elif "insufficient_quota" in (error.code, error.type):
      self._halt(f"{self.url}: the quota of this key is used up: {said}")
    else:
      tried = f" {self._tries()}" if status == 429 or status >= 500 else ""
      return replies.Reply(
        finish="error", error=f"HTTP {status}{tried}: {said}"
      )
    return None

  def _tries(self) -> str:
    return f"{1 + self._retries} times" if self._retries else "once"

  def _attempt(self) -> None:
    """Before each HTTP request, the client's retries too."""
    if self._halted.is_set():
      raise _Halt
    self._within(self.meter.attempt)
    if self._halted.is_set():
      raise _Halt

  def _within(self, step) -> None:
    try:
      step()
    except budget.Reached as reached:
      self._halt(f"stopped within its cap: {reached}")
      raise _Halt from None

  def _halt(self, why: str) -> None:
    with self._lock:
      self._stop = self._stop or self._clean(why)[:_LONGEST_ERROR]
    self._halted.set()

  def _count(self, reply: replies.Reply) -> None:
    with self._lock:
      self._ever |= not reply.error
      self._in_a_row = self._in_a_row + 1 if reply.error else 0
      dead = self._in_a_row >= self._patience
    if dead:
      self._halt(
        f"{self.url} gave {self._in_a_row} errors in a row, the last: "
        f"{reply.error}"
      )


def _openai() -> Any:
  try:
    import openai
  except ImportError as error:
    raise ImportError(
      "an endpoint needs openai: pip install hispatial_jax[api]"
    ) from error
  return openai
