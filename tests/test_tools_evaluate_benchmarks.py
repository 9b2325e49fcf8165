"""tools/evaluate.py on the miniature benchmarks: figures, and bad input."""

import importlib.util
import json
import pathlib

import evaluation_fakes as fakes
import pytest

from hispatial_jax.benchmarks import registry

_ROOT = pathlib.Path(__file__).parent.parent
_CVBENCH = fakes.GOLDEN / "cvbench"


def _tool():
  path = _ROOT / "tools" / "evaluate.py"
  spec = importlib.util.spec_from_file_location("evaluate", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def _run(*argv):
  return _tool().main([str(x) for x in argv])


def _argv(name, out, data=None, model=None):
  data = data or fakes.GOLDEN / name
  model = model or f"predictions:{fakes.GOLDEN / name / 'predictions.json'}"
  return ["--benchmark", name, "--data", data, "--model", model, "--out", out]


def _near(got, wanted, where):
  """Every expected figure is there; more may be."""
  if isinstance(wanted, dict):
    assert isinstance(got, dict), where
    for key, value in wanted.items():
      _near(got[key], value, f"{where}/{key}")
  elif isinstance(wanted, float) and got is not None:
    assert abs(got - wanted) <= 1e-9, where
  else:
    assert got == wanted, where


@pytest.mark.parametrize("name", registry.names())
def test_predictions_give_the_expected_figures(name, tmp_path, capsys):
  assert _run(*_argv(name, tmp_path)) == 0
  expected = json.loads((fakes.GOLDEN / name / "expected.json").read_text())
  metrics = json.loads((tmp_path / "metrics.json").read_text())
  _near(metrics["aggregate"], expected["aggregate"], name)
  rows = [json.loads(x) for x in (tmp_path / "predictions.jsonl").open()]
  assert [r["key"] for r in rows] == [i["key"] for i in expected["items"]]
  of_example = ("category", "group", "error")
  for row, item in zip(rows, expected["items"], strict=True):
    same = {k: v for k, v in item.items() if k in row and k not in of_example}
    _near(row, same, item["key"])
  shown = capsys.readouterr().out
  assert f"{len(rows)} questions, " in shown
  assert "constant %" in shown
  assert metrics["headlines"][0]["name"] in shown


def test_several_benchmarks_in_one_command(tmp_path, capsys):
  both = tmp_path / "both.jsonl"
  rows = {**fakes.said("cvbench"), **fakes.said("embspatial")}
  both.write_text(
    "".join(
      json.dumps({"key": k, "prediction": v}) + "\n" for k, v in rows.items()
    )
  )
  argv = _argv(
    "cvbench,embspatial", tmp_path, fakes.GOLDEN, f"predictions:{both}"
  )
  assert _run(*argv) == 0
  assert "predictions are for no question asked here" in capsys.readouterr().out
  for name in ("cvbench", "embspatial"):
    metrics = json.loads((tmp_path / name / "metrics.json").read_text())
    assert metrics["counts"]["errors"] == 0
  (tmp_path / "cvbench" / "metrics.json").unlink()
  names = ["--benchmark", "cvbench,embspatial", "--data", fakes.GOLDEN]
  assert _run(*names, "--out", tmp_path, "--rescore") == 0
  assert (tmp_path / "cvbench" / "metrics.json").exists()


def test_a_missing_key_is_counted_and_a_double_one_refused(tmp_path, capsys):
  said = list(fakes.said("cvbench").items())
  rows = [{"key": k, "prediction": v} for k, v in said]
  file = tmp_path / "p.json"
  file.write_text(json.dumps(rows[1:]))
  argv = _argv("cvbench", tmp_path / "out", model=f"predictions:{file}")
  assert _run(*argv) == 0
  metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
  assert metrics["counts"]["errors"] == 1
  assert metrics["errors"][0]["key"] == said[0][0]
  assert "1 errors" in capsys.readouterr().out
  file.write_text(json.dumps([*rows, rows[3]]))
  assert _run(*argv) == 2
  assert "1 keys have more than one prediction: 3" in capsys.readouterr().err


def test_shards_and_merge(tmp_path, capsys):
  for number in (1, 2):
    out = tmp_path / str(number)
    assert _run(*_argv("cvbench", out), "--shard", f"{number}/2") == 0
    assert not (out / "metrics.json").exists()
  end = ["--benchmark", "cvbench", "--data", _CVBENCH, "--out", tmp_path / "o"]
  assert _run(*end, "--merge", tmp_path / "1") == 2
  assert "have no answer yet" in capsys.readouterr().err
  assert _run(*end, "--merge", tmp_path / "1", tmp_path / "2") == 0
  metrics = json.loads((tmp_path / "o" / "metrics.json").read_text())
  assert metrics["counts"]["questions"] == 16


def test_bad_input_is_one_line(tmp_path, capsys):
  empty = tmp_path / "empty"
  empty.mkdir()
  (tmp_path / "cut.json").write_text('[{"key": "0"')
  (tmp_path / "other.json").write_text('[{"id": "0"}]')
  good = _argv("cvbench", tmp_path / "out")
  cases = {
    "did you mean 'cvbench'": _argv("cv-bench", tmp_path, _CVBENCH, "hf:x"),
    "a name occurs twice": _argv("pope,pope", tmp_path, _CVBENCH, "hf:x"),
    "no such file or folder": _argv(
      "cvbench", tmp_path, tmp_path / "no", "hf:x"
    ),
    "found nothing": _argv("cvbench", tmp_path, empty, "hf:x"),
    "did you mean checkpoint": _argv("cvbench", tmp_path, model="chekpoint:x"),
    "expected KIND:NAME": _argv("cvbench", tmp_path, model="gpt-5"),
    "no file of predictions": _argv("cvbench", tmp_path, model="predictions:x"),
    "neither a JSON list": _argv(
      "cvbench", tmp_path, model=f"predictions:{tmp_path / 'cut.json'}"
    ),
    'expected {"key", "prediction"}': _argv(
      "cvbench", tmp_path, model=f"predictions:{tmp_path / 'other.json'}"
    ),
    "no config.json": _argv("cvbench", tmp_path, model=f"checkpoint:{empty}"),
    "prompt variant 'nope'": [*good, "--prompt", "nope"],
    "expected I/N": [*good, "--shard", "3/2"],
    "--limit 0": [*good, "--limit", "0"],
    "can't be blinded": [*good, "--blind"],
    "--data is missing": [*good[:2], *good[4:]],
    "give --model SPEC": [*good[:4], *good[6:]],
    "holds no run": [*good[:4], *good[6:], "--rescore"],
    "several benchmarks need DIR/NAME": _argv(
      "cvbench,pope", tmp_path, empty, "hf:x"
    ),
  }
  for says, argv in cases.items():
    assert _run(*argv) == 2, says
    err = capsys.readouterr().err
    assert says in err, err
    assert err.strip().count("\n") <= 1, err
  assert not (tmp_path / "out" / "metrics.json").exists()
