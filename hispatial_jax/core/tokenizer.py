"""Gemma's SentencePiece with PaliGemma's location and segmentation tokens.

Three kinds of `.model` file, one interface: PaliGemma's own (257,152 pieces,
`<loc0000>` at 256,000 and `<seg000>` at 257,024 inside it), plain Gemma's
(256,000 pieces; the same ids are appended), and a small one trained here
(ids appended after its pieces). pad 0, eos 1, bos 2, unk 3 in all of them.

Source: big_vision@0127fb6 pp/ops_text.py (extra tokens follow the pieces) and
the tokenizer of the released PaliGemma-2 (vocabulary 257,152).
"""

import hashlib
import io
import itertools
import os
import re
from collections.abc import Iterable, Sequence

import sentencepiece
from etils import epath

from hispatial_jax.core import remote

NUM_LOC = 1024
NUM_SEG = 128

_LOC = [f"<loc{i:04d}>" for i in range(NUM_LOC)]
_SEG = [f"<seg{i:03d}>" for i in range(NUM_SEG)]
_EXTRA = _LOC + _SEG
# `<loc1024>` and `<seg128>` are no tokens: they stay ordinary text.
_SPLIT = re.compile(
  r"(<loc(?:0\d{3}|10[01]\d|102[0-3])>|<seg(?:0\d{2}|1[01]\d|12[0-7])>)"
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class Tokenizer:
  """Text <-> ids.

  Attributes:
    vocab_size: number of ids, location and segmentation tokens included.
    newline_id: the piece between question and answer.
    loc_id, seg_id: id of `<loc0000>`, of `<seg000>`; the others follow.
  """

  pad_id = 0
  eos_id = 1
  bos_id = 2
  unk_id = 3

  def __init__(self, model: bytes, name: str = "the tokenizer"):
    """Reads the bytes of a `.model` file; `name` appears in errors."""
    self._model = model
    self._pieces = _processor(model, name)
    self._num_pieces = self._pieces.vocab_size()
    self.newline_id = self._pieces.piece_to_id("\n")
    if self.newline_id == self.unk_id:
      raise ValueError(f"{name}: has no piece for the newline")
    self._ids = self._extra_ids(name)
    self._texts = {i: text for text, i in self._ids.items()}
    self.loc_id, self.seg_id = self._ids[_LOC[0]], self._ids[_SEG[0]]
    self.vocab_size = max(self._num_pieces, max(self._texts) + 1)

  def _extra_ids(self, name: str) -> dict[str, int]:
    ids = [self._pieces.piece_to_id(text) for text in _EXTRA]
    inside = sum(i != self.unk_id for i in ids)
    if inside == 0:
      return dict(zip(_EXTRA, itertools.count(self._num_pieces), strict=False))
    if inside < len(_EXTRA):
      raise ValueError(
        f"{name}: holds {inside} of the {len(_EXTRA)} <loc…> and <seg…> "
        "tokens; expected all (PaliGemma) or none (Gemma)"
      )
    return dict(zip(_EXTRA, ids, strict=True))

  def encode(self, text: str) -> list[int]:
    """Returns the ids of a text, without bos and eos.

    `<loc0000>`…`<loc1023>` and `<seg000>`…`<seg127>` are single ids wherever
    they stand; anything else that looks like one is ordinary text.

    Raises:
      ValueError: half a surrogate pair, which is no Unicode text (a JSON file
        can hold one as `\\ud800`).
    """
    half = _SURROGATE.search(text)
    if half:
      raise ValueError(
        f"{text!r}: character {half.start()} is half a surrogate pair; "
        "expected Unicode text"
      )
    ids = []
    for part in _SPLIT.split(text):
      if part in self._ids:
        ids.append(self._ids[part])
      elif part:
        ids.extend(self._pieces.encode(part))
    return ids

  def decode(self, ids: Iterable[int]) -> str:
    """Returns the text of the ids up to the first eos; drops pad and bos.

    Raises:
      ValueError: ids outside the vocabulary; all are listed.
    """
    ids = [int(i) for i in ids]
    wrong = sorted({i for i in ids if not 0 <= i < self.vocab_size})
    if wrong:
      raise ValueError(f"ids {wrong} are not in 0..{self.vocab_size - 1}")
    if self.eos_id in ids:
      ids = ids[: ids.index(self.eos_id)]
    ids = [i for i in ids if i not in (self.pad_id, self.bos_id)]
    parts = []
    for extra, run in itertools.groupby(ids, lambda i: i in self._texts):
      if extra:
        parts.extend(self._texts[i] for i in run)
      else:
        parts.append(self._pieces.decode(list(run)))
    return "".join(parts)

  @property
  def digest(self) -> str:
    """SHA-256 of the `.model` file."""
    return hashlib.sha256(self._model).hexdigest()

  def save(self, path: str | os.PathLike) -> None:
    """Writes the `.model` file that `load` reads back."""
    target = epath.Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(self._model)


def load(path: str | os.PathLike) -> Tokenizer:
  """Returns the tokenizer of a `.model` file, local or on gs://.

  Raises:
    FileNotFoundError: no such file.
    ValueError: not a SentencePiece model with Gemma's special ids.
  """
  path = remote.path(path)
  if not path.exists():
    raise FileNotFoundError(
      f"{path}: no such tokenizer file; expected a SentencePiece .model "
      "(PaliGemma's, Gemma's or one that training wrote)"
    )
  if path.is_dir():
    raise ValueError(f"{path}: is a folder; expected a SentencePiece .model")
  return Tokenizer(path.read_bytes(), str(path))


def train_small(
  texts: Iterable[str],
  vocab_size: int = 512,
  path: str | os.PathLike | None = None,
) -> Tokenizer:
  """Trains a small tokenizer with Gemma's conventions; the same on every run.

  BPE with byte fallback, digits one by one, no dummy prefix, white space kept
  and no normalisation, the newline a piece of its own.

  Args:
    texts: sample questions and answers. Location and segmentation tokens in
      them are left out: they have ids of their own.
    vocab_size: upper bound of the number of pieces (at least 300: 256 bytes
      and the characters); 1,152 location and segmentation ids follow them.
    path: where to save the `.model`, if at all.

  Raises:
    ValueError: no text, or a size that cannot hold bytes and characters.
  """
  lines = _training_lines(texts)
  if not lines:
    raise ValueError("train_small needs at least one text that is not empty")
  sink = io.BytesIO()
  try:
    sentencepiece.SentencePieceTrainer.train(
      sentence_iterator=iter(lines),
      model_writer=sink,
      vocab_size=vocab_size,
      hard_vocab_limit=False,
      model_type="bpe",
      byte_fallback=True,
      split_digits=True,
      character_coverage=1.0,
      add_dummy_prefix=False,
      remove_extra_whitespaces=False,
      normalization_rule_name="identity",
      user_defined_symbols=["\n"],
      pad_id=Tokenizer.pad_id,
      eos_id=Tokenizer.eos_id,
      bos_id=Tokenizer.bos_id,
      unk_id=Tokenizer.unk_id,
      pad_piece="<pad>",
      eos_piece="<eos>",
      bos_piece="<bos>",
      num_threads=1,
      minloglevel=2,
    )
  except RuntimeError as e:
    raise ValueError(f"cannot train {vocab_size} pieces: {e}") from e
  tokenizer = Tokenizer(sink.getvalue(), "the trained tokenizer")
  if path is not None:
    tokenizer.save(path)
  return tokenizer


def _training_lines(texts: Iterable[str]) -> Sequence[str]:
  """Splits at newlines and extra tokens, which pieces must not cross."""
  parts = (p for text in texts for p in re.split(r"\n|" + _SPLIT.pattern, text))
  return [part for part in parts if part and not _SPLIT.fullmatch(part)]


def _processor(model: bytes, name: str):
  if not model:
    raise ValueError(f"{name}: not a SentencePiece model (no bytes)")
  try:
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    special = [pieces.pad_id(), pieces.eos_id(), pieces.bos_id()]
    special.append(pieces.unk_id())
    size = pieces.vocab_size()
  except RuntimeError as e:
    raise ValueError(f"{name}: not a SentencePiece model ({e})") from e
  if size == 0:
    raise ValueError(f"{name}: not a SentencePiece model (no pieces)")
  if special != [0, 1, 2, 3]:
    raise ValueError(
      f"{name}: pad, eos, bos, unk are {special}; Gemma's are [0, 1, 2, 3]"
    )
  return pieces
