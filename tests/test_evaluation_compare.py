"""Runs compared: exact small cases, refusals, the tool from end to end."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest

from hispatial_jax.evaluation import compare, journal, paired

_TOOL = pathlib.Path(__file__).parent.parent / "tools" / "compare_evals.py"


def _tool():
  spec = importlib.util.spec_from_file_location("compare_evals", _TOOL)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def _rows(verdicts, **more):
  out = []
  for i, correct in enumerate(verdicts):
    out.append(
      {
        "key": f"q{i}",
        "group": f"g{i // 2}",
        "category": {"task": ["left", "wide"][i % 2], "level": 1},
        "prompt": f"question {i}?",
        "output": "yes<eos>" if correct else "<b>no</b>",
        "truth": "yes",
        "declared": "yes" if correct else "no",
        "why": "first word",
        "parsed": True,
        "error": "",
        "correct": correct,
        "official": None if i == 0 else 1,
        **more,
      }
    )
  return out


def _save(folder, rows, **settings):
  folder.mkdir(parents=True, exist_ok=True)
  lines = "".join(json.dumps(row) + "\n" for row in rows)
  (folder / "predictions.jsonl").write_text(lines)
  data = {"sha256": "abc", "questions": len(rows)}
  whole = {"benchmark": "toy", "prompt": "plain", "data": data, **settings}
  journal.write_json(folder / "run.json", journal.sealed(whole))
  return folder


def _run(name, rows):
  return compare.Run(name, {row["key"]: row for row in rows}, {})


@pytest.mark.parametrize(
  ("gained", "lost", "p"),
  [
    (0, 0, 1.0),
    (3, 3, 1.0),
    (5, 0, 2 / 32),
    (0, 10, 2 / 1024),
    (8, 2, 2 * (1 + 10 + 45) / 1024),
  ],
)
def test_mcnemar_is_the_exact_binomial(gained, lost, p):
  assert paired.mcnemar(gained, lost) == pytest.approx(p, abs=1e-15)


def test_mcnemar_of_thousands():
  # Normal approximation with continuity correction: z = 199 / sqrt(10000).
  assert paired.mcnemar(5100, 4900) == pytest.approx(0.0466, abs=5e-4)
  assert paired.mcnemar(5000, 1) < 1e-300


def test_small_case():
  a, b = _rows([1, 1, 0, 0, 1, 0]), _rows([1, 0, 1, 1, 1, 0])
  found = compare.compare([_run("a", a), _run("b", b)])
  lines = {(x["cut"], x["name"]): x for x in found["pairs"][0]["lines"]}
  everything = lines["all", "all"]
  assert (everything["n"], everything["a"], everything["b"]) == (6, 0.5, 4 / 6)
  assert everything["difference"] == pytest.approx(1 / 6)
  assert (everything["gained"], everything["lost"]) == (2, 1)
  assert everything["p"] == 1.0
  assert everything["interval"] is None  # three groups
  whole = lines["all", "groups right as a whole"]
  assert (whole["n"], whole["gained"], whole["lost"]) == (3, 1, 1)
  wide = lines["task", "wide"]
  assert (wide["n"], wide["a"], wide["b"]) == (3, 1 / 3, 1 / 3)
  assert ("level", "1") not in lines  # one value is no cut
  flips = found["pairs"][0]["flips"]
  assert [(f["key"], f["flip"]) for f in flips] == [
    ("q2", "gained"), ("q3", "gained"), ("q1", "lost")]  # fmt: skip
  assert flips[0]["a"]["output"] == "<b>no</b>"
  json.dumps(found, allow_nan=False)


def test_bootstrap_draws_groups_not_questions():
  rng = np.random.default_rng(0)
  values = np.repeat(rng.choice([-1.0, 0.0, 1.0], 40), 5)
  together = [f"{i // 5}" for i in range(200)]
  alone = [f"{i}" for i in range(200)]
  low, high = paired.bootstrap(values, together)
  narrow = paired.bootstrap(values, alone)
  assert low < values.mean() < high
  # Five copies of each: the standard error is sqrt(5) times as large.
  assert (high - low) / (narrow[1] - narrow[0]) == pytest.approx(
    5**0.5, rel=0.1
  )
  half = 1.96 * values.std() / 40**0.5
  assert high - low == pytest.approx(2 * half, rel=0.1)
  assert paired.bootstrap(values, together) == [low, high]
  assert paired.bootstrap(values[:35], together[:35]) is None


def test_errors_stay_wrong_and_are_set_apart():
  a, b = _rows([1, 1, 1, 0]), _rows([1, 1, 0, 1])
  b[2]["error"] = "timed out"
  found = compare.compare([_run("a", a), _run("b", b)])
  lines = {x["name"]: x for x in found["pairs"][0]["lines"]}
  assert (lines["all"]["n"], lines["all"]["lost"]) == (4, 1)
  assert (
    lines["answered by both"]["n"],
    lines["answered by both"]["lost"],
  ) == (
    3,
    0,
  )
  assert [r["errors"] for r in found["runs"]] == [0, 1]


def test_other_rules_leave_out_what_they_do_not_judge():
  runs = [_run("a", _rows([1, 1, 0])), _run("b", _rows([0, 0, 0]))]
  found = compare.compare(runs, rule="official")
  assert found["pairs"][0]["lines"][0]["n"] == 2
  with pytest.raises(ValueError, match=r"rules there: .*correct"):
    compare.compare(runs, rule="offical")


def test_several_runs_are_compared_with_the_first():
  runs = [_run(n, _rows(v)) for n, v in
          (("a", [0, 0]), ("b", [1, 0]), ("c", [1, 1]))]  # fmt: skip
  pairs = compare.compare(runs)["pairs"]
  assert [(p["a"], p["b"], p["lines"][0]["gained"]) for p in pairs] == [
    ("a", "b", 1), ("a", "c", 2)]  # fmt: skip
  with pytest.raises(ValueError, match="two runs or more"):
    compare.compare(runs[:1])


def test_different_questions_are_refused(tmp_path):
  a = compare.read(_save(tmp_path / "a", _rows([1, 1, 0])), "a")
  rows = _rows([1, 0, 1, 1])[1:]
  rows[0]["prompt"] = "another?"
  rows[1]["truth"] = "no"
  b = compare.read(_save(tmp_path / "b", rows, prompt="terse"), "b")
  with pytest.raises(ValueError, match="--force") as error:
    compare.compare([a, b])
  for part in (
    "prompt was 'plain', is 'terse'",
    "1 questions only in a: q0",
    "1 questions only in b: q3",
    "1 questions have other prompts: q1",
    "1 questions have other truths: q2",
  ):
    assert part in str(error.value)
  found = compare.compare([a, b], force=True)
  assert found["pairs"][0]["lines"][0]["n"] == 2
  assert len(found["pairs"][0]["warnings"]) == 5
  with pytest.raises(ValueError, match="nothing in common"):
    compare.compare([a, b._replace(rows={})], force=True)


def test_files_that_are_no_rows(tmp_path):
  with pytest.raises(FileNotFoundError, match=r"run tools/evaluate\.py"):
    compare.read(tmp_path)
  _save(tmp_path / "toy", _rows([1]))
  with pytest.raises(FileNotFoundError, match=r"did you mean .*/toy\?"):
    compare.read(tmp_path)
  for text, why in (
    ('{"key": "a", "correct": 1}\n' * 2, "'a' comes twice"),
    ('{"id": 3}\n', "line 1: not a row"),
    ('{"key": "a", "corr', "line 1: not a row"),
  ):
    (tmp_path / "predictions.jsonl").write_text(text)
    with pytest.raises(ValueError, match=why):
      compare.read(tmp_path)


def test_the_tool(tmp_path, capsys):
  rng = np.random.default_rng(1)
  first = [int(x) for x in rng.integers(0, 2, 60)]
  second = [
    int(x or y) for x, y in zip(first, rng.integers(0, 2, 60), strict=True)
  ]
  a = _save(tmp_path / "a", _rows(first), model={"name": "one"})
  b = _save(tmp_path / "b", _rows(second), model={"name": "two"})
  argv = [str(a), str(b), "--names", "one", "two", "--out", str(tmp_path / "o")]
  assert _tool().main(argv) == 0
  printed = capsys.readouterr().out
  assert "a = one\nb = two" in printed
  assert "lost: 0" in printed
  found = json.loads((tmp_path / "o/compare.json").read_text())
  line = found["pairs"][0]["lines"][0]
  assert line["interval"][0] > 0
  assert line["p"] < 0.01
  page = (tmp_path / "o/compare.html").read_text()
  assert "two against one" in page
  assert "&lt;b&gt;no&lt;/b&gt;" in page
  assert "<b>no</b>" not in page
  assert "http" not in page.replace("http-equiv", "")
  _save(tmp_path / "c", _rows(second[:-1]))
  assert _tool().main([str(a), str(tmp_path / "c")]) == 2
  assert "only in" in capsys.readouterr().err
