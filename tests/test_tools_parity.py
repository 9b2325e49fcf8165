"""tools/parity.py: agrees with the references, and notices when it does not."""

import ast
import graphlib
import importlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import pytest

_TOOLS = pathlib.Path(__file__).parent.parent / "tools"
sys.path.insert(0, str(_TOOLS))

parity = importlib.import_module("parity")
report = importlib.import_module("parity_cases.report")


# A fixture's programs are the same whatever its weights: compiled once.
_COMPILED = tempfile.TemporaryDirectory(prefix="parity-")


def _run(*args):
  """(exit code, compared, failed, output), in a process of its own."""
  command = [sys.executable, str(_TOOLS / "parity.py"), *map(str, args)]
  keep = {
    "JAX_COMPILATION_CACHE_DIR": _COMPILED.name,
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
  }
  # Compiled as for users: see conftest.py.
  environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
  done = subprocess.run(
    command,
    capture_output=True,
    text=True,
    check=False,
    env=environment | keep,
  )
  match = re.search(r"^(\d+) compared, (\d+) failed$", done.stdout, re.M)
  assert match, done.stderr
  return done.returncode, int(match[1]), int(match[2]), done.stdout


def _arrays(folder, *files):
  names = []
  for file in files:
    with np.load(folder / file) as data:
      names += data.files
  return names


@pytest.mark.slow
def test_hispatial_agrees_in_every_array(golden):
  folder = golden / "hispatial_model"
  code, compared, failed, out = _run(folder)
  assert (code, failed) == (0, 0), out
  names = _arrays(folder, "forward.npz", "generate.npz", "train.npz")
  # Inputs and the noise figures are used, not compared.
  names = [n for n in names if not re.search("input_ids|inputs/|noise", n)]
  assert compared >= len(names)
  lines = [line.split()[0].split("[:-1]")[0] for line in out.splitlines()]
  assert set(names) - set(lines) == {"outputs/xyz_embed/pixel_index_bhw"}


@pytest.mark.slow
def test_big_vision_agrees_in_every_array(golden):
  folder = golden / "big_vision"
  code, _, failed, out = _run(folder)
  assert (code, failed) == (0, 0), out
  names = _arrays(folder, "cases.npz")
  unused = {"image_u8", "text", "mask_ar", "mask_loss", "decode/eos_token"}
  unused |= {"decode/text", "decode/mask_ar", "decode/mask_input"}
  unused |= {"posemb_resample/new_grid"}
  lines = [line.split()[0].split("[begin")[0] for line in out.splitlines()]
  assert set(names) - set(lines) == unused


@pytest.mark.slow
def test_moge2_agrees_in_every_array(golden):
  folder = golden / "moge2"
  code, _, failed, out = _run(folder)
  assert (code, failed) == (0, 0), out
  names = _arrays(folder, "cases.npz", "focal.npz", "modules.npz")
  # Inputs, and where samples were taken, are used, not compared.
  inputs = "image_u8|/rows|/cols|resize/x|pos_embed_37|weights/|^res.*/x$"
  inputs += "|^(syn|ill|batch).*/(points|mask|true_.*|z_offset)$"
  # The reference itself fails there: only that ours is finite.
  names = [n for n in names if not re.search(f"{inputs}|^illposed", n)]
  assert len(names) > 300
  lines = [line.split()[0] for line in out.splitlines()]
  assert set(names) - set(lines) == set()


@pytest.mark.slow
def test_moge2_notices_a_weight_changed_by_a_hundredth(golden, tmp_path):
  folder = tmp_path / "moge2"
  shutil.copytree(golden / "moge2", folder)
  # One picture at one number of tokens is enough to notice.
  for file, kept in (
    ("cases", "img0/(n24|image)"),
    ("focal", "syn0|batch|deg"),
  ):
    with np.load(folder / f"{file}.npz") as data:
      some = {n: data[n] for n in data.files if re.match(kept, n)}
    np.savez(folder / f"{file}.npz", **some)
  name = "encoder/backbone/blocks/attn/qkv/kernel"
  code, compared, failed, out = _run(folder, "--perturb", name)
  assert code != 0
  assert 0 < failed < compared
  assert re.search(r"^img0/n24/taps_prenorm .*FAIL$", out, re.M)
  assert re.search(r"^img0/n24/infer_none/points .*FAIL$", out, re.M)
  assert re.search(r"^img0/n24/patch_embed .*ok$", out, re.M)


