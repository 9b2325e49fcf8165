"""Runs precompute with the fake model, in a process that tests can kill.

    python tests/precompute_driver.py PHOTOS OUT '{"workers": 2, ...}'

Keys: grace, workers, on_devices, shard, batch, slow, val_every, coordinator,
process, and those of run.run.
"""

import json
import logging
import os
import sys

import precompute_fakes

from hispatial_jax.precompute import plan, run


def main(photos, out, given):
  logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
  kwargs = json.loads(given)
  take = kwargs.pop
  source = precompute_fakes.Photos(
    photos, slow=take("slow", 0.0), val_every=take("val_every", 0)
  )
  options = plan.Options(
    shard_size=take("shard", 16), batch_size=take("batch", 4)
  )
  workers, coordinator = take("workers", 1), take("coordinator", None)
  if take("on_devices", False):
    from hispatial_jax.core import rendezvous
    from hispatial_jax.precompute import devices

    process = take("process", 0)
    if coordinator:
      rendezvous.join(coordinator, 2, process)
    crew = devices.Crew(precompute_fakes.load, threads=2)
  else:
    from hispatial_jax.precompute import beam

    crew = beam.Crew(precompute_fakes.load, workers=workers, threads=2)
  run._GRACE_S = take("grace", run._GRACE_S)
  try:
    done = run.run(source, out, options, crew, **kwargs)
  except run.Interrupted as error:
    print(error, flush=True)
    return error.code
  except RuntimeError as error:
    print(f"error: {error}", flush=True)
    os._exit(1)
  print(json.dumps(done["tally"]["bad"]), flush=True)
  return 0


if __name__ == "__main__":
  sys.exit(main(*sys.argv[1:]))
