"""A run against an endpoint that fails, throttles, hangs and talks nonsense
ends complete and right, and the key is nowhere."""

import base64
import io
import json
import logging
import time

import cv2
import endpoint_fake
import numpy as np
import pytest

pytest.importorskip("openai")

from hispatial_jax.evaluation import budget, client, endpoint, models, replies

_SOON = {"Retry-After": "0.02"}


@pytest.fixture
def fake(monkeypatch):
  monkeypatch.setenv("NO_PROXY", "127.0.0.1")
  monkeypatch.setenv("OPENAI_API_KEY", endpoint_fake.KEY)
  monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
  with endpoint_fake.serving() as found:
    yield found


@pytest.fixture
def logs():
  """All that is logged, at every level."""
  out, root = io.StringIO(), logging.getLogger()
  handler, old = logging.StreamHandler(out), root.level
  root.addHandler(handler)
  root.setLevel(logging.DEBUG)
  yield out
  root.removeHandler(handler)
  root.setLevel(old)


def _requests(n, image=None):
  image = np.zeros((8, 12, 3), np.uint8) if image is None else image
  return [models.Request(str(i), f"<image>\nq{i}", image) for i in range(n)]


def _right(answers):
  return [a.text for a in answers] == [
    f"said q{i}" for i in range(len(answers))
  ]


def test_a_bad_endpoint_gives_every_answer_in_its_place(fake, logs):
  bad = [
    ("status", 429, _SOON, b'{"error": {"message": "slow down"}}'),
    ("status", 503, _SOON, b"<html>no</html>"),
    ("status", 500, _SOON, b""),
    ("hang", 30),
    ("raw", b"garbage", "application/json"),
    ("raw", b'{"choices": []}', "application/json"),
    ("close",),
    ("cut",),
  ]
  fake.behave = lambda times, text: (
    bad[int(text[1:]) % len(bad)] if times == 0 else None
  )
  model = endpoint.open("m", base_url=fake.url, timeout_s=0.5, concurrency=16)
  answers = model.answer(_requests(32))
  assert _right(answers)
  assert {(a.ended, a.tokens, a.error) for a in answers} == {(True, 10, "")}
  assert len(fake.bodies) == 64
  assert 1 < fake.most <= 16
  assert model.spent["requests"] == 64
  everything = logs.getvalue() + repr(answers) + json.dumps(model.describe())
  assert everything.count("HTTP")  # the client did log
  assert endpoint_fake.KEY not in everything


def test_what_stays_bad_is_an_error_of_its_own(fake):
  fake.behave = lambda times, text: {
    "q1": ("raw", b'{"choices": []}', "application/json"),
    "q2": ("status", 400, {}, b'{"error": {"message": "not this picture"}}'),
    "q3": ("hang", 30),
    "q4": ("status", 500, _SOON, b'{"error": {"message": "oh"}}'),
  }.get(text)
  model = endpoint.open("m", base_url=fake.url, timeout_s=0.3, retries=1)
  begin = time.monotonic()
  answers = model.answer(_requests(6))
  assert time.monotonic() - begin < 10
  assert [bool(a.error) for a in answers] == [False] + [True] * 4 + [False]
  assert "without choices" in answers[1].error
  assert answers[2].error == "HTTP 400: not this picture"
  assert answers[3].error == "timed out 2 times"
  assert answers[4].error == "HTTP 500 2 times: oh"
  assert fake.seen["q2"] == 0  # not asked again
  assert fake.seen["q1"] == 2  # that is, three times
  assert not any(a.text for a in answers[1:5])


@pytest.mark.parametrize("data", endpoint_fake.GARBAGE, ids=range(18))
def test_garbage_is_an_error(fake, data, monkeypatch):
  monkeypatch.setattr(client, "_UNREADABLE", 0)
  for kind in ("application/json", "text/html"):
    fake.behave = lambda times, text, kind=kind: ("raw", data, kind)
    model = endpoint.open("m", base_url=fake.url)
    (answer,) = model.answer(_requests(1))
    assert answer.error
    assert not answer.text
    assert len(answer.error) <= 400


