"""Lines and verdict of tools/parity.py; the arrays of a fixture folder."""

import difflib
import pathlib

import numpy as np

TOLERANCE = 1e-4


class Fixture:
  """The npz files of a folder; remembers which arrays were asked for."""

  def __init__(self, folder: pathlib.Path, files: list[str]):
    """Opens the files.

    Raises:
      FileNotFoundError: some are not there (all listed).
    """
    absent = [name for name in files if not (folder / name).exists()]
    if absent:
      raise FileNotFoundError(f"{folder}: lacks {', '.join(absent)}")
    self._files = {name: np.load(folder / name) for name in files}
    self._used = set()

  def names(self, file: str, prefix: str = "") -> list[str]:
    """Names of a file's arrays that begin with `prefix`."""
    return [n for n in self._files[file].files if n.startswith(prefix)]

  def get(self, file: str, name: str) -> np.ndarray:
    """One array, which then counts as used."""
    self._used.add((file, name))
    return self._files[file][name]

  def unused(self) -> list[str]:
    """Arrays that nobody asked for."""
    everything = ((f, n) for f, data in self._files.items() for n in data.files)
    return [f"{f}: {n}" for f, n in everything if (f, n) not in self._used]


class Report:
  """Prints one line per comparison and counts."""

  def __init__(self):
    self.compared = 0
    self.failed = 0

  def compare(self, name: str, got, want, *, atol: float = 0.0) -> None:
    """Compares floats by the largest difference, anything else exactly.

    Args:
      name: of the array.
      got, want: ours and the reference's.
      atol: absolute difference that the reference's own noise explains; the
        tolerance is never less than TOLERANCE of the largest |want|.
    """
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
      return self._line(
        name, f"shape {got.shape}, expected {want.shape}", False
      )
    if want.dtype.kind in "bui":
      wrong = int(np.sum(got != want))
      text = f"{wrong} of {want.size} differ, tolerance 0"
      return self._line(name, text, wrong == 0)
    got, want = got.astype(np.float64), want.astype(np.float64)
    size = float(np.max(np.abs(want), initial=0))
    worst = float(np.max(np.abs(got - want), initial=0))
    if np.isnan(got).any() or np.isnan(want).any():
      worst = float("nan")
    tolerance = max(TOLERANCE * size, atol)
    text = f"abs {worst:.2e}  rel {worst / max(size, 1e-300):.2e}"
    self._line(name, f"{text}  tol {tolerance:.2e}", worst <= tolerance)

  def missing(self, name: str) -> None:
    """An array that no comparison covers is a failure."""
    self._line(name, "not compared", False)

  def _line(self, name, text, ok) -> None:
    self.compared += 1
    self.failed += not ok
    print(f"{name:<76} {text}  {'ok' if ok else 'FAIL'}", flush=True)

  def close(self) -> int:
    """Prints the closing line; returns the exit code."""
    print(f"{self.compared} compared, {self.failed} failed")
    return 0 if self.compared and not self.failed else 1


def perturbed(params: dict, name: str | None) -> dict:
  """{name: array} with parameter `name` multiplied by 1.01; None changes none.

  Raises:
    ValueError: no such parameter; says which is nearest.
  """
  if name is None:
    return params
  if name not in params:
    near = difflib.get_close_matches(name, params, n=1)
    hint = f"; nearest: {near[0]}" if near else ""
    raise ValueError(f"--perturb {name}: no such parameter{hint}")
  return {**params, name: params[name] * 1.01}