@pytest.mark.slow
@pytest.mark.parametrize(
  ("kind", "name"),
  [
    ("big_vision", "llm/layers/attn/q_einsum/w"),
    ("hispatial_model", "pointmap/embedding/kernel"),
  ],
)
def test_one_weight_changed_by_a_hundredth_fails(kind, name, golden):
  code, compared, failed, out = _run(golden / kind, "--perturb", name)
  assert code != 0
  assert 0 < failed < compared
  assert "FAIL" in out


def test_an_array_without_comparison_fails(tmp_path, capsys):
  np.savez(tmp_path / "x.npz", a=np.ones(2), b=np.ones(2))
  fixture, found = report.Fixture(tmp_path, ["x.npz"]), report.Report()
  found.compare("a", np.ones(2), fixture.get("x.npz", "a"))
  for name in fixture.unused():
    found.missing(name)
  assert found.close() == 1
  out = capsys.readouterr().out
  assert re.search(r"x\.npz: b +not compared +FAIL", out)
  assert out.endswith("2 compared, 1 failed\n")


@pytest.mark.parametrize(
  ("got", "ok"),
  [
    ([1.0, 10.0009], True),
    ([1.0, 10.0011], False),
    ([1.0, np.nan], False),
    ([1.0], False),
  ],
)
def test_floats_are_held_to_a_share_of_the_largest(got, ok):
  found = report.Report()
  found.compare("x", np.array(got), np.array([1.0, 10.0]))
  assert found.close() == (0 if ok else 1)


def test_whole_numbers_must_be_identical_and_nothing_is_no_success():
  found = report.Report()
  assert found.close() == 1
  found.compare("x", np.array([1, 2]), np.array([1, 2]))
  assert found.close() == 0
  found.compare("x", np.array([True, False]), np.array([True, True]))
  assert found.close() == 1


def test_names_with_slices():
  case = importlib.import_module("parity_cases.hispatial_case")
  x = np.arange(5 * 6 * 7).reshape(5, 6, 7)
  theirs = {"a.weight": x}
  np.testing.assert_array_equal(case.part(theirs, "a.weight"), x)
  found = case.part(theirs, "a.weight[:4,:,6]")
  np.testing.assert_array_equal(found, x[:4, :, 6])
  np.testing.assert_array_equal(case.part(theirs, "a.weight[1:3]"), x[1:3])
  np.testing.assert_array_equal(case.part(theirs, "a.weight[0,5,:]"), x[0, 5])


def test_cases_import_one_way():
  graph = {}
  for path in (_TOOLS / "parity_cases").glob("*.py"):
    graph[path.stem] = {
      alias.name
      for node in ast.walk(ast.parse(path.read_text()))
      if isinstance(node, ast.ImportFrom) and node.module == "parity_cases"
      for alias in node.names
    }
  assert graph["hispatial"], "imports are looked for in another form"
  order = list(graphlib.TopologicalSorter(graph).static_order())
  assert set(order) == set(graph)


def _fails(capsys, *args):
  assert parity.main([str(a) for a in args]) == 2
  error = capsys.readouterr().err
  assert error.startswith("parity: ")
  assert error.count("\n") == 1
  return error


@pytest.fixture
def precision():
  """main sets the matmul precision of the process."""
  import jax

  before = jax.config.jax_default_matmul_precision
  yield
  jax.config.update("jax_default_matmul_precision", before)


def test_bad_folders_are_one_clear_line(golden, tmp_path, capsys, precision):
  assert "no such folder" in _fails(capsys, tmp_path / "no")
  assert "not a fixture folder; expected" in _fails(capsys, tmp_path)
  moge = _fails(capsys, tmp_path, "--kind", "moge2")
  assert "lacks weights.npz, cases.npz, focal.npz, modules.npz" in moge
  lacks = _fails(capsys, tmp_path, "--kind", "big_vision")
  assert "lacks cases.npz" in lacks
  shutil.copytree(golden / "big_vision", tmp_path / "bv")
  near = _fails(capsys, tmp_path / "bv", "--perturb", "img/head/kernal")
  assert "no such parameter; nearest: img/head/kernel" in near
