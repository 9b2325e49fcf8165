"""Ids of text: Gemma's conventions, location tokens, the small tokenizer."""

import base64
import json

import hypothesis
import hypothesis.strategies as st
import pytest

from hispatial_jax.core import tokenizer

_TEXTS = [
  "what is the xyz of the pixel in <loc0016><loc0064><loc0016><loc0064>",
  "How far is the red chair?\n(A). 1.5m\n(B). 20m",
  "0.61m -0.20m 1.17m",
] * 4


@pytest.fixture(scope="module")
def small():
  return tokenizer.train_small(_TEXTS, 320)


@pytest.fixture
def reference(golden):
  path = golden / "hispatial_data" / "text_and_collate.json"
  return json.loads(path.read_text())


@pytest.fixture
def gemma(reference):
  return tokenizer.Tokenizer(base64.b64decode(reference["spm_model_base64"]))


def test_ids_of_the_reference(gemma, reference):
  ids = reference["ids"]
  assert gemma.pad_id == ids["pad"]
  assert gemma.eos_id == ids["eos"]
  assert gemma.bos_id == ids["bos"]
  assert gemma.newline_id == ids["newline"]
  assert gemma.loc_id == ids["loc0000"]
  assert gemma.seg_id == ids["seg000"]
  assert gemma.vocab_size == ids["seg000"] + tokenizer.NUM_SEG
  for case in reference["text_cases"]:
    prompt = [gemma.bos_id, *gemma.encode(case["prefix_used"] + "\n")]
    assert prompt == case["inference_input_ids"]
    answer = [*gemma.encode(case["suffix"]), gemma.eos_id]
    assert prompt + answer == case["input_ids"]
    assert gemma.decode(prompt) == case["prefix_used"] + "\n"
    assert gemma.decode(answer) == case["suffix"]


def test_extra_tokens_are_single_ids_where_they_exist(small):
  first = small.loc_id
  assert small.encode("<loc0000><loc1023><seg000><seg127>") == [
    first,
    first + 1023,
    first + 1024,
    first + 1151,
  ]
  assert small.vocab_size == first + 1152
  for text in ("<loc1024>", "<seg128>", "<loc016>", "<loc12345>", "<LOC0001>"):
    assert max(small.encode(text)) < first
    assert small.decode(small.encode(text)) == text


def test_paligemma_file_holds_the_tokens_itself(tmp_path):
  import sentencepiece

  sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(["a chair", "a table"]),
    model_prefix=str(tmp_path / "pali"),
    vocab_size=1450,
    hard_vocab_limit=False,
    model_type="bpe",
    byte_fallback=True,
    pad_id=0,
    eos_id=1,
    bos_id=2,
    unk_id=3,
    add_dummy_prefix=False,
    remove_extra_whitespaces=False,
    user_defined_symbols=["\n", *tokenizer._EXTRA],
    minloglevel=2,
  )
  found = tokenizer.load(tmp_path / "pali.model")
  assert found.encode("\n<loc0000><seg127>") == [4, 5, 5 + 1151]
  assert found.vocab_size == found._pieces.vocab_size()
  assert found.decode(found.encode("a <loc0003> chair")) == "a <loc0003> chair"


def test_decoding_drops_pad_and_bos_and_stops_at_eos(small):
  ids = small.encode("1.5m")
  assert small.decode([0, 2, *ids, 0, 1, *ids]) == "1.5m"
  with pytest.raises(ValueError, match=r"\[-1, 99999\]"):
    small.decode([5, -1, 99999])


_ANY = st.characters(codec="utf-8", exclude_characters="\0▁\r")


@hypothesis.given(st.text(_ANY))
def test_any_text_comes_back(text):
  kept = _small().decode(_small().encode(text))
  assert kept == text


def _small(cache=[]):  # noqa: B006 - hypothesis forbids function fixtures
  if not cache:
    cache.append(tokenizer.train_small(_TEXTS, 320))
  return cache[0]


def test_training_is_the_same_every_time_and_restores(small, tmp_path):
  path = tmp_path / "deep" / "tokenizer.model"
  tokenizer.train_small(_TEXTS, 320, path)
  again = tokenizer.load(path)
  for text in [*_TEXTS, " two  spaces\tand é 日本\n\nend "]:
    assert again.encode(text) == small.encode(text)
  assert again.vocab_size == small.vocab_size
  digits = small.encode("1234")
  assert [small.decode([i]) for i in digits] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("text", ["a \ud800", "\udfff", "<loc0001>a\udc80"])
def test_half_a_surrogate_pair_is_no_text(small, text):
  with pytest.raises(ValueError, match="half a surrogate pair"):
    small.encode(text)


def test_clear_errors(tmp_path, small):
  with pytest.raises(FileNotFoundError, match=r"no\.model: no such tokenizer"):
    tokenizer.load(tmp_path / "no.model")
  with pytest.raises(ValueError, match="is a folder"):
    tokenizer.load(tmp_path)
  for content in (b"", b"hello", b"\x80\x02}q\x00."):
    (tmp_path / "bad.model").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.model: not a SentencePiece"):
      tokenizer.load(tmp_path / "bad.model")
  with pytest.raises(ValueError, match="at least one text"):
    tokenizer.train_small(["", "\n"])
  with pytest.raises(ValueError, match="cannot train 100 pieces"):
    tokenizer.train_small(_TEXTS, 100)
