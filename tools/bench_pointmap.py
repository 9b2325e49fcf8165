"""Memory and time of the point map's first layer: the plain way and ours.

    python tools/bench_pointmap.py     # 448 px, width 1152, batch 8
    python tools/bench_pointmap.py --size 112 --width 128 --num-freqs 8 --time

Memory is what the compiler reserves for temporaries, arguments and results not
counted: for one TPU chip (compiled ahead of time, no TPU needed, but the libtpu
package) and for the CPU. Seconds are measured on the CPU, with --time.
"""

import argparse
import os
import statistics
import sys
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Without these libtpu asks the cloud's metadata server what machine this is.
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-1")
os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")

import jax
import jax.numpy as jnp
from jax.experimental import topologies

from hispatial_jax.models import pointmap

_WAYS = {"naive": pointmap.embed_naively, "ours": pointmap.embed}
_MIB = 2**20


def main(argv=None):
  """Prints one line per backend, way and pass."""
  args = _parse(argv)
  try:
    devices = _devices(args)
  except RuntimeError as error:
    sys.exit(f"bench_pointmap: {error}")
  print(f"{'backend':12} {'way':6} {'pass':17} {'temporaries':>12}")
  for backend, device in devices.items():
    for way, embed in _WAYS.items():
      for name, compiled in _compiled(embed, args, device):
        mib = compiled.memory_analysis().temp_size_in_bytes / _MIB
        print(f"{backend:12} {way:6} {name:17} {mib:8.0f} MiB", flush=True)
  if args.time:
    _print_times(args)


def _parse(argv):
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--batch", type=int, default=8)
  parser.add_argument("--size", type=int, default=448, help="pixels of a side")
  parser.add_argument("--width", type=int, default=1152)
  parser.add_argument("--num-freqs", type=int, default=32)
  parser.add_argument("--topology", default="v5e:2x2", help="one chip is used")
  parser.add_argument(
    "--backend", choices=("tpu", "cpu", "both"), default="both"
  )
  parser.add_argument("--time", action="store_true", help="CPU seconds, too")
  args = parser.parse_args(argv)
  if args.size % 14 or min(args.size, args.batch, args.num_freqs) < 1:
    parser.error(f"--size {args.size} is not a multiple of 14, or a size < 1")
  return args


def _devices(args):
  """{name: device to compile for}."""
  devices = {}
  if args.backend != "cpu":
    try:
      topology = topologies.get_topology_desc(args.topology, platform="tpu")
      devices[args.topology.split(":")[0]] = topology.devices[0]
    except Exception as error:  # libtpu raises many kinds; all are told
      reason = (str(error) or type(error).__name__).splitlines()[0]
      message = (
        f"no TPU compiler ({reason}): pip install 'jax[tpu]' in an "
        "environment of its own, and run one such process at a time"
      )
      if args.backend == "tpu":
        raise RuntimeError(message) from None
      print(f"{message}; CPU only", file=sys.stderr)
  if args.backend != "tpu":
    devices["cpu"] = jax.devices("cpu")[0]
  return devices


def _shapes(args):
  """Shapes of points, kernel and the result."""
  patches, channels = args.size // 14, 6 * args.num_freqs + 1
  return (
    (args.batch, args.size, args.size, 4),
    (14, 14, channels, args.width),
    (args.batch, patches, patches, args.width),
  )


def _passes(embed):
  """{name: function of points, kernel and the result's gradient}."""

  def forward(points, kernel, _):
    return embed(points, kernel)

  def both(points, kernel, gradient):
    tokens, pull = jax.vjp(lambda k: embed(points, k), kernel)
    return tokens, pull(gradient)

  return {"forward": forward, "forward+gradient": both}


def _compiled(embed, args, device):
  place = jax.sharding.SingleDeviceSharding(device)
  inputs = [
    jax.ShapeDtypeStruct(shape, jnp.float32, sharding=place)
    for shape in _shapes(args)
  ]
  for name, function in _passes(embed).items():
    yield name, jax.jit(function).lower(*inputs).compile()


def _print_times(args):
  keys = jax.random.split(jax.random.key(0), 3)
  inputs = [
    jax.random.normal(k, s) for k, s in zip(keys, _shapes(args), strict=True)
  ]
  for name in _passes(pointmap.embed):
    seconds = {
      way: _seconds(jax.jit(_passes(embed)[name]), inputs)
      for way, embed in _WAYS.items()
    }
    ratio = seconds["naive"] / seconds["ours"]
    listed = ", ".join(f"{way} {s:.3f} s" for way, s in seconds.items())
    print(f"cpu time     {name:17} {listed}: {ratio:.1f} times faster")


def _seconds(function, inputs, repeats=5):
  jax.block_until_ready(function(*inputs))
  taken = []
  for _ in range(repeats):
    start = time.perf_counter()
    jax.block_until_ready(function(*inputs))
    taken.append(time.perf_counter() - start)
  return statistics.median(taken)


if __name__ == "__main__":
  main()