def test_a_wrong_key_stops_the_run_and_is_not_shown(fake, monkeypatch, logs):
  wrong = "wrong-key-that-nobody-may-see"
  monkeypatch.setenv("OTHER_KEY", wrong)
  model = endpoint.open("m", base_url=fake.url, key_env="OTHER_KEY")
  with pytest.raises(client.Stopped, match=r"refused the key.*OTHER_KEY") as e:
    model.answer(_requests(20))
  assert not fake.bodies
  assert "\n" not in str(e.value)
  assert wrong not in logs.getvalue() + repr(e.value)
  assert wrong not in repr(vars(model)) + repr(vars(model._chat))
  assert e.value.answers == [None] * 20
  monkeypatch.delenv("OTHER_KEY")
  with pytest.raises(ValueError, match="set the environment variable OTHER"):
    endpoint.open("m", base_url=fake.url, key_env="OTHER_KEY")


def test_an_endpoint_that_repeats_the_key(fake):
  said = {"error": {"message": f"{'x' * 390} {endpoint_fake.KEY} sk-12345678a"}}
  fake.behave = lambda times, text: (
    ("status", 400, {}, json.dumps(said).encode()) if text == "q0" else None
  )
  fake.reply = lambda text: f"you are {endpoint_fake.KEY}, bearer of news"
  answers = endpoint.open("m", base_url=fake.url).answer(_requests(2))
  assert endpoint_fake.KEY[:5] not in repr(answers)
  assert "sk-1" not in repr(answers)
  assert answers[1].text == "you are [key], bearer of news"


def test_a_dead_endpoint_stops_at_once_and_can_be_asked_again(fake):
  with endpoint_fake.serving() as gone:
    url = gone.url
  model = endpoint.open("m", base_url=url, retries=0)
  with pytest.raises(client.Stopped, match="no connection to http://127") as e:
    model.answer(_requests(50))
  assert e.value.answers.count(None) >= 40
  # One that dies on the way: what came is kept.
  fake.behave = lambda times, text: (
    ("status", 503, _SOON, b"gone") if int(text[1:]) >= 6 else None
  )
  model = endpoint.open("m", base_url=fake.url, retries=0, concurrency=2,
                        patience=4)  # fmt: skip
  with pytest.raises(client.Stopped, match=r"4 errors in a row.*gone") as e:
    model.answer(_requests(50))
  assert _right(e.value.answers[:6])
  assert e.value.answers.count(None) >= 38


def test_no_model_and_no_quota_stop(fake):
  said = b'{"error": {"message": "no m", "code": "model_not_found"}}'
  fake.behave = lambda times, text: ("status", 404, {}, said)
  with pytest.raises(client.Stopped, match="no model 'm'"):
    endpoint.open("m", base_url=fake.url).answer(_requests(3))
  said = b'{"error": {"message": "pay", "code": "insufficient_quota"}}'
  fake.behave = lambda times, text: ("status", 429, _SOON, said)
  with pytest.raises(client.Stopped, match="quota of this key"):
    endpoint.open("m", base_url=fake.url, retries=1).answer(_requests(3))


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize(
  "caps",
  [
    {"max_requests": 7},
    {"max_tokens": 770},
    {"max_cost": 7.5e-4, "input_price": 0.5, "output_price": 5},
  ],
)
def test_caps_stop_within_and_go_on_in_the_next_run(fake, caps, concurrency):
  model = endpoint.open("m", base_url=fake.url, concurrency=concurrency, **caps)
  with pytest.raises(client.Stopped, match="within its cap: max_") as e:
    model.answer(_requests(20))
  sent = len(fake.bodies)
  assert 7 - (concurrency - 1) <= sent <= 7
  assert sum(a is not None and not a.error for a in e.value.answers) == sent
  assert e.value.answers.count(None) == 20 - sent
  spent = model.spent
  assert (spent["input_tokens"], spent["output_tokens"]) == (
    100 * sent,
    10 * sent,
  )
  if "max_cost" in caps:
    assert spent["cost"] == pytest.approx(1e-4 * sent)
  both = zip(_requests(20), e.value.answers, strict=True)
  left = [request for request, answer in both if answer is None]
  again = endpoint.open("m", base_url=fake.url).answer(left)
  assert [a.text for a in again] == [f"said q{r.key}" for r in left]


def test_retries_count_against_the_cap_on_requests(fake):
  fake.behave = lambda times, text: ("status", 500, _SOON, b"")
  model = endpoint.open("m", base_url=fake.url, max_requests=3)
  with pytest.raises(client.Stopped, match="max_requests=3"):
    model.answer(_requests(1))
  assert len(fake.bodies) == 3


