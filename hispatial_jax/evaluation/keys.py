"""Keys of endpoints: read from the environment, and kept out of sight."""

import os
import re
from urllib import parse

_SHOWN = "[key]"
_LEAST = 8  # "none", "EMPTY": what local servers want is no secret.
_LOOKS_LIKE_ONE = re.compile(
  r"(?i)\bsk-[\w-]{8,}|\bbearer\s+[^\s\"',;]+|(?<=[?&]key=)[^&\s\"']+"
)


def read(name: str) -> str:
  """The key in an environment variable; "none" where no name is given.

  Raises:
    ValueError: the variable is empty or not there.
  """
  if not name:
    return "none"
  key = os.environ.get(name, "").strip()
  if not key:
    raise ValueError(
      f"no key: set the environment variable {name}, name another with "
      'key_env, or key_env="" for a server that wants none'
    )
  return key


def hide(text: str, key: str) -> str:
  """A text without the key, should it be there."""
  return text.replace(key, _SHOWN) if len(key) >= _LEAST else text


def scrub(text: str, key: str) -> str:
  """An error's text without the key, and without what looks like one."""
  return _LOOKS_LIKE_ONE.sub(_SHOWN, hide(text, key))


def bare_url(url: str) -> str:
  """The URL without user, password and query, where secrets may be."""
  parts = parse.urlsplit(url)
  host = parts.netloc.rsplit("@", 1)[-1]
  return parse.urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
