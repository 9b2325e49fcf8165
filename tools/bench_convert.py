"""Memory and time of conversions: python tools/bench_convert.py --size 3b

Writes a random bfloat16 checkpoint with the true shapes of PaliGemma-2 (3b_448:
6.1 GB) as npz, then converts npz -> Hugging Face -> npz, each in a process of
its own, and prints bytes, peak resident memory and seconds. Needs three times
the checkpoint in --folder, which is emptied afterwards.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import numpy as np

from hispatial_jax.core import tree
from hispatial_jax.models import sizes
from hispatial_jax.weights import lazy, npz

_NAMES = {"toy": "toy", "3b": "3b_448", "10b": "10b_448"}


def main(argv=None) -> int:
  """Returns the exit code."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--size", choices=list(_NAMES), default="3b")
  parser.add_argument("--folder", help="where to work; default a temporary one")
  args = parser.parse_args(argv)
  folder = pathlib.Path(tempfile.mkdtemp(dir=args.folder))
  try:
    return _run(folder, args.size)
  finally:
    shutil.rmtree(folder)


def _run(folder, size) -> int:
  shapes = tree.flatten(
    sizes.param_shapes(sizes.config(_NAMES[size], pointmap=None))
  )
  first = folder / "random.npz"
  npz.write(first, {n: _random(x.shape) for n, x in shapes.items()})
  print(
    f"{size}: random bfloat16 checkpoint of {_bytes(first):,} bytes", flush=True
  )
  steps = [(first, folder / "hf"), (folder / "hf", folder / "again.npz")]
  for src, dst in steps:
    if code := _step(src, dst):
      return code
  same = _same(first, folder / "again.npz")
  print(f"npz -> huggingface -> npz: {'identical' if same else 'DIFFERENT'}")
  return 0 if same else 1


def _step(src, dst) -> int:
  """Runs the tool in a process of its own and prints what it took."""
  tool = pathlib.Path(__file__).parent / "convert_weights.py"
  to = [] if dst.suffix == ".npz" else ["--to", "huggingface"]
  started = time.time()
  command = [sys.executable, str(tool), str(src), str(dst), *to]
  process = subprocess.Popen(command)
  _, status, usage = os.wait4(process.pid, 0)
  peak, size = usage.ru_maxrss * 1024, _bytes(dst)
  print(
    f"  {size:,} bytes written, peak memory {peak:,} bytes "
    f"({peak / size:.2f} x), {time.time() - started:.1f} s",
    flush=True,
  )
  return os.waitstatus_to_exitcode(status)


def _random(shape) -> lazy.Array:
  """Random bfloat16, made row by row so that no array is ever whole."""

  def read(index):
    rows = shape
    if index:
      start, stop, _ = index[0].indices(shape[0])
      rows = (stop - start, *shape[1:])
    rng = np.random.default_rng(index[0].start if index else 0)
    values = rng.integers(0, 0x4000, size=rows, dtype=np.uint16)
    return values.view(lazy.DTYPES["bfloat16"])

  return lazy.Array(tuple(shape), lazy.DTYPES["bfloat16"], read, rows=True)


def _bytes(path) -> int:
  files = path.rglob("*") if path.is_dir() else [path]
  return sum(file.stat().st_size for file in files)


def _same(a, b) -> bool:
  one, two = npz.read(a), npz.read(b)
  return list(one) == list(two) and all(
    lazy.difference(one[name], two[name]) == 0 for name in one
  )


if __name__ == "__main__":
  sys.exit(main())
