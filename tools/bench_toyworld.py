"""How fast scenes of the toy world are made, by stage.

python tools/bench_toyworld.py --scenes 60 --size 112

Prints scenes a second, milliseconds of each stage (wall clock and processor
time, which tells apart a slow function and a busy machine) and bytes a scene.
"""

import argparse
import collections
import time
import tracemalloc

from hispatial_jax.toyworld import (
  annotate,
  layout,
  render,
  scenes,
  shell,
  world,
)

_STAGES = (
  ("place things", layout, "draw"),
  ("drop hidden", scenes, "_drop_hidden"),
  ("surroundings", shell, "build"),
  ("triangles, tree", world, "World"),
  ("picture", render, "picture"),
  ("annotations", annotate, "annotations"),
)


def main() -> None:
  """Parses the command line and prints the table."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--scenes", type=int, default=60)
  parser.add_argument("--size", type=int, default=112, help="pixels of a side")
  parser.add_argument("--kind", choices=scenes.KINDS, default=None)
  parser.add_argument("--first-seed", type=int, default=0)
  args = parser.parse_args()
  if args.scenes < 1 or args.size < 1:
    parser.error("--scenes and --size must be at least 1")

  for seed in range(5):  # builds the models of the categories once
    scenes.make(seed, args.size, args.kind)
  seeds = range(args.first_seed, args.first_seed + args.scenes)
  wall, processor = time.perf_counter(), time.process_time()
  for seed in seeds:
    record = scenes.make(seed, args.size, args.kind)
  wall = (time.perf_counter() - wall) / args.scenes
  processor = (time.process_time() - processor) / args.scenes
  print(f"{1 / wall:.1f} scenes/s at {args.size} px (wall clock)")
  print(f"{1 / processor:.1f} scenes/s of processor time")
  print(f"{'stage':<16}{'ms wall':>9}{'ms cpu':>9}")
  for name, (real, busy) in _stages(seeds, args.size, args.kind).items():
    print(f"{name:<16}{real:9.2f}{busy:9.2f}")
  print(f"{'all':<16}{wall * 1e3:9.2f}{processor * 1e3:9.2f}")
  stored = record["image"].nbytes + record["depth_m"].nbytes
  print(f"{stored} bytes of image and depth, {_peak(args)} bytes at the peak")


def _stages(seeds, size, kind):
  """Name -> [ms wall, ms cpu] a scene."""
  spent = collections.defaultdict(lambda: [0.0, 0.0])
  kept = []
  for name, module, attribute in _STAGES:
    function = getattr(module, attribute)
    kept.append((module, attribute, function))
    setattr(module, attribute, _timed(function, spent[name]))
  try:
    for seed in seeds:
      scenes.make(seed, size, kind)
  finally:
    for module, attribute, function in kept:
      setattr(module, attribute, function)
  scale = 1e3 / len(seeds)
  return {name: [x * scale for x in both] for name, both in spent.items()}


def _timed(function, spent):
  def run(*args, **kwargs):
    wall, processor = time.perf_counter(), time.process_time()
    result = function(*args, **kwargs)
    spent[0] += time.perf_counter() - wall
    spent[1] += time.process_time() - processor
    return result

  return run


def _peak(args) -> int:
  """Bytes that Python and numpy held at most while making one scene."""
  tracemalloc.start()
  scenes.make(args.first_seed, args.size, args.kind)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  return peak


if __name__ == "__main__":
  main()
