"""What was saved comes back, and what does not fit says why."""

import errno
import os
import resource
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from hispatial_jax.core import checkpoint, optim, rundir, seal, storage


def _params():
  rng = np.random.default_rng(0)
  return {
    "img": {"kernel": jnp.asarray(rng.normal(size=(3, 4)), jnp.float32)},
    "llm": {
      "w": jnp.asarray(rng.normal(size=(2, 5)), jnp.bfloat16),
      "scale": jnp.asarray(rng.normal(size=5), jnp.float32),
    },
  }


def _shapes(tree):
  put = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)  # noqa: E731
  return jax.tree.map(put, tree)


def _same(a, b):
  assert jax.tree.structure(a) == jax.tree.structure(b)
  jax.tree.map(np.testing.assert_array_equal, a, b)
  assert all(
    x.dtype == y.dtype
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  )


def test_run_saves_and_restores(tmp_path):
  params = _params()
  moments = optim.adamw(1e-3).init(params)
  run = checkpoint.Run(tmp_path, keep=2)
  assert run.latest() is None
  for step in (1, 2, 3):
    assert run.save(step, params, moments, {"seen": step})
  assert not run.save(3, params, moments, {"seen": 9})
  run.close()
  assert sorted(os.listdir(tmp_path / "checkpoints")) == ["2", "3"]

  run = checkpoint.Run(tmp_path, keep=2)
  got = run.restore(3, _shapes(params), _shapes(moments))
  _same(got[0], params)
  _same(got[1], moments)
  assert got[2] == [{"seen": 3}]
  run.close()
  for path in (tmp_path, tmp_path / "checkpoints", tmp_path / "checkpoints/3"):
    _same(rundir.load_params(path), jax.device_get(params))


def test_a_checkpoint_is_not_removed_while_it_is_sealed(tmp_path, monkeypatch):
  write, sealed = seal.write, []

  def slow(folder, part, parts):
    for _ in range(10):
      time.sleep(0.05)
      write(folder, part, parts)
    sealed.append(folder.name)

  monkeypatch.setattr(seal, "write", slow)
  run = checkpoint.Run(tmp_path, keep=1)
  for step in (1, 2, 3):
    run.save(step, _params(), {"m": jnp.zeros(2)}, {})
  run.close()
  assert sealed == ["1", "2", "3"]
  assert os.listdir(tmp_path / "checkpoints") == ["3"]


def test_arrays_may_be_donated_once_save_returns(tmp_path):
  big = jnp.ones((1000, 1000))
  run = checkpoint.Run(tmp_path)
  params = {"w": big}
  spoil = jax.jit(lambda x: x * 0.0 - 1.0, donate_argnums=0)
  run.save(1, params, {"m": jnp.zeros(2)}, {})
  jax.block_until_ready(spoil(params["w"]))
  run.close()
  assert (rundir.load_params(tmp_path)["w"] == 1).all()


def test_checkpoint_of_another_config_lists_all_names(tmp_path):
  params = _params()
  run = checkpoint.Run(tmp_path)
  run.save(1, params, {"m": jnp.zeros(2)}, {}, wait=True)
  other = _shapes(params)
  other["llm"]["v"] = other["llm"].pop("w")
  other["img"]["kernel"] = jax.ShapeDtypeStruct((3, 5), jnp.float32)
  with pytest.raises(ValueError, match="another config") as error:
    run.restore(1, other, {})
  for text in ("- llm/v", "+ llm/w", "~shape img/kernel", "[3,5]", "[3,4]"):
    assert text in str(error.value).replace("-missing", "-").replace(
      "+extra", "+"
    )
  run.close()


def test_half_written_step_is_not_seen(tmp_path):
  run = checkpoint.Run(tmp_path)
  run.save(1, _params(), {"m": jnp.zeros(2)}, {}, wait=True)
  run.close()
  left = tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp-7"
  left.mkdir()
  assert rundir.step_folder(tmp_path).name == "1"
  run = checkpoint.Run(tmp_path)
  assert run.latest() == 1
  run.close()


