"""What recipes share: reading the argument after the colon.

--config configs/toy.py:steps=100,points=False
"""

import ml_collections

from hispatial_jax.core import config as config_lib


def parse_arg(arg: str, **defaults) -> ml_collections.ConfigDict:
  """Reads "key=value,flag" over defaults.

  Args:
    arg: comma-separated; a bare key of a bool means True.
    **defaults: every key there is, with its default, which sets its type.

  Returns:
    ConfigDict of all keys.

  Raises:
    ValueError: unknown keys or values of another type, all listed.
  """
  out = ml_collections.ConfigDict(defaults)
  pairs = [part.strip() for part in arg.split(",") if part.strip()]
  whole = [part if "=" in part else f"{part}=True" for part in pairs]
  config_lib.override(out, whole)
  return out.lock()
