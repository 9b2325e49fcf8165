"""Batches: the same everywhere, resumed exactly, honest about bad records."""

import collections
import itertools
import json
import pathlib

import data_fakes
import numpy as np
import pytest

from hispatial_jax.data import pipeline, tally

_WORDS = data_fakes.Tokenizer()
_PP = "decode|points(28)|resize(28)|jitter(0.2)|stored_qa(2)|tokenize(64)"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
  folder = tmp_path_factory.mktemp("built")
  data_fakes.write(data_fakes.Source(train=13, val=5), folder)
  return str(folder)


def _train(folder, batch_size=4, **kwargs):
  cfg = {"dir": folder, "pp": _PP, **kwargs.pop("cfg", {})}
  kwargs = {"tokenizer": _WORDS, "seed": 7, **kwargs}
  return pipeline.train_iterator(cfg, batch_size=batch_size, **kwargs)


def _same(one, two):
  assert one.keys() == two.keys()
  for key in one:
    np.testing.assert_array_equal(one[key], two[key], err_msg=key)


def test_a_training_batch(built):
  batch = next(_train(built))
  shapes = {k: v.shape for k, v in batch.items() if k != "ids"}
  row = (8, 64)
  assert shapes == {
    "image": (4, 28, 28, 3),
    "points": (4, 28, 28, 4),
    "text": row,
    "mask_ar": row,
    "mask_loss": row,
    "mask_input": row,
    "_mask": (8,),
  }
  assert batch["image"].dtype == batch["points"].dtype == np.float32
  assert np.abs(batch["image"]).max() <= 1
  assert batch["_mask"].all()
  assert len(batch["ids"]) == 4


def test_an_epoch_is_every_record_once_in_another_order(built):
  batches = _train(built, batch_size=13)
  first, second = next(batches)["ids"], next(batches)["ids"]
  assert sorted(first) == sorted(second) == [f"r{i:04d}" for i in range(13)]
  assert first != second


def test_processes_share_an_epoch_disjointly(built):
  parts = [
    _train(built, 13, process_index=i, process_count=3) for i in range(3)
  ]
  # Three epochs over three processes: each record three times in all.
  ids = [name for part in parts for name in next(part)["ids"]]
  assert set(collections.Counter(ids).values()) == {3}
  first = [name for part in parts for name in next(part)["ids"][:4]]
  assert len(set(first)) == 12


def test_threads_and_cache_change_nothing(built):
  plain = _train(built, cfg={"num_threads": 0, "cache_mb": 0})
  quick = _train(built, cfg={"num_threads": 3, "cache_mb": 64})
  for _ in range(8):
    _same(next(plain), next(quick))


def _of(batch, i):
  """Both rows of text, and the image, of record i of a training batch."""
  return batch["text"][2 * i : 2 * i + 2], batch["image"][i]


