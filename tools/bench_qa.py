"""How fast questions are drawn, and how large they are.

  python tools/bench_qa.py [--records 200] [--num 8]

Prints, for toy-world records and one core: pairs a second with the scene's
tables built anew for each draw and with the scene kept, milliseconds a draw,
bytes a pair as JSON, raw and compressed, and pairs by task.
"""

import argparse
import collections
import json
import time
import zlib

from hispatial_jax.qa import generate, scene
from hispatial_jax.toyworld import scenes


def _timed(function, items):
  start = time.process_time()
  made = [function(item) for item in items]
  pairs = [qa for some in made for qa in some]
  return pairs, time.process_time() - start


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--records", type=int, default=200)
  parser.add_argument("--num", type=int, default=8, help="pairs a draw")
  args = parser.parse_args()
  records = [scenes.make(seed) for seed in range(args.records)]
  kept = [scene.Scene.from_record(record) for record in records]

  pairs, seconds = _timed(lambda r: generate.draw(r, 0, args.num), records)
  print(f"pairs a second, from records   {len(pairs) / seconds:10.0f}")
  print(f"milliseconds a draw            {1e3 * seconds / len(records):10.2f}")
  for seed in (1, 2):  # the first fills the tables
    again, seconds = _timed(
      lambda s, k=seed: generate.draw(s, k, args.num), kept
    )
  print(f"pairs a second, scene kept     {len(again) / seconds:10.0f}")
  short = [f"{qa.question}\t{qa.answer}" for qa in pairs]
  full = [json.dumps(qa.as_dict()) for qa in pairs]
  for name, texts in (("question + answer", short), ("with evidence", full)):
    raw = "\n".join(texts).encode()
    print(f"bytes a pair, {name:17s}{len(raw) / len(pairs):10.1f}", end="")
    print(f"{len(zlib.compress(raw, 9)) / len(pairs):8.1f} compressed")
  tasks = collections.Counter((qa.level, qa.task) for qa in pairs)
  for (level, task), count in sorted(tasks.items()):
    print(f"level {level}  {task:20s}{count:6d}")


if __name__ == "__main__":
  main()
