"""An OpenAI-compatible server on loopback that misbehaves to order."""

import contextlib
import json
import socket
import struct
import threading
import time
from http import server

KEY = "key-0123456789-never-to-be-seen"
GARBAGE = [
  b"",
  b"<html>busy</html>",
  b"null",
  b"[]",
  b'"text"',
  b"42",
  b"{",
  b"\xff\xfe\x00",
  b'{"error": {"message": "overloaded"}}',
  b'{"choices": []}',
  b'{"choices": "many"}',
  b'{"choices": [null]}',
  b'{"choices": [{"message": null}]}',
  b'{"choices": [{"message": {"content": null}}]}',
  b'{"choices": [{"message": {"content": [{"a": 1}]}}]}',
  b'{"choices": [{"message": {"content": "  "}, "finish_reason": "stop"}]}',
  b'{"choices": [{"message": {"content": ""}}], "usage": "none"}',
  b"[" * 100_000,
]


class Fake:
  """What it is asked, and how it behaves.

  Attributes:
    url: base URL.
    bodies: of all requests with a right key, in the order they came.
    behave: (times that this text was asked before, text) -> what to do:
      None to answer, or ("status", code, headers, body), ("raw", body,
      content type), ("hang", seconds), ("close",), ("cut",).
    reply: (text) -> what to answer.
    usage: tokens that each answer reports, or None.
  """

  def __init__(self, url):
    self.url, self.bodies, self.times = url, [], []
    self.usage = {"prompt_tokens": 100, "completion_tokens": 10}
    self.seen, self.lock, self.most, self.now = {}, threading.Lock(), 0, 0
    self.behave = lambda times, text: None
    self.reply = lambda text: f"said {text}"

  def note(self, body):
    """Counts a request: (its text, times it came before)."""
    content = body["messages"][-1]["content"]
    text = content if isinstance(content, str) else content[-1]["text"]
    with self.lock:
      self.bodies.append(body)
      self.times.append(time.monotonic())
      self.seen[text] = self.seen.get(text, -1) + 1
      return text, self.seen[text]


@contextlib.contextmanager
def serving():
  """A Fake that answers until the block is left."""

  class Handler(server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    log_message = lambda *_: None  # noqa: E731

    def do_POST(self):
      length = int(self.headers["Content-Length"])
      body = json.loads(self.rfile.read(length))
      if self.headers["Authorization"] != f"Bearer {KEY}":
        said = f"bad key {self.headers['Authorization']}"
        return self.send(401, json.dumps({"error": {"message": said}}).encode())
      with fake.lock:
        fake.now += 1
        fake.most = max(fake.most, fake.now)
      try:
        self.act(body, *fake.note(body))
      finally:
        with fake.lock:
          fake.now -= 1

    def act(self, body, text, times):
      kind, *rest = fake.behave(times, text) or ("answer",)
      if kind == "status":
        code, headers, said = rest
        return self.send(code, said, headers=headers)
      if kind == "raw":
        return self.send(200, rest[0], rest[1])
      if kind == "close":
        linger = struct.pack("ii", 1, 0)  # reset, not a polite end
        sock = self.connection
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        return sock.close()
      if kind == "hang":
        stop.wait(rest[0])
        self.close_connection = True
        return None
      message = {"role": "assistant", "content": fake.reply(text)}
      whole = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
      }
      if fake.usage:
        total = sum(fake.usage.values())
        whole["usage"] = {**fake.usage, "total_tokens": total}
      return self.send(200, json.dumps(whole).encode(), cut=kind == "cut")

    def send(self, code, data, kind="application/json", headers=(), cut=False):
      self.send_response(code)
      self.send_header("Content-Type", kind)
      self.send_header("Content-Length", str(len(data)))
      for name, value in dict(headers).items():
        self.send_header(name, value)
      self.end_headers()
      self.wfile.write(data[: len(data) // 2] if cut else data)
      self.close_connection |= cut

  class Quiet(server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
      """Broken connections are the point of it."""

  stop = threading.Event()
  http = Quiet(("127.0.0.1", 0), Handler)
  fake = Fake(f"http://127.0.0.1:{http.server_address[1]}/v1")
  thread = threading.Thread(target=http.serve_forever, args=(0.02,))
  thread.start()
  try:
    yield fake
  finally:
    stop.set()
    http.shutdown()
    thread.join()
    http.server_close()
