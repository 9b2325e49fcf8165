"""What a run may ask of an endpoint: a pace, and caps on what it spends.

Caps are those of one run: a resumed run begins again at nothing spent.
"""

import dataclasses
import threading
import time


class Reached(RuntimeError):
  """A cap holds the next request back; the message says which."""


@dataclasses.dataclass(frozen=True)
class Limits:
  """Pace and caps; None is without limit.

  Attributes:
    requests_per_minute: evenly spaced, retries included.
    max_requests: HTTP requests, retries included.
    max_tokens: read and written, as the endpoint counts them.
    max_cost: in the currency of the prices.
    input_price, output_price: of a million tokens.
  """

  requests_per_minute: float | None = None
  max_requests: int | None = None
  max_tokens: int | None = None
  max_cost: float | None = None
  input_price: float | None = None
  output_price: float | None = None

  def __post_init__(self):
    """Checks the values.

    Raises:
      ValueError: a cap on cost without prices, or a limit not above 0.
    """
    for name, value in dataclasses.asdict(self).items():
      free = name.endswith("_price")  # some endpoints cost nothing
      if value is not None and (value < 0 or (value == 0 and not free)):
        least = "at least 0" if free else "above 0"
        raise ValueError(f"{name} must be {least}, got {value}")
    prices = (self.input_price, self.output_price)
    if self.max_cost is not None and None in prices:
      raise ValueError(
        "max_cost needs input_price and output_price, per million tokens"
      )

  @property
  def counts_tokens(self) -> bool:
    """Whether a cap rests on the token counts of the endpoint."""
    return self.max_tokens is not None or self.max_cost is not None


class Meter:
  """Counts what is spent and holds requests back; safe among threads.

  A call (`begin` to `end`) is one question with all its attempts. While a cap
  rests on token counts and none is known, calls go one at a time; afterwards
  each call in flight is reckoned as dear as the dearest so far. So a cap is
  passed only by a call that is dearer than all before it.
  """

  def __init__(self, limits: Limits, halted: threading.Event | None = None):
    """Args:
    limits: to keep.
    halted: set: nobody waits for a turn any more.
    """
    self.limits = limits
    self._halted = halted or threading.Event()
    self._change = threading.Condition()
    self._next_turn = 0.0
    self._in_flight = 0
    self._dearest: tuple[int, float] | None = None
    self._requests = self._input = self._output = 0

  def begin(self) -> None:
    """A call starts.

    Raises:
      Reached: it could pass a cap on tokens or cost.
    """
    with self._change:
      if self.limits.counts_tokens:
        while self._dearest is None and self._in_flight:
          self._change.wait()
        self._check_tokens()
      self._in_flight += 1

  def end(self, input_tokens: int = 0, output_tokens: int = 0) -> None:
    """A call is over, and what its answers took, if anything came."""
    with self._change:
      self._in_flight -= 1
      self._input += input_tokens
      self._output += output_tokens
      used = input_tokens + output_tokens
      if used:
        cost = self._cost(input_tokens, output_tokens)
        tokens, dear = self._dearest or (0, 0.0)
        self._dearest = max(tokens, used), max(dear, cost)
      self._change.notify_all()

  def attempt(self) -> None:
    """Before each HTTP request: waits for its turn.

    Raises:
      Reached: no request is left.
    """
    pace, most = self.limits.requests_per_minute, self.limits.max_requests
    with self._change:
      if most is not None and self._requests >= most:
        raise Reached(f"max_requests={most} is reached")
      self._requests += 1
      now = time.monotonic()
      turn = max(now, self._next_turn)
      if pace:
        self._next_turn = turn + 60 / pace
    if turn > now:
      self._halted.wait(turn - now)

  def spent(self) -> dict:
    """{"requests", "input_tokens", "output_tokens", "cost"}, JSON-able.

    `cost` is None without prices.
    """
    with self._change:
      known = None not in (self.limits.input_price, self.limits.output_price)
      return {
        "requests": self._requests,
        "input_tokens": self._input,
        "output_tokens": self._output,
        "cost": self._cost(self._input, self._output) if known else None,
      }

  def _cost(self, input_tokens: int, output_tokens: int) -> float:
    limits = self.limits
    cost = input_tokens * (limits.input_price or 0.0)
    return (cost + output_tokens * (limits.output_price or 0.0)) / 1e6

  def _check_tokens(self) -> None:
    tokens, cost = self._dearest or (0, 0.0)
    ahead, most = self._in_flight + 1, self.limits.max_tokens
    used = self._input + self._output
    if most is not None and used + ahead * tokens > most:
      raise Reached(
        f"max_tokens={most}: {used} are used and a call may take {tokens}"
      )
    spent, most = self._cost(self._input, self._output), self.limits.max_cost
    if most is not None and spent + ahead * cost > most:
      raise Reached(
        f"max_cost={most:g}: {spent:.4g} is spent, a call may take {cost:.2g}"
      )
