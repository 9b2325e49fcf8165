"""A checkpoint of eight devices is read by one and by four, bit for bit."""

import json
import os
import subprocess
import sys
import zlib

import jax
import numpy as np
import pytest

from hispatial_jax.core import rundir

_SCRIPT = """
import json, sys, zlib
import jax, jax.numpy as jnp, numpy as np
from hispatial_jax.core import checkpoint, layouts, mesh, optim

folder, save = sys.argv[1], sys.argv[2] == "save"
grid = mesh.make(data=1 if jax.device_count() == 1 else 2, fsdp=-1)
rng = np.random.default_rng(0)
draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
host = {"img": {"kernel": draw(16, 24)},
        "llm": {"scale": draw(5), "w": draw(8, 3).astype(jnp.bfloat16)}}
layout = layouts.shardings(host, [(".*", "fsdp")], grid, min_bytes=0)
params = jax.tree.map(jax.device_put, host, layout)
moments = optim.adamw(1e-3).init(params)
moments = jax.tree.map(lambda x: x + jnp.asarray(0.5, x.dtype)
                       if x.ndim else x, moments)
places = layouts.state_shardings(moments, layout, grid)
moments = jax.tree.map(jax.device_put, moments, places)

run = checkpoint.Run(folder)
if save:
  run.save(1, params, moments, {"seen": 1}, wait=True)
else:
  shape = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)
  asked = jax.tree.map(shape, (params, moments))
  assert run.newest_sound() == (1, [])
  params, moments, at = run.restore(1, *asked)
  assert at == [{"seen": 1}]
  like = jax.tree.map(lambda x, y: x.sharding == y.sharding,
                      (params, moments), asked)
  assert all(jax.tree.leaves(like))
run.close()
leaves = jax.tree.leaves(jax.device_get((params, moments)))
print(json.dumps({
  "devices": jax.device_count(),
  "shards": len(params["img"]["kernel"].sharding.device_set),
  "sums": [zlib.crc32(np.asarray(x).tobytes()) for x in leaves],
}))
"""


def _run(folder, devices, what):
  flags = f"--xla_force_host_platform_device_count={devices}"
  done = subprocess.run(
    [sys.executable, "-c", _SCRIPT, folder, what],
    env={**os.environ, "XLA_FLAGS": flags},
    capture_output=True,
    text=True,
    check=False,
    timeout=120,
  )
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout)


@pytest.mark.slow
def test_saved_on_eight_devices_restored_on_four_and_one(tmp_path):
  saved = _run(tmp_path, 8, "save")
  assert saved["devices"] == saved["shards"] == 8
  four = _run(tmp_path, 4, "restore")
  assert four["devices"] == 4
  assert four["sums"] == saved["sums"]
  # This process has one.
  assert jax.device_count() == 1
  here = jax.tree.leaves(rundir.load_params(tmp_path))
  sums = [zlib.crc32(np.asarray(x).tobytes()) for x in here]
  assert sums == saved["sums"][: len(sums)]
  one = _run(tmp_path, 1, "restore")
  assert (one["devices"], one["sums"]) == (1, saved["sums"])