def test_a_cap_on_tokens_needs_counts(fake):
  fake.usage = None
  model = endpoint.open("m", base_url=fake.url, max_tokens=1000)
  with pytest.raises(client.Stopped, match="counts no tokens") as e:
    model.answer(_requests(3))
  assert sum(a is not None for a in e.value.answers) == 1
  with pytest.raises(ValueError, match="max_cost needs"):
    budget.Limits(max_cost=1.0)
  with pytest.raises(ValueError, match="above 0, got 0"):
    budget.Limits(requests_per_minute=0)


def test_the_pace_is_kept(fake):
  model = endpoint.open("m", base_url=fake.url, requests_per_minute=1200)
  assert _right(model.answer(_requests(9)))
  gaps = np.diff(sorted(fake.times))
  assert sum(gaps) >= 8 * 0.05 - 0.03  # started before they arrived


def test_what_is_sent(fake):
  image = np.zeros((40, 60, 3), np.uint8)
  image[10:20, 10:30] = (255, 0, 0)
  for picture, close in (("png", 0), ("jpeg", 12)):
    fake.bodies.clear()
    model = endpoint.open(
      "m", base_url=fake.url, picture=picture, system="Be brief.",
      max_new_tokens=5, batch_size=3)  # fmt: skip
    assert model.batch_size == 3
    model.answer(_requests(1, image))
    body = fake.bodies[0]
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    shown, words = body["messages"][1]["content"]
    assert words == {"type": "text", "text": "q0"}  # without <image>
    head, data = shown["image_url"]["url"].split(",")
    assert head == f"data:image/{picture};base64"
    raw = np.frombuffer(base64.b64decode(data), np.uint8)
    rgb = cv2.imdecode(raw, cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(rgb.astype(int) - image).max() <= close
    assert {k: body[k] for k in ("model", "max_tokens", "temperature")} == {
      "model": "m", "max_tokens": 5, "temperature": 0.0}  # fmt: skip
  assert endpoint.data_url(image, max_side=30) != endpoint.data_url(image)


def test_describe_has_no_secret_and_tells_what_matters(monkeypatch):
  monkeypatch.setenv("SECRET_KEY_NAME", endpoint_fake.KEY)
  monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
  with_user = "https://me:pass-word@host.example/v1/?key=abc"
  model = endpoint.open("m", base_url=with_user, key_env="SECRET_KEY_NAME",
                        temperature="none", max_requests=3)  # fmt: skip
  text = json.dumps(model.describe())
  assert model.describe()["url"] == "https://host.example/v1"
  assert model.describe()["generation"] == {"max_tokens": 100}
  for hidden in (endpoint_fake.KEY, "pass-word", "abc", "SECRET_KEY_NAME"):
    assert hidden not in text
  own = endpoint.open("m", key_env="SECRET_KEY_NAME")
  assert own.describe()["generation"]["max_completion_tokens"] == 100
  with pytest.raises(ValueError, match="no option colour"):
    endpoint.open("m", key_env="", colour=3)
  with pytest.raises(ValueError, match='"jpeg" or "png"'):
    endpoint.open("m", key_env="", picture="gif")


def test_ctrl_c_does_not_wait_for_a_hanging_endpoint(fake):
  fake.behave = lambda times, text: None if text == "q0" else ("hang", 30)
  model = endpoint.open("m", base_url=fake.url, timeout_s=30)
  begin, replies = time.monotonic(), model._chat.each(
    [model.messages(r) for r in _requests(4)])  # fmt: skip
  assert next(replies)[1].text == "said q0"
  with pytest.raises(KeyboardInterrupt):
    replies.throw(KeyboardInterrupt)
  assert time.monotonic() - begin < 5
  with pytest.raises(client.Stopped, match="interrupted"):
    model.answer(_requests(2))


def test_log_probabilities_are_summed():
  class Thing:
    def __init__(self, **more):
      vars(self).update(more)

  tokens = [Thing(logprob=-0.5), Thing(logprob=-0.25)]
  choice = Thing(message=Thing(content="yes"), finish_reason="length",
                 logprobs=Thing(content=tokens))  # fmt: skip
  found = replies.read(Thing(choices=[choice]))
  assert (found.logp, found.finish) == (-0.75, "length")
