"""Batches, from records: deterministic, sharded by process, resumable.

    cfg = {
      "dir": "data/toy",        # or "mixture": {"toy": {"dir": ..,
      "split": "train",         #                        "weight": 1.0}, ...}
      "pp": "decode|scene|points(112)|resize(112)|draw_qa(8)|tokenize(64)",
    }
    batches = train_iterator(cfg, tokenizer=words, batch_size=32)
    batch = next(batches)             # host-local numpy arrays, and "ids"
    state = batches.get_state()       # exact: after the batch just returned

Further keys of cfg, with their defaults, are in DEFAULTS, those of the parts of
a mixture in parts.KEYS. The keys of a batch are those of DESIGN section 4:
image f32[B,S,S,3], points f32[B,S,S,4], text, mask_ar, mask_loss, mask_input
i32[B*R,T], `_mask` bool[B*R]; and the lists ids and, in evaluation, qa. R is
the most questions a record gives: its image is read once for all of them. Rows
b*R .. b*R+R-1 are about image b; those that a record does not fill are padding,
with `_mask` False, all R of a record that cannot be used. In evaluation R is 1.
"""

from collections.abc import Mapping
from typing import Any

from hispatial_jax.core import spec
from hispatial_jax.data import eval_stream, parts, train_stream
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
  "num_records": None,  # eval_batches: only the first ones of each part
}


def train_iterator(
  cfg: Mapping[str, Any],
  *,
  tokenizer,
  batch_size: int,
  process_index: int = 0,
  process_count: int = 1,
  seed: int = 0,
) -> train_stream.TrainIterator:
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
  cfg, seed = _complete(cfg, seed)
  opened = parts.open_parts(cfg, tokenizer=tokenizer, seed=seed)
  if opened.max_questions is None:
    raise ValueError(
      "a part's pp bounds no record's questions: use draw_qa(N) or "
      f"stored_qa(N); got {cfg['pp']!r}"
    )
  return train_stream.TrainIterator(
    opened,
    cfg,
    batch_size=batch_size,
    process_index=process_index,
    process_count=process_count,
    seed=seed,
  )


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
) -> eval_stream.EvalBatches:
  """All records of a split once, in order; the same questions everywhere.

  The parts of a mixture come one after the other; weights do not matter.

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
    (numbers of the records, over all parts) and qa: the row's dict of question,
    answer, level, task, format, meta.
  """
  if mode not in (None, "loss", "generate"):
    raise ValueError(f"mode {mode!r} is not 'loss' or 'generate'")
  cfg, seed = _complete(cfg, seed)

  def change_pp(string):
    if mode == "generate":
      return build.for_decoding(string, prompt_length)
    return string

  return eval_stream.EvalBatches(
    parts.open_parts(cfg, tokenizer=tokenizer, seed=seed, change_pp=change_pp),
    cfg,
    batch_size=batch_size,
    process_index=process_index,
    process_count=process_count,
  )


def _complete(cfg, seed: int) -> tuple[dict[str, Any], int]:
  """The config as a dict with all keys, and the seed; says what is wrong."""
  cfg = {k: v for k, v in cfg.items()}
  spec.check_keys(cfg, DEFAULTS, "the data config")
  cfg = {**DEFAULTS, **cfg}
  if bool(cfg["dir"]) == bool(cfg["mixture"]):
    raise ValueError("the data config needs dir or mixture, one of them")
  return cfg, seed if cfg["seed"] is None else cfg["seed"]
