"""Processes that were told to meet: what they are told, and if nobody comes."""

import os
import re
import socket
import subprocess
import sys
import time

import pytest

from hispatial_jax.core import rendezvous

_JOIN = """
import sys
from hispatial_jax.core import rendezvous
rendezvous.join(sys.argv[1], 2, int(sys.argv[2]), wait_s=3)
"""


def test_flags_before_environment_before_cluster():
  told = {
    "JAX_COORDINATOR_ADDRESS": "10.0.0.1:8476",
    "JAX_NUM_PROCESSES": "4",
    "JAX_PROCESS_ID": "0",
  }
  want = {
    "coordinator_address": "10.0.0.1:8476",
    "num_processes": 4,
    "process_id": 0,
  }
  assert rendezvous.given(None, None, None, told) == want
  flags = rendezvous.given("[::1]:9", 2, 1, told)
  assert list(flags.values()) == ["[::1]:9", 2, 1]
  mixed = rendezvous.given(None, None, 3, told)
  assert mixed == {**want, "process_id": 3}
  assert rendezvous.given(None, None, None, {}) == {}


@pytest.mark.parametrize(
  ("args", "environment", "said"),
  [
    (("h:1", 2, None), {}, r"own number .*--process_id, JAX_PROCESS_ID.*miss"),
    ((None, 2, 0), {}, "address .*missing"),
    ((None, None, None), {"JAX_PROCESS_ID": "0"}, "address.*and number.*miss"),
    (("h", 2, 0), {}, "'h': expected HOST:PORT"),
    (("h:1", 2, 2), {}, "process 2 of 2: expected a number from 0 to 1"),
    (("h:1", None, 0), {"JAX_NUM_PROCESSES": "x"}, "JAX_NUM_PROCESSES='x'"),
  ],
)
def test_what_is_missing_or_wrong_is_named(args, environment, said):
  with pytest.raises(ValueError, match=said):
    rendezvous.given(*args, environment)


@pytest.mark.parametrize("process", [0, 1])
def test_one_process_alone_ends_in_time_and_in_words(process):
  with socket.socket() as probe:
    probe.bind(("localhost", 0))
    address = f"localhost:{probe.getsockname()[1]}"
  begin = time.monotonic()
  done = subprocess.run(
    [sys.executable, "-c", _JOIN, address, str(process)],
    env={**os.environ},
    capture_output=True,
    text=True,
    check=False,
    timeout=60,
  )
  assert time.monotonic() - begin > 3
  assert done.returncode == 1, done.stderr
  assert re.fullmatch(
    rf"error: process {process} of 2 waited 3 s at {address} and not all others"
    r" came: .*\n",
    done.stderr,
  )
