"""Batches, from records: deterministic, sharded by process, resumable.

    cfg = {
      "dir": "data/toy",        # or "mixture": {"toy": {"dir": ..,
      "split": "train",         #                        "weight": 1.0}, ...}
      "pp": "decode|scene|points(112)|resize(112)|draw_qa(8)|tokenize(64)",
    }
    batches = train_iterator(cfg, tokenizer=words, batch_size=32)
    batch = next(batches)             # host-local numpy arrays, and "ids"
    state = batches.get_state()       # exact: after the batch just returned

Further keys of cfg, with their defaults, are in DEFAULTS. The keys of a batch
are those of DESIGN section 4: image f32[B,S,S,3], points f32[B,S,S,4], text,
mask_ar, mask_loss, mask_input i32[B*R,T], `_mask` bool[B*R]; and the lists ids
and, in evaluation, qa. R is the most questions a record gives: its image is
read once for all of them. Rows b*R .. b*R+R-1 are about image b; those that a
record does not fill are padding, with `_mask` False. In evaluation R is 1.
"""

import collections
import math
from collections.abc import Iterator, Mapping
from typing import Any

import grain

from hispatial_jax.core import spec
from hispatial_jax.data import batches, reader
from hispatial_jax.pp import build

DEFAULTS = {
  "dir": None,
  "mixture": None,
  "split": "train",
  "pp": None,
  "seed": None,  # instead of the argument
  "max_bad_share": 0.01,  # of the records of an epoch; more stops the run
  "num_threads": 2,  # that make examples ahead; 0: none
  "prefetch": 64,  # examples made ahead
  "cache_mb": 512,  # of what does not change between epochs
  "num_records": None,  # eval_batches: only the first ones
}


def train_iterator(
  cfg: Mapping[str, Any],
  *,
  tokenizer,
  batch_size: int,
  process_index: int = 0,
  process_count: int = 1,
  seed: int = 0,
) -> "TrainIterator":
  """Endless batches of this process.

  Args:
    cfg: see the head of this file and DEFAULTS; a Mapping or ConfigDict.
    tokenizer: core.tokenizer.Tokenizer.
    batch_size: records of this process.
    process_index: of this process.
    process_count: processes share every epoch, disjointly.
    seed: of the order, of the mixture and of every draw.

  Raises:
    ValueError: unknown keys or operations, with the nearest names; nothing
      bounds the questions of a record.
    FileNotFoundError: no records.
  """
  cfg = _complete(cfg)
  seed = seed if cfg["seed"] is None else cfg["seed"]
  parts, sizes = [], []
  for number, (source, weight) in enumerate(_sources(cfg)):
    read = reader.Reader(
      source, _ops(cfg["pp"], tokenizer), seed, cfg["cache_mb"]
    )
    order = grain.MapDataset.range(len(source)).seed(seed + number).shuffle()
    endless = order.repeat(None).map_with_index(read.epoch_of)
    parts.append((endless.map(read), weight))
    sizes.append(len(source))
  data = parts[0][0]
  if len(parts) > 1:
    data = grain.MapDataset.mix([p for p, _ in parts], [w for _, w in parts])
  rows = _examples(data[process_index::process_count], cfg)
  tally = reader.Tally(
    cfg["max_bad_share"], epoch=math.ceil(sum(sizes) / process_count)
  )
  per_image = read.ops.max_questions
  if per_image is None:
    raise ValueError(
      f"pp {cfg['pp']!r} bounds no record's questions: use draw_qa(N) or "
      "stored_qa(N)"
    )
  return TrainIterator(rows, tally, batch_size, per_image, process_count)


