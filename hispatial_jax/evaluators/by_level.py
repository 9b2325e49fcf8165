"""Decoded answers against the truth, by task and level, beside the constant.

    evaluator = by_level.Evaluator(
      predict_fns, tokenizer=words, constants=constants, batch_size=64,
      dir="...", split="val", pp="...",
    )
    figures = dict(evaluator.run(params))
    evaluator.rows        # every answer with its verdict: predictions.jsonl
    evaluator.table       # benchmarks.tables.table of them

Counts are integers over the unpadded rows of all processes, so they do not
depend on the batch size, the number of devices or of hosts.
"""

import functools
from collections.abc import Callable, Iterator

import numpy as np

from hispatial_jax.benchmarks import by_level
from hispatial_jax.data import pipeline
from hispatial_jax.evaluators import rows


class Evaluator:
  """Greedy answers to every question of the batches, judged.

  Args:
    predict_fns: {"generate": fn(params, host batch, max_new_tokens=N) ->
      {"tokens" i32[B,N], "logp" f32[B,N]} of this host's rows}, greedy.
    tokenizer: of the model; `decode(ids)` gives the answer.
    batch_size: questions of a batch, over all processes.
    max_new_tokens: longest answer; one that is cut has `ended` False.
    max_batches: stop there, for a subset in the loop; 0 for all.
    constants: of `benchmarks.by_level.constant_answers`; a function that
      gives them is called once, when they are first needed.
    constant_split: split of the same data that they are taken from, when they
      are not given; "" for none.
    on_batch: called with the number of this process's questions done.
    batches: () -> iterable of eval batches, instead of `**data`, one question
      a row; every process must give the same number.
    **data: what `pipeline.eval_batches` reads.
  """

  def __init__(
    self,
    predict_fns: dict,
    *,
    tokenizer,
    batch_size: int = 32,
    max_new_tokens: int = 32,
    max_batches: int = 0,
    constants: dict | Callable | None = None,
    constant_split: str = "",
    on_batch: Callable | None = None,
    batches: Callable | None = None,
    **data,
  ):
    self._generate = functools.partial(
      predict_fns["generate"], max_new_tokens=max_new_tokens
    )
    self._tokenizer, self._most = tokenizer, max_batches
    self._constants, self._on_batch = constants or {}, on_batch
    if constant_split and constants is None:
      self._constants = functools.partial(
        train_constants, data, tokenizer=tokenizer, split=constant_split
      )
    self._batches = batches or rows.batches(
      data, tokenizer=tokenizer, batch_size=batch_size, mode="generate"
    )
    self.rows: list[dict] = []
    self.table: dict = {}

  def answers(self, params) -> Iterator[dict]:
    """Yields this process's rows of `benchmarks.by_level.row`, as they come."""
    done = 0
    if callable(self._constants):
      self._constants = self._constants()
    for i, batch in enumerate(self._batches()):
      if i == (self._most or None):
        break
      arrays, infos = rows.split(batch)
      prompt = rows.prompts(arrays, rows.bucket(arrays))
      out = self._generate(params, prompt)
      found = zip(out["tokens"], out["logp"], infos, strict=True)
      for tokens, logp, info in found:
        if info is None:
          continue
        text = self._tokenizer.decode([int(t) for t in tokens])
        total = float(np.asarray(logp, np.float64).sum())
        ended = bool((tokens == 0).any() or tokens[-1] == 1)
        more = {"id": info["id"], "index": info["index"]}
        more |= {"logp": total, "ended": ended}
        yield by_level.row(info, text, self._constants, **more)
        done += 1
      if self._on_batch:
        self._on_batch(done)

  def run(self, params) -> Iterator[tuple[str, float]]:
    """Yields (name, value); fills `rows` and `table`.

    Names: accuracy, accuracy/levelN, accuracy/TASK and the same with constant
    and gain, unparsed, n. Shares are 0..1.

    Raises:
      ValueError: no question was seen.
    """
    mine = list(self.answers(params))
    # In the order of the records, however many processes shared them.
    self.rows = sorted(rows.gather(mine), key=lambda row: row["index"])
    self.table = by_level.table(self.rows)
    yield from figures(self.table)


def train_constants(
  data: dict, *, tokenizer, split: str = "train", num_records: int = 1000
) -> dict:
  """The best constant answers of a training split, with its own questions.

  Every process reads the same records, so all have the same constants.

  Args:
    data: what `pipeline.eval_batches` reads.
    tokenizer: of the model.
    split, num_records: which records, from the first one on.
  """
  data = {**data, "split": split, "num_records": num_records}
  found = pipeline.eval_batches(
    data, tokenizer=tokenizer, batch_size=64, mode="generate"
  )
  return by_level.constant_answers(
    [info for batch in found for info in batch["qa"] if info is not None]
  )


def figures(table: dict) -> Iterator[tuple[str, float]]:
  """A table's main figures as (name, value): all, means, levels, tasks."""
  cuts = {"all": "", "mean": "/tasks_levels_0_2"}
  order = ["all", "mean", "level", "task"]
  for line in sorted(table["lines"], key=lambda x: order.index(x["cut"])):
    cut, name = line["cut"], line["name"]
    if cut == "mean" and name != "mean of tasks, levels 0-2":
      continue
    end = f"/level{line['level']}" if cut == "level" else f"/{name}"
    end = cuts.get(cut, end)
    yield f"accuracy{end}", line["accuracy"]
    if line["constant"] is not None:
      yield f"constant{end}", line["constant"]
      yield f"gain{end}", line["difference"]
    if cut == "all":
      yield "unparsed", line["unparsed"] / line["n"]
      yield "n", line["n"]