def test_the_draw_depends_on_record_epoch_and_seed_only(built):
  whole = _train(built, 13)
  half = _train(built, 13, process_index=1, process_count=2)
  rows = {}
  for epoch in range(2):
    batch = next(whole)
    for i, name in enumerate(batch["ids"]):
      rows[epoch, name] = _of(batch, i)
  batch = next(half)
  for i, name in enumerate(batch["ids"]):
    text, image = rows[i * 2 // 12 and int(i * 2 + 1 >= 13), name]
    np.testing.assert_array_equal(_of(batch, i)[0], text)
    np.testing.assert_array_equal(batch["image"][i], image)
  assert any((rows[0, n][0] != rows[1, n][0]).any() for e, n in rows if e == 0)
  other = next(_train(built, 13, seed=8))
  at = {name: i for i, name in enumerate(other["ids"])}
  assert any(
    (rows[0, n][0] != _of(other, at[n])[0]).any() for e, n in rows if e == 0
  )


@pytest.mark.parametrize("after", [0, 1, 5])
def test_resume_is_exact(built, after):
  straight = _train(built)
  for _ in range(after):
    next(straight)
  state = json.loads(json.dumps(straight.get_state()))
  resumed = _train(built)
  next(resumed)
  resumed.set_state(state)
  for _ in range(6):
    _same(next(straight), next(resumed))
  assert straight.get_state() == resumed.get_state()


def test_resume_with_another_number_of_processes(built):
  straight = _train(built, 4)
  next(straight)
  state = straight.get_state()
  want = next(straight)["ids"]
  halves = [
    _train(built, 2, process_index=i, process_count=2) for i in range(2)
  ]
  got = []
  for half in halves:
    half.set_state(state)
    got.append(next(half)["ids"])
  assert [got[0][0], got[1][0], got[0][1], got[1][1]] == want


def test_corrupt_records_are_counted_and_leave_a_gap(tmp_path):
  folder = data_fakes.write_broken(tmp_path, {"r0004"})
  batches = _train(folder, 13, cfg={"max_bad_share": 0.2})
  batch = next(batches)
  found = [name for name in batch["ids"] if name is not None]
  assert sorted(found) == [f"r{i:04d}" for i in range(13) if i != 4]
  gap = batch["ids"].index(None)
  mask = batch["_mask"].reshape(13, 2)
  assert mask.all(axis=1).tolist() == [i != gap for i in range(13)]
  assert not mask[gap].any()
  assert not batch["mask_loss"].reshape(13, -1)[gap].any()
  assert not batch["points"][gap].any()
  next(batches)
  assert batches.tally.bad == {"truncated": 2}
  assert batches.get_state()["tally"]["bad"] == {"truncated": 2}


def test_past_the_share_the_run_stops(tmp_path):
  folder = data_fakes.write_broken(tmp_path, {"r0004", "r0007"})
  batches = _train(folder, 4, cfg={"max_bad_share": 0.1})
  message = r"(?s)truncated: 2.*all: record number.*'r0004'"
  with pytest.raises(tally.TooManyBadRecords, match=message):
    list(itertools.islice(batches, 4))
  rows = pipeline.eval_batches(
    {"dir": folder, "split": "train", "pp": _PP},
    tokenizer=_WORDS,
    batch_size=4,
  )
  with pytest.raises(tally.TooManyBadRecords, match="max_bad_share"):
    list(rows)


def test_a_damaged_file_is_an_unreadable_record(built, tmp_path):
  data_fakes.write(data_fakes.Source(train=13, val=0), tmp_path)
  (shard,) = pathlib.Path(tmp_path).rglob("*.array_record*")
  data = bytearray(shard.read_bytes())
  at = data.rindex(b"JFIF")
  data[at : at + 40] = b"\xaa" * 40
  shard.write_bytes(data)
  batches = _train(str(tmp_path), 4, cfg={"max_bad_share": 0.5})
  for _ in range(4):
    next(batches)
  assert set(batches.tally.bad) == {"unreadable"}


def _rows(folder, **kwargs):
  cfg = {"dir": folder, "split": "val", "pp": _PP}
  cfg.update(kwargs.pop("cfg", {}))
  kwargs = {"tokenizer": _WORDS, "batch_size": 4, **kwargs}
  return pipeline.eval_batches(cfg, **kwargs)


def test_eval_rows_to_decode(built):
  batches = list(_rows(built, mode="generate", prompt_length=32))
  assert [b["_mask"].sum() for b in batches] == [4, 4, 2]
  for batch in batches:
    assert batch["text"].shape == (4, 32)
    assert not batch["mask_loss"].any()
    for row in range(int(batch["_mask"].sum())):
      text = batch["text"][row][batch["mask_input"][row] == 1]
      assert text[0] == _WORDS.bos_id
      assert text[-1] == _WORDS.newline_id
      assert _WORDS.decode(text) == batch["qa"][row]["question"]
      assert batch["ids"][row] in batch["qa"][row]["question"]
  assert batches[-1]["qa"][2:] == batches[-1]["ids"][2:] == [None, None]
  assert {b["index"][0] for b in batches} == {0, 2, 4}


def test_eval_is_the_same_every_time(built):
  rows = _rows(built)
  for one, two in zip(rows, rows, strict=True):
    _same(
      {k: v for k, v in one.items() if k != "qa"},
      {k: v for k, v in two.items() if k != "qa"},
    )
    assert one["qa"] == two["qa"]


def test_eval_shares_the_questions_among_processes(built):
  def asked(batches):
    return [
      (name, qa["question"])
      for batch in batches
      for name, qa in zip(batch["ids"], batch["qa"], strict=True)
      if qa
    ]

  kwargs = {"mode": "generate", "batch_size": 3}
  parts = [
    list(_rows(built, process_index=i, process_count=3, **kwargs))
    for i in range(3)
  ]
  # 5 records over 3 processes: the last one has fewer, but as many batches.
  assert {len(part) for part in parts} == {2}
  got = [pair for part in parts for pair in asked(part)]
  assert sorted(got) == sorted(asked(_rows(built, **kwargs)))
  assert len(set(got)) == 10


def test_num_records(built):
  batches = list(_rows(built, cfg={"num_records": 2}, mode="generate"))
  assert sum(int(b["_mask"].sum()) for b in batches) == 4


@pytest.mark.parametrize(
  ("cfg", "message"),
  [
    ({"spilt": "val"}, "did you mean 'split'"),
    ({"pp": "decode|rezise(3)"}, "did you mean 'resize'"),
    ({"pp": ""}, "all has no pp"),
    ({"mixture": {"a": {}}}, "dir or mixture"),
    ({"split": "tarin"}, "did you mean 'train'"),
  ],
)
def test_config_errors(built, cfg, message):
  with pytest.raises(ValueError, match=message):
    _train(built, cfg=cfg)


def test_a_record_with_few_questions_is_filled_up(built):
  pp = "decode|points(28)|resize(28)|stored_qa(4)|tokenize(64)"
  batch = next(_train(built, cfg={"pp": pp}))
  assert batch["image"].shape[0] == 4
  assert batch["text"].shape == (16, 64)
  assert batch["_mask"].tolist() == [True, True, True, False] * 4
  assert not batch["mask_input"][~batch["_mask"]].any()
  assert not batch["mask_loss"][~batch["_mask"]].any()
  assert batch["mask_loss"][batch["_mask"]].any(axis=1).all()


def test_training_needs_a_bound_on_questions(built):
  pp = "decode|resize(8)|stored_qa()|tokenize(64)"
  with pytest.raises(ValueError, match=r"stored_qa\(N\)"):
    _train(built, cfg={"pp": pp})


def test_images_of_several_sizes(built, tmp_path):
  pp = "decode|stored_qa(1)|tokenize(64)"
  data_fakes.write(data_fakes.Source(train=5, val=0, size=8), tmp_path)
  mixture = {"a": {"dir": built}, "b": {"dir": str(tmp_path)}}
  batches = _train(None, 9, cfg={"mixture": mixture, "pp": pp})
  with pytest.raises(ValueError, match="use resize"):
    next(batches)
