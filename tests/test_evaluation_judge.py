"""A judge's verdicts: read, remembered, compared; none replaces ours."""

import json

import endpoint_fake
import pytest

pytest.importorskip("openai")

from hispatial_jax.evaluation import agreement, client, judge

_TRUTHS = [1.0, 1.0, "yes", "no", 12, 3]
_SAID = ["1.25 m", "two metres", "yes", "perhaps {not}", "1 o'clock", ""]


def _row(i, **more):
  truth = _TRUTHS[i]
  cut = "direction" if type(truth) is int else "width"
  return {
    "key": f"k{i}",
    "truth": truth,
    "category": {"category": cut},
    "question": f"question {i}",
    "output": _SAID[i],
    "correct": int(i in (0, 2, 3)),
    **more,
  }


def _reply(text):
  told = json.loads(text)
  return {
    "question 0": '{"truth_m": 1, "answer_m": 1.25}',
    "question 1": '```json\n{"truth_m": 1.0, "answer_m": 2.0}\n```',
    "question 2": '{"score": 1}',
    "question 3": '{"score": "no"}',
    "question 4": '{"truth_hour": 12, "answer_hour": 1}',
  }[told["question"]]


@pytest.fixture
def fake(monkeypatch):
  monkeypatch.setenv("NO_PROXY", "127.0.0.1")
  monkeypatch.setenv("OPENAI_API_KEY", endpoint_fake.KEY)
  with endpoint_fake.serving() as found:
    found.reply = _reply
    yield found


def _panel(fake, out, model="judge"):
  chat = client.Client(model, base_url=fake.url, response_format=judge.JSON)
  return judge.Judge(chat, out)


def test_verdicts_are_asked_once(fake, tmp_path):
  rows = [_row(i) for i in range(6)]
  items = [judge.item(row) for row in rows]
  assert [x.kind for x in items] == [
    "length", "length", "verdict", "verdict", "clock", "clock"]  # fmt: skip
  panel = _panel(fake, tmp_path)
  found = panel.verdicts(items)
  assert [found[f"k{i}"].get("score") for i in range(6)] == [
    1, 0, 1, None, 1, 0]  # fmt: skip
  assert "neither 0 nor 1" in found["k3"]["error"]
  assert found["k0"]["answer"] == 1.25
  assert len(fake.bodies) == 5  # the empty answer needs no judge
  assert fake.bodies[0]["response_format"] == {"type": "json_object"}
  # A second time only what failed is asked, and a half line is dropped.
  path = tmp_path / judge.FILE
  path.write_bytes(path.read_bytes() + b'{"id": "half')
  fake.reply = lambda text: '{"score": 0}'
  again = _panel(fake, tmp_path)
  assert (
    again.verdicts(items)
    == {
      **found,
      "k3": {"kind": "verdict", "score": 0},
    }
    or len(fake.bodies) == 6
  )
  assert len(fake.bodies) == 6
  lines = [json.loads(x) for x in path.read_text().splitlines()]
  assert {(x["model"], x["version"]) for x in lines} == {("judge", "1")}
  assert endpoint_fake.KEY not in path.read_text()
  # Another answer, truth or judge is another verdict.
  fake.reply = _reply
  _panel(fake, tmp_path).verdicts([items[0]._replace(answer="1.2 m")])
  _panel(fake, tmp_path).verdicts([items[0]._replace(truth="1.1 metres")])
  _panel(fake, tmp_path, "other").verdicts(items[:1])
  assert len(fake.bodies) == 9
  _panel(fake, tmp_path).verdicts(items[:3])
  assert len(fake.bodies) == 9


