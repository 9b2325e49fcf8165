"""The house keeps its shape: which room may import which, and what is quick."""

import ast
import pathlib
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).parent.parent
_PACKAGE = _ROOT / "hispatial_jax"

# Room -> rooms it may import. Top-level modules are rooms of their own.
_MAY_IMPORT = {
  "core": set(),
  "models": {"core"},
  "toyworld": {"core"},
  "benchmarks": {"core"},
  "weights": {"core", "models"},
  "moge": {"core", "weights"},
  "pp": {"core", "qa"},
  "qa": {"core"},
  "data": {"pp", "qa", "core", "toyworld"},
  "evaluators": {"benchmarks", "data", "models", "core", "pp"},
  "evaluation": {
    "benchmarks",
    "core",
    "data",
    "evaluators",
    "models",
    "moge",
    "precompute",
    "report",
  },
  "predict": {"models", "weights", "pp", "core", "data", "moge"},
  "precompute": {"moge", "data", "pp", "report", "benchmarks", "core"},
  "report": {
    "benchmarks",
    "core",
    "data",
    "evaluators",
    "predict",
    "pp",
  },
  "program": {"core", "models"},
  "dry_run": {"core", "evaluators", "models", "moge", "program"},
  "start": {"core", "models", "program", "weights"},
  "train": {
    "benchmarks",
    "core",
    "data",
    "dry_run",
    "evaluators",
    "models",
    "pp",
    "program",
    "qa",
    "start",
    "weights",
  },
  "cli": {"core", "predict", "data", "pp", "moge", "report"},
}
_TENSORFLOW_DATA = {
  "data/builder.py",
  "data/shards.py",
  "precompute/beam.py",
  "precompute/beam_flags.py",
  "precompute/beam_model.py",
  "precompute/beam_worker.py",
}


def _modules():
  for path in sorted(_PACKAGE.rglob("*.py")):
    if path.name != "__init__.py":
      yield path.relative_to(_PACKAGE).as_posix(), ast.parse(path.read_text())


def _imports(tree):
  """Yields (dotted name, whether at the module's top level)."""
  top = set(map(id, tree.body))
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      for alias in node.names:
        yield alias.name, id(node) in top
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, "imports are absolute"
      for alias in node.names:
        yield f"{node.module}.{alias.name}", id(node) in top


def _room(relative):
  return relative.split("/")[0].removesuffix(".py")


def test_every_room_is_known():
  assert {_room(name) for name, _ in _modules()} <= set(_MAY_IMPORT)


def test_imports_run_one_way():
  wrong = []
  for name, tree in _modules():
    room = _room(name)
    for target, _ in _imports(tree):
      parts = target.split(".")
      if parts[0] in ("tools", "configs", "tests"):
        wrong.append(f"{name} imports {target}")
      if parts[0] != "hispatial_jax" or len(parts) < 2:
        continue
      if parts[1] != room and parts[1] not in _MAY_IMPORT.get(room, set()):
        wrong.append(f"{name} imports {target}")
  assert not wrong, "\n".join(wrong)


def test_rooms_without_circles():
  graph = {room: set(allowed) for room, allowed in _MAY_IMPORT.items()}
  while graph:
    leaves = {room for room, deps in graph.items() if not deps & set(graph)}
    assert leaves, f"circle among {sorted(graph)}"
    graph = {k: v - leaves for k, v in graph.items() if k not in leaves}


@pytest.mark.parametrize("room", ["qa", "benchmarks", "pp", "data"])
def test_data_rooms_never_import_flax(room):
  for name, tree in _modules():
    if _room(name) == room:
      for target, _ in _imports(tree):
        assert target.split(".")[0] != "flax", f"{name} imports {target}"


def test_heavy_packages_stay_in_their_place():
  wrong = []
  for name, tree in _modules():
    for target, top in _imports(tree):
      base = target.split(".")[0]
      if base == "torch" and top:
        wrong.append(f"{name} imports torch at its top")
      if base == "tensorflow":
        wrong.append(f"{name} imports tensorflow")
      tfds = base in ("tensorflow_datasets", "apache_beam")
      if tfds and name not in _TENSORFLOW_DATA:
        wrong.append(f"{name} imports {base}")
  assert not wrong, "\n".join(wrong)


def test_no_names_are_imported_from_our_modules():
  wrong = []
  modules = {name for name, _ in _modules()}
  for name, tree in _modules():
    for target, _ in _imports(tree):
      parts = target.split(".")
      if parts[0] == "hispatial_jax" and len(parts) > 1:
        path = "/".join(parts[1:])
        if f"{path}.py" not in modules and not (_PACKAGE / path).is_dir():
          wrong.append(f"{name}: {target} is not a module")
  assert not wrong, "\n".join(wrong)


def test_importing_the_package_is_light():
  code = (
    "import sys, jax, time; t = time.time(); import hispatial_jax;"
    "assert time.time() - t < 0.3;"
    "assert 'torch' not in sys.modules and 'tensorflow' not in sys.modules;"
    "from jax._src import xla_bridge;"
    "assert not xla_bridge._backends, 'a device was started'"
  )
  subprocess.run([sys.executable, "-c", code], check=True)
