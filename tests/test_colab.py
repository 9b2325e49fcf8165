"""Every notebook of colab/ runs from top to bottom, in its small form."""

import os
import pathlib

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

_ROOT = pathlib.Path(__file__).parent.parent
_NOTEBOOKS = sorted((_ROOT / "colab").glob("*.ipynb"))
_MOST_CELLS = 15


@pytest.fixture(params=_NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
  """A notebook, checked against its format."""
  found = nbformat.read(request.param, as_version=4)
  nbformat.validate(found)
  return found


def _code(notebook):
  return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _printed(cell) -> str:
  return "".join(out.get("text", "") for out in cell.outputs)


def test_there_are_notebooks():
  assert _NOTEBOOKS


def test_short_and_without_outputs(notebook):
  assert len(notebook.cells) <= _MOST_CELLS
  for cell in _code(notebook):
    assert not cell.outputs
    assert cell.execution_count is None
  ids = [cell.id for cell in notebook.cells]
  assert len(set(ids)) == len(ids)


def test_begins_with_words_then_installs_and_names_the_device(notebook):
  assert notebook.cells[0].cell_type == "markdown"
  first = _code(notebook)[0].source
  assert "%pip install" in first
  assert "jax.devices()" in first


@pytest.mark.slow
def test_runs(notebook, tmp_path, monkeypatch):
  for name in ("configs", "hispatial_jax", "tools"):  # As a checkout has them.
    os.symlink(_ROOT / name, tmp_path / name)
  monkeypatch.setenv("HISPATIAL_SMALL", "1")
  monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
  client = nbclient.NotebookClient(
    notebook,
    timeout=300,
    kernel_name="python3",
    resources={"metadata": {"path": str(tmp_path)}},
  )
  client.execute()
  assert "JAX" in _printed(_code(notebook)[0])
  # %run shows the error of a tool and goes on.
  for cell in _code(notebook):
    for out in cell.outputs:
      assert out.output_type != "error", "\n".join(out.traceback)
  shown = {
    kind
    for cell in _code(notebook)
    for out in cell.outputs
    for kind in out.get("data", {})
  }
  assert "image/png" in shown
  assert "application/vnd.plotly.v1+json" in shown
  assert not (tmp_path / "hispatial_jax" / "runs").exists()
