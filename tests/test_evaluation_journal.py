"""Answers stay, whatever ends the run."""

import errno
import json
import os

import pytest

from hispatial_jax.evaluation import journal

_SETTINGS = {"benchmark": "x", "model": {"kind": "fake", "name": "a"}}


def _book(out, name="p0"):
  book = journal.Journal(out, name)
  book.begin(_SETTINGS)
  return book


def test_half_a_line_is_dropped_and_written_again(tmp_path):
  book = _book(tmp_path)
  book.add([{"key": "a", "text": "1"}, {"key": "b", "text": "é\n"}])
  book.close()
  file = tmp_path / "answers" / "p0.jsonl"
  file.write_bytes(file.read_bytes() + b'{"key": "c", "te')
  again = _book(tmp_path)
  assert set(again.read()) == {"a", "b"}
  again.add([{"key": "c", "text": "3"}])
  assert [json.loads(x)["key"] for x in file.open()] == ["a", "b", "c"]
  assert again.read()["b"]["text"] == "é\n"


def test_a_key_counts_once_and_answers_before_errors(tmp_path):
  _book(tmp_path, "p0").add(
    [{"key": "a", "text": "first"}, {"key": "b", "error": "500"}]
  )
  _book(tmp_path, "p1").add(
    [
      {"key": "a", "text": "second"},
      {"key": "a", "error": "late"},
      {"key": "b", "text": "told"},
      {"key": "c", "error": "one"},
      {"key": "c", "error": "two"},
    ]
  )
  found = journal.Journal(tmp_path).read()
  assert found["a"]["text"] == "first"
  assert found["b"]["text"] == "told"
  assert found["c"] == {"key": "c", "error": "two"}


def test_other_settings_are_refused_with_all_differences(tmp_path):
  _book(tmp_path).add([{"key": "a", "text": "1"}])
  renamed = {**_SETTINGS, "model": {"kind": "fake", "name": "b"}}
  journal.Journal(tmp_path).begin(renamed)
  other = {"benchmark": "y", "model": {"kind": "fake", "sha": "1"}}
  with pytest.raises(ValueError, match=r"benchmark was 'x', is 'y'.*sha"):
    journal.Journal(tmp_path).begin(other)
  assert journal.Journal(tmp_path).read()
  fresh = journal.Journal(tmp_path)
  fresh.begin(other, overwrite=True)
  assert fresh.read() == {}
  assert fresh.settings()["benchmark"] == "y"


def test_a_line_of_something_else_is_named(tmp_path):
  _book(tmp_path).add([{"key": "a", "text": "1"}])
  file = tmp_path / "answers" / "p0.jsonl"
  file.write_text(file.read_text() + '{"kay": 1}\n' + '{"key": "b"}\n')
  with pytest.raises(ValueError, match=r"p0.jsonl, line 2"):
    journal.Journal(tmp_path).read()


def test_a_full_disk_is_one_clear_error(tmp_path, monkeypatch):
  book = _book(tmp_path)
  book.add([{"key": "a", "text": "1"}])
  real = os.write

  def write(handle, data):
    if len(data) > 8:
      return real(handle, data[:8])
    raise OSError(errno.ENOSPC, "No space left on device")

  with monkeypatch.context() as patch:
    patch.setattr(os, "write", write)
    with pytest.raises(journal.NoSpace, match="--resume continues"):
      book.add([{"key": "b", "text": "2"}])
  book.close()
  again = _book(tmp_path)
  assert set(again.read()) == {"a"}
  again.add([{"key": "b", "text": "2"}])
  assert again.read()["b"]["text"] == "2"