class TrainIterator:
  """next() gives a batch; get_state() a small JSON-able dict.

  Attributes:
    tally: reader.Tally: records seen, bad ones and dropped questions by reason.
  """

  def __init__(
    self, dataset, tally, batch_size: int, per_image: int, process_count: int
  ):
    self.tally = tally
    self._examples = iter(dataset)
    self._batch_size, self._per_image = batch_size, per_image
    self._process_count = process_count

  def __iter__(self) -> Iterator[batches.Batch]:
    return self

  def __next__(self) -> batches.Batch:
    examples = []
    while len(examples) < self._batch_size:
      example = next(self._examples)
      if self.tally.count(example):
        examples.append(example)
    return batches.of_examples(examples, self._per_image)

  def get_state(self) -> dict[str, Any]:
    """Where the stream stands after the last batch returned."""
    return {
      "next_index": int(self._examples.get_state()["next_index"]),
      "process_count": self._process_count,
      "tally": self.tally.get_state(),
    }

  def set_state(self, state: Mapping[str, Any]) -> None:
    """Continues from a state, exactly.

    With another number of processes the stream continues at the same place of
    all processes together, rounded up to a whole round.
    """
    seen = state["next_index"] * state["process_count"]
    self._examples.set_state({"next_index": -(-seen // self._process_count)})
    self.tally.set_state(state["tally"])


def eval_batches(
  cfg: Mapping[str, Any],
  *,
  tokenizer,
  batch_size: int,
  process_index: int = 0,
  process_count: int = 1,
  mode: str | None = None,
  prompt_length: int | None = None,
  seed: int = 0,
) -> "EvalBatches":
  """All records of a split once, in order; the same questions everywhere.

  Args:
    cfg, tokenizer, batch_size, process_index, process_count: as in
      `train_iterator`; cfg["num_records"] takes only the first ones.
    mode: "generate" makes the text operation of cfg["pp"] `prompt`: a row for
      each question, left-aligned, without its answer. "loss" or None: as is.
    prompt_length: T of mode "generate"; None: that of the text operation.
    seed: of the questions drawn. Epoch is 0 always.

  Returns:
    An iterable, as often as wanted, of batches that all have batch_size rows;
    every process has the same number of them. Besides the arrays a batch has
    lists of batch_size, None where `_mask` is False: ids (record ids), index
    (numbers of the records in the split) and qa: the row's dict of question,
    answer, level, task, format, meta.
  """
  if mode not in (None, "loss", "generate"):
    raise ValueError(f"mode {mode!r} is not 'loss' or 'generate'")
  cfg = _complete(cfg)
  seed = seed if cfg["seed"] is None else cfg["seed"]
  string = cfg["pp"]
  if mode == "generate":
    string = build.for_decoding(string, prompt_length)
  ((source, _),) = _sources(cfg)
  size = min(len(source), cfg["num_records"] or len(source))
  read = reader.Reader(source, _ops(string, tokenizer), seed, cfg["cache_mb"])
  mine = grain.MapDataset.range(size).map(lambda i: (0, i)).map(read)
  mine = mine[process_index::process_count]
  most = math.ceil(size / process_count) * (read.ops.max_questions or 0)
  return EvalBatches(
    _examples(mine, cfg),
    batch_size,
    num_batches=math.ceil(most / batch_size) if process_count > 1 else 0,
    tally=(cfg["max_bad_share"], math.ceil(size / process_count)),
  )


class EvalBatches:
  """Iterable of batches; see `eval_batches`.

  Attributes:
    tally: reader.Tally of the latest pass.
  """

  def __init__(self, dataset, batch_size: int, *, num_batches: int, tally):
    self._dataset, self._batch_size = dataset, batch_size
    self._num_batches, self._tally_of = num_batches, tally
    self.tally = None

  def __iter__(self) -> Iterator[batches.Batch]:
    self.tally = reader.Tally(*self._tally_of)
    rows, done, last = collections.deque(), 0, None
    for example in self._dataset:
      if self.tally.count(example):
        rows.extend(batches.split_rows(example))
      while len(rows) >= self._batch_size:
        taken = [rows.popleft() for _ in range(self._batch_size)]
        last, done = taken[-1], done + 1
        yield self._batch(taken)
    if rows:
      last, done = rows[-1], done + 1
      yield self._batch(list(rows))
    if last is None:
      raise ValueError("no record of the split gives a question")
    while done < self._num_batches:
      done += 1
      yield self._batch([last], real=0)

  def _batch(self, rows, real=None) -> batches.Batch:
    real = len(rows) if real is None else real
    batch = batches.of_rows(rows, self._batch_size, real)
    blank = [None] * (self._batch_size - real)
    for key in ("qa", "index"):
      batch[key] = [row[key] for row in rows[:real]] + blank
    batch["ids"] = batch["ids"][:real] + blank
    return batch


def _complete(cfg) -> dict[str, Any]:
  """The config as a dict with all keys; says what is unknown or missing."""
  cfg = {k: v for k, v in cfg.items()}
  spec.check_keys(cfg, DEFAULTS, "the data config")
  cfg = {**DEFAULTS, **cfg}
  if not cfg["pp"]:
    raise ValueError("the data config has no pp, the operations")
  if bool(cfg["dir"]) == bool(cfg["mixture"]):
    raise ValueError("the data config needs dir or mixture, one of them")
  return cfg


def _sources(cfg) -> list[tuple[Any, float]]:
  """[(records with random access, weight)]."""
  from hispatial_jax.data import builder

  if cfg["dir"]:
    return [(builder.open_split(cfg["dir"], cfg["split"]), 1.0)]
  found = []
  for name, part in sorted(cfg["mixture"].items()):
    spec.check_keys(part, ("dir", "split", "weight"), f"mixture.{name}")
    split = part.get("split", cfg["split"])
    source = builder.open_split(part["dir"], split)
    found.append((source, float(part.get("weight", 1.0))))
  return found


def _ops(string: str, tokenizer) -> build.Chain:
  return build.build(
    string, tokenizer=tokenizer, extra={"decode": reader.get_decode}
  )


def _examples(dataset, cfg):
  threads = int(cfg["num_threads"])
  return dataset.to_iter_dataset(
    grain.ReadOptions(
      num_threads=threads,
      prefetch_buffer_size=max(1, int(cfg["prefetch"])) if threads else 0,
    )
  )
