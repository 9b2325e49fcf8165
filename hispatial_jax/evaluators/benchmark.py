"""Any benchmark by its name in the training loop, on a fixed sub-sample.

    config.evals.cvbench = {
      "type": "benchmark", "every": 1000, "name": "cvbench", "data": "DIR",
      "sample": 200, "size": 448, "batch_size": 64,
    }

The parameters are those being trained, wherever they lie. The sub-sample is
told by the keys of the questions alone: the same in every run, whatever the
order of the files. The last run's rows are in `rows`.
"""

import concurrent.futures
import hashlib
import os
from collections.abc import Iterator

import jax

from hispatial_jax.benchmarks import base, constants, intervals, registry
from hispatial_jax.evaluators import decoding, examples, rows

_THREADS = max(2, min(8, os.cpu_count() or 2))


class Evaluator:
  """Greedy answers to a sub-sample of a benchmark, scored.

  Args:
    predict_fns: of `predict_fns.make`; "generate" is called.
    tokenizer: of the model.
    name: of the benchmark, see benchmarks/registry.py.
    data: its files.
    size: side of the model's pictures, pixels.
    sample: number of questions, groups whole; 0 for all.
    batch_size: questions of a batch, over all processes, rounded up to fill
      the devices.
    max_new_tokens: longest answer.
    prompt: variant; None for the benchmark's default.
    points: "measured", or "none" to leave depth out.
    zeros, relative: the model is trained on op drop_points, relative_depth.

  Raises:
    ValueError, OSError: unknown benchmark or files, said at the start.
  """

  def __init__(
    self,
    predict_fns: dict,
    *,
    tokenizer,
    name: str,
    data: str,
    size: int,
    sample: int = 200,
    batch_size: int = 32,
    max_new_tokens: int = 32,
    prompt: str | None = None,
    points: str = "measured",
    zeros: bool = False,
    relative: bool = False,
  ):
    if points not in ("measured", "none"):
      raise ValueError(f"points={points!r}: expected 'measured' or 'none'")
    self._bench = registry.get(name)
    self._examples = fixed_sample(self._bench.load(data), sample)
    self._prompt, self._measured = prompt, points == "measured"
    base.prompt(self._examples[0], prompt)
    self._decoder = decoding.Decoder(
      predict_fns["generate"],
      tokenizer,
      size=size,
      rows=decoding.rows_here(
        batch_size, jax.device_count(), jax.process_count()
      ),
      max_new_tokens=max_new_tokens,
      zeros=zeros,
      relative=relative,
    )
    best = constants.scores(self._bench, self._examples)
    self._constant = self._headlines(best)
    self.rows: list[dict] = []

  def run(self, params) -> Iterator[tuple[str, float]]:
    """Yields (name, value): accuracy, headlines, constant, unparsed, n.

    A headline is named as the benchmark has it, those of other rules than
    ours as NAME/RULE; constant/NAME is the best constant answer's.
    """
    said = {row["key"]: row for row in rows.gather(list(self._answers(params)))}
    scores = [self._score(e, said[e.key]) for e in self._examples]
    pairs = zip(self._examples, scores, strict=True)
    self.rows = [{"key": e.key, **said[e.key], **s} for e, s in pairs]
    count = len(scores)
    yield "accuracy", sum(s["correct"] for s in scores) / count
    yield from self._headlines(scores).items()
    for name, value in self._constant.items():
      yield f"constant/{name}", value
    failed = sum(bool(s["error"]) for s in scores)
    unparsed = sum(not s["parsed"] for s in scores) - failed
    yield "unparsed", unparsed / count
    yield "errors", failed / count
    yield "n", count

  def _answers(self, params) -> Iterator[dict]:
    """This process's answers: {"key", "text"} or {"key", "error"}."""
    here, own = jax.process_index(), self._decoder.rows
    whole = own * jax.process_count()
    order = sorted(
      self._examples, key=lambda e: len(base.prompt(e, self._prompt))
    )
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
      for start in range(0, len(order), whole):
        mine = order[start : start + whole][here * own : (here + 1) * own]
        looked = list(pool.map(self._look, mine))
        good = [x for x in looked if isinstance(x, decoding.Seen)]
        found = iter(self._decoder.decode(params, good))
        for example, look in zip(mine, looked, strict=True):
          if isinstance(look, str):
            yield {"key": example.key, "error": look}
          else:
            yield {"key": example.key, "text": next(found).text}

  def _look(self, example: base.Example) -> decoding.Seen | str:
    """What the model sees, or why it can't."""
    if example.error:
      return example.error
    try:
      rgb = examples.picture(example)
      depth, matrix = None, None
      if self._measured:
        depth, matrix = examples.measured(example)
      text = base.prompt(example, self._prompt)
      return self._decoder.look(text, rgb, depth, matrix)
    except (ValueError, OSError) as error:
      return str(error) or type(error).__name__

  def _score(self, example, line) -> dict:
    if line.get("error") and not example.error:
      example = base.failed(example, line["error"])
    return self._bench.score(example, line.get("text", ""))

  def _headlines(self, scores) -> dict[str, float]:
    out, ours = {}, self._bench.RULES[0]
    for headline in self._bench.headlines(self._examples, scores):
      name = headline.name.replace(" ", "_")
      name = name if headline.rule == ours else f"{name}/{headline.rule}"
      value = intervals.line(headline)["value"]
      if value is not None:
        out[name] = value
    return out


def fixed_sample(found: list[base.Example], count: int) -> list[base.Example]:
  """Whole groups, in an order that their names alone set, until `count`."""
  if not count:
    return found

  def place(group: str) -> bytes:
    return hashlib.sha256(group.encode()).digest()

  sizes: dict[str, int] = {}
  for example in found:
    sizes[example.group] = sizes.get(example.group, 0) + 1
  chosen, total = set(), 0
  for group in sorted(sizes, key=place):
    if total >= count:
      break
    chosen.add(group)
    total += sizes[group]
  return [example for example in found if example.group in chosen]