def test_work_directory_that_cannot_be_written(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(
    OSError, match=r"cannot write to the work directory .*file"
  ):
    checkpoint.Run(tmp_path / "file" / "run")


def test_no_space_left(tmp_path):
  run = checkpoint.Run(tmp_path)
  run.save(1, _params(), {"m": jnp.zeros(2)}, {}, wait=True)
  noise = np.random.default_rng(0).normal(size=(1000, 1000))
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
  try:
    with pytest.raises(OSError, match="cannot write a checkpoint to") as error:
      run.save(
        2,
        {"w": jnp.asarray(noise, jnp.float32)},
        {"m": jnp.zeros(2)},
        {},
        wait=True,
      )
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
  assert "last complete one: 1" in str(error.value)
  assert rundir.step_folder(tmp_path).name == "1"
  # Of the other one nothing is left, which would take the space of the next.
  assert os.listdir(tmp_path / "checkpoints") == ["1"]
  assert run.save(2, _params(), {"m": jnp.zeros(2)}, {}, wait=True)
  run.close()
  assert rundir.step_folder(tmp_path).name == "2"


@pytest.fixture
def failing(monkeypatch):
  """fn(number, times): folders fail to get their names so many times."""
  backend = epath.backend.os_backend
  rename = type(backend).rename
  left, failed = {}, []
  monkeypatch.setattr(storage, "_LONGEST_S", 0.01)

  def spoilt(self, path, target):
    if str(target).endswith(f"checkpoints/{left.get('step')}") and left["n"]:
      left["n"] -= 1
      failed.append(str(target))
      raise OSError(left["number"], os.strerror(left["number"]))
    return rename(self, path, target)

  monkeypatch.setattr(type(backend), "rename", spoilt)

  def fail(step, number, times):
    left.update(step=step, number=number, n=times)
    return failed

  return fail


def test_a_last_checkpoint_is_written_again_until_it_stands(
  tmp_path, failing, capsys
):
  params = _params()
  failed = failing(1, errno.EIO, 2)
  run = checkpoint.Run(tmp_path)
  assert run.save(1, params, {"m": jnp.zeros(2)}, {}, wait=True)
  run.close()
  assert len(failed) == 2
  lines = capsys.readouterr().err.splitlines()
  assert [line.split(";")[1][:11] for line in lines] == [
    " try 2 of 7",
    " try 3 of 7",
  ]
  assert all(f"{tmp_path}/checkpoints/1" in line for line in lines)
  assert os.listdir(tmp_path / "checkpoints") == ["1"]
  _same(rundir.load_params(tmp_path), jax.device_get(params))


def test_the_next_checkpoint_takes_the_place_of_a_lost_one(
  tmp_path, failing, capsys
):
  params, moments = _params(), {"m": jnp.zeros(2)}
  run = checkpoint.Run(tmp_path)
  run.save(1, params, moments, {}, wait=True)
  failed = failing(2, errno.EIO, 99)
  run.save(2, params, moments, {})
  run.save(3, params, moments, {})
  # It was waited for.
  assert sorted(os.listdir(tmp_path / "checkpoints")) == ["1", "3"]
  run.close()
  assert len(failed) == 1
  assert "step 3 takes its place" in capsys.readouterr().err
  _same(rundir.load_params(tmp_path), jax.device_get(params))


def test_a_full_disk_is_not_tried_again(tmp_path, failing, capsys):
  params, moments = _params(), {"m": jnp.zeros(2)}
  run = checkpoint.Run(tmp_path)
  run.save(1, params, moments, {}, wait=True)
  failed = failing(2, errno.ENOSPC, 99)
  run.save(2, params, moments, {})
  with pytest.raises(OSError, match=r"No space left[^$]*last complete one: 1"):
    run.save(3, params, moments, {})
  run.close()
  assert len(failed) == 1
  assert capsys.readouterr().err == ""
  assert os.listdir(tmp_path / "checkpoints") == ["1"]


def test_reading_is_tried_again(tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(storage, "_LONGEST_S", 0.01)
  params, moments = _saved(tmp_path)
  real, failed = seal._sum, []

  def fails(path):
    if len(failed) < 2:
      failed.append(path)
      raise OSError(errno.ESTALE, "Stale file handle")
    return real(path)

  monkeypatch.setattr(seal, "_sum", fails)
  run = checkpoint.Run(tmp_path)
  assert run.newest_sound() == (2, [])
  assert capsys.readouterr().err.count("cannot read") == len(failed) == 2
  restore = run._manager.restore

  def unavailable(*args, **kwargs):
    if len(failed) < 3:
      failed.append(args)
      raise ValueError("UNAVAILABLE: HTTP response code: 503")
    return restore(*args, **kwargs)

  monkeypatch.setattr(run._manager, "restore", unavailable)
  _same(run.restore(2, _shapes(params), _shapes(moments))[0], params)
  assert "UNAVAILABLE" in capsys.readouterr().err
  run.close()


def _saved(folder, steps=(1, 2)):
  """Params and moments, saved under some steps; the run is closed."""
  params = _params()
  moments = optim.adamw(1e-3).init(params)
  run = checkpoint.Run(folder, keep=3)
  for step in steps:
    run.save(step, params, moments, {"seen": step})
  run.close()
  return params, moments


def _largest(folder):
  return max(
    (p for p in folder.rglob("*") if p.is_file() and "seal" not in p.name),
    key=lambda p: p.stat().st_size,
  )


def _flip(path):
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(bytes(data))


def _cut(path):
  path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
  ("damage", "said"),
  [(_flip, "other bytes"), (_cut, "of .* bytes"), (os.remove, "missing")],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(
  tmp_path, damage, said
):
  params, moments = _saved(tmp_path)
  file = _largest(tmp_path / "checkpoints" / "2" / "params")
  damage(file)
  with pytest.raises(ValueError, match=f"damaged: .*{file.name}.*{said}"):
    rundir.load_params(tmp_path)
  run = checkpoint.Run(tmp_path, keep=3)
  step, (note,) = run.newest_sound()
  assert step == 1
  assert str(tmp_path / "checkpoints" / "2") in note
  assert file.name in note
  _same(run.restore(step, _shapes(params), _shapes(moments))[0], params)
  # The number is free again, and what was damaged is kept.
  assert run.save(2, params, moments, {"seen": 2})
  run.close()
  assert list((tmp_path / "checkpoints").glob("damaged-2-*"))
  _same(rundir.load_params(tmp_path), jax.device_get(params))


def test_without_any_sound_checkpoint_a_run_does_not_start_anew(tmp_path):
  _saved(tmp_path, steps=(5,))
  _flip(_largest(tmp_path / "checkpoints" / "5"))
  run = checkpoint.Run(tmp_path)
  with pytest.raises(ValueError, match="no sound checkpoint is left"):
    run.newest_sound()
  run.close()


def test_checkpoints_of_other_processes_and_without_seals_are_read(tmp_path):
  _saved(tmp_path)
  folder = tmp_path / "checkpoints" / "2"
  (folder / "seal-0.json").unlink()
  assert seal.damaged(folder) == []
  for part in range(3):
    seal.write(folder, part, 3)
  assert seal.damaged(folder) == []
  _flip(_largest(folder))
  found = [line for part in (0, 1) for line in seal.damaged(folder, part, 2)]
  assert len(found) == 1
