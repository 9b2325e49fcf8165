"""docs/pods.md: its costs are those of the roofline, its verbs exist."""

import pathlib
import re
import subprocess

import pytest

from hispatial_jax.core import chips
from hispatial_jax.models import flops, sizes

_ROOT = pathlib.Path(__file__).parent.parent
_PAGE = (_ROOT / "docs" / "pods.md").read_text()
_TRAINED = frozenset({"img/head", "pointmap/embedding", "pointmap/head", "llm"})
_STEPS, _BATCH, _HARDWARE, _MFU = 70_000, 256, 1.23, 0.5


def _model_flops(length):
  parts = flops.of_sample(sizes.config("3b_448"), length, trained=_TRAINED)
  return sum(parts.values())


def _rows():
  for line in _PAGE.splitlines():
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    if re.match(r"v\d\w:\d", cells[0]):
      yield cells


@pytest.mark.parametrize("row", list(_rows()), ids=lambda row: row[1])
def test_costs_are_those_of_the_roofline(row):
  topology, kind, count, *figures = row
  chip, there = chips.read(topology)
  cores = 2 if kind.startswith("v5p") else 1
  assert int(kind.split("-")[1]) == cores * there == cores * int(count)
  flop = _BATCH * _model_flops(384)
  speed = there * chip.flops
  step_s = [flop * _HARDWARE / speed, flop / speed / _MFU]
  hours = [_STEPS * s / 3600 for s in step_s]
  wanted = [f"{1e3 * s:.0f}" for s in step_s]
  wanted += [f"{h:.1f}" for h in hours]
  wanted += [f"{h * there:.0f}" for h in hours]
  assert figures == wanted


def test_flops_of_an_example_are_as_said():
  assert len(list(_rows())) == 4
  assert f"{_model_flops(384) / 1e12:.1f} TFLOP" in _PAGE
  share = _model_flops(128) / _model_flops(384)
  assert f"all figures are {share:.2f} of these" in _PAGE


def test_verbs_and_flags_of_the_page_exist():
  used = re.findall(r"tpu_pod\.sh ([a-z]+)", _PAGE)
  assert len(set(used)) >= 8
  for verb in set(used):
    done = subprocess.run(
      ["bash", "tools/tpu_pod.sh", verb, "--help"],
      cwd=_ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = re.findall(rf"tpu_pod\.sh {verb} pod ([^#\n]*)", _PAGE)
    for flag in re.findall(
      r" (--[a-z_]+)", " ".join(x.split(" -- ")[0] for x in lines)
    ):
      assert flag in done.stdout, f"{verb} {flag}"