def test_what_was_judged_before_a_stop_is_kept(fake, tmp_path):
  items = [judge.item(_row(i)) for i in (0, 1, 2)]
  fake.behave = lambda times, text: (
    ("status", 403, {}, b"{}") if "question 2" in text else None
  )
  chat = client.Client("judge", base_url=fake.url, concurrency=1)
  with pytest.raises(client.Stopped, match="refused the key"):
    judge.Judge(chat, tmp_path).verdicts(items)
  assert len((tmp_path / judge.FILE).read_text().splitlines()) == 2
  (tmp_path / judge.FILE).write_text("{}\n")
  with pytest.raises(ValueError, match="line 1: no verdict"):
    judge.Judge(chat, tmp_path).verdicts(items)


def test_stored_verdicts_need_no_judge(fake, tmp_path):
  rows = [_row(i) for i in range(6)]
  items = [judge.item(row) for row in rows]
  assert judge.stored(tmp_path, items, rows) is None
  verdicts = _panel(fake, tmp_path).verdicts(items)
  fake.bodies.clear()
  found = judge.stored(tmp_path, items, rows)
  assert not fake.bodies
  assert (found["model"], found["version"]) == ("judge", judge.VERSION)
  assert found["failed"] == 1
  wanted = agreement.of(rows, verdicts)
  assert {k: found[k] for k in wanted} == wanted
  # One answer that nobody judged: no figure rather than a wrong one.
  items[1] = items[1]._replace(answer="2.1 m")
  assert judge.stored(tmp_path, items, rows) is None
  # The judge that spoke last.
  fake.reply = lambda text: (
    '{"score": 0, "truth_m": 1, "answer_m": null, "truth_hour": 1}'
  )
  _panel(fake, tmp_path, "other").verdicts(items)
  found = judge.stored(tmp_path, items, rows)
  assert (found["model"], found["accuracy"]) == ("other", 0)


@pytest.mark.parametrize(
  ("kind", "text", "score"),
  [
    ("length", '{"truth_m": 2, "answer_m": 1.5}', 1),
    ("length", '{"truth_m": 2, "answer_m": 1.49}', 0),
    ("length", '{"truth_m": 2, "answer_m": null}', 0),
    ("length", '{"truth_m": 2, "answer_m": -2}', 0),
    ("length", '{"truth_m": null, "answer_m": 1}', None),
    ("length", '{"truth_m": 0, "answer_m": 0}', None),
    ("length", '{"truth_m": NaN, "answer_m": 1}', None),
    ("length", "2 m and 2 m", None),
    ("clock", '{"truth_hour": 1, "answer_hour": 12}', 1),
    ("clock", '{"truth_hour": 1, "answer_hour": 11}', 0),
    ("clock", '{"truth_hour": 1, "answer_hour": 25}', 0),
    ("clock", '{"truth_hour": 13, "answer_hour": 1}', None),
    ("verdict", '{"score": 1}', 1),
    ("verdict", '{"score": true}', None),
    ("verdict", '[{"score": 1}]', None),
  ],
)
def test_rulings(kind, text, score):
  found = judge.ruling(kind, text)
  assert found.get("score") == score
  assert ("error" in found) == (score is None)


def test_agreement_counts_all():
  rows = [_row(i) for i in range(6)]
  verdicts = {
    "k0": {"score": 1},
    "k1": {"score": 0},
    "k2": {"score": 0},
    "k3": {"error": "nothing"},
    "k4": {"score": 1},
  }
  found = agreement.of(rows, verdicts)
  assert (found["items"], found["judged"], found["failed"]) == (5, 4, 1)
  assert found["table"] == [[1, 1], [1, 1]]
  assert (found["share"], found["kappa"]) == (0.5, 0.0)
  assert found["accuracy"] == 2 / 5
  assert found["ours"] == 3 / 5
  assert [x["key"] for x in found["apart"]] == ["k2", "k4"]
  assert found["failures"] == [{"key": "k3", "error": "nothing"}]
  assert [row["correct"] for row in rows] == [1, 0, 1, 1, 0, 0]
  assert agreement.kappa([[20, 5], [10, 15]]) == pytest.approx(0.4)
  assert agreement.kappa([[0, 0], [0, 9]]) is None
  assert agreement.of(rows, {})["share"] is None
