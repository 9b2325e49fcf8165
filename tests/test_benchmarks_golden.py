"""Every expected score of the miniature benchmarks, through the real files.

Source of the expected values: the scoring functions of the projects that each
field names, run on these answers; see tests/golden/benchmarks/README.md.
"""

import ast
import json
import pathlib

import cv2
import numpy as np
import pytest

from hispatial_jax.benchmarks import (
  answers,
  base,
  boxes,
  cvbench,
  depths,
  intervals,
  lmms_eval,
  qspatial,
  registry,
  robospatial,
  threedsr,
  vlmevalkit,
)

_GOLDEN = pathlib.Path(__file__).parent / "golden" / "benchmarks"
_NAMES = sorted(registry.names())
# Expected fields that are no verdict: where the example has them.
_OF_EXAMPLE = {
  "key": lambda e: e.key,
  "group": lambda e: e.group,
  "prompt": base.prompt,
  "prompt_vlmevalkit": lambda e: base.prompt(e, "vlmevalkit"),
  "text_sent_to_tokenizer": lambda e: base.sent(base.prompt(e)),
  "split": lambda e: e.category["split"],
  "task": lambda e: e.category["task"],
  "source": lambda e: e.category["source"],
  "data_source": lambda e: e.category["source"],
  "relation": lambda e: e.category["relation"],
  "type": lambda e: e.category["type"],
  "kind": lambda e: e.category["kind"],
  "level": lambda e: e.category["level"],
  "category": lambda e: e.category["category"],
  "l2_category": lambda e: e.category["l2_category"],
  "question_type": lambda e: e.category["question_type"],
  "flip": lambda e: e.data["flip"],
  "gt_value": lambda e: e.truth,
  "gt_m": lambda e: e.truth,
  "gt_text": lambda e: e.data["sentence"],
  "load_error": lambda e: bool(e.error),
}


def _read(name, what):
  return json.loads((_GOLDEN / name / f"{what}.json").read_text())


@pytest.fixture(scope="module", params=_NAMES)
def run(request):
  """(benchmark, examples, scores, expected) of one miniature."""
  bench = registry.get(request.param)
  examples = bench.load(_GOLDEN / request.param)
  said = {
    p["key"]: p["prediction"] for p in _read(request.param, "predictions")
  }
  assert {example.key for example in examples} == set(said)
  scores = [bench.score(example, said[example.key]) for example in examples]
  return bench, examples, scores, _read(request.param, "expected")


def _same(got, wanted, where):
  """Everything wanted is there and equal; more may be."""
  if isinstance(wanted, dict):
    assert isinstance(got, dict), where
    for name, value in wanted.items():
      assert name in got, f"{where}/{name} is missing"
      _same(got[name], value, f"{where}/{name}")
  elif isinstance(wanted, list) and isinstance(got, list | tuple):
    assert len(got) == len(wanted), where
    for i, (one, other) in enumerate(zip(got, wanted, strict=True)):
      _same(one, other, f"{where}/{i}")
  elif isinstance(wanted, float):
    assert got == pytest.approx(wanted, rel=0, abs=1e-9), where
  else:
    assert got == wanted, where


def test_every_item_under_every_rule(run):
  bench, examples, scores, expected = run
  found = dict(
    (e.key, (e, score)) for e, score in zip(examples, scores, strict=True)
  )
  assert len(found) == len(expected["items"])
  for item in expected["items"]:
    example, score = found[item["key"]]
    for name, wanted in item.items():
      where = f"{bench.NAME}/{item['key']}/{name}"
      if name == "gt":
        got = json.dumps(example.truth).lower()
        if isinstance(example.truth, list):
          got, wanted = (
            example.truth,
            [list(p) for p in ast.literal_eval(wanted)],
          )
        else:
          got, wanted = str(example.truth).lower(), wanted.lower()
      elif name == "in_reference":
        got = score["reference"] is not None
      elif name in _OF_EXAMPLE:
        got = _OF_EXAMPLE[name](example)
        wanted = str(wanted) if name == "group" else wanted
      else:
        assert name in score, where
        got = score[name]
      _same(got, wanted, where)


def test_every_aggregate(run):
  bench, examples, scores, expected = run
  got = bench.aggregate(examples, scores)
  json.dumps(got, allow_nan=False)
  _same(got, expected["aggregate"], bench.NAME)


def test_scores_are_json_and_have_what_all_rely_on(run):
  bench, _, scores, _ = run
  json.dumps(scores, allow_nan=False)
  for score in scores:
    assert set(score) >= {"declared", "why", "parsed", "error", "correct"}
    assert score["correct"] in (0, 1)
    assert score["parsed"] == (score["declared"] is not None)
    assert all(
      score[rule] in (0, 1, None) for rule in bench.RULES if rule in score
    )


def test_headlines_have_intervals_and_published_figures_a_place(run):
  bench, examples, scores, _ = run
  lines = [intervals.line(h) for h in bench.headlines(examples, scores)]
  json.dumps(lines, allow_nan=False)
  assert lines
  for line in lines:
    assert 0 <= line["value"] <= 1
    if line["interval"]:
      low, high = line["interval"]
      assert low - 1e-12 <= line["value"] <= high + 1e-12
  assert {p.figure for p in bench.PUBLISHED} <= {line["name"] for line in lines}
  assert all(0 < p.percent <= 100 and p.source for p in bench.PUBLISHED)


@pytest.mark.parametrize(
  ("name", "figure", "rule", "path"),
  [
    ("cvbench", "overall", "robust", "robust/overall"),
    ("cvbench", "3D", "reference", "reference/cv_bench_3d/accuracy"),
    ("qspatial", "macro", "robust_strict", "robust_strict_lt_2/macro"),
    ("robospatial", "total, macro", "robust", "robust/total_macro"),
    ("spatialrgpt", "lengths, micro", "success", "robust/length_micro"),
    ("spatialrgpt", "lengths, macro", "success", "robust/length_macro"),
    ("3dsrbench", "flip + circular", "robust", "robust/flip_circ_eval/overall"),
    ("mmbench", "circular", "robust", "robust/circular"),
    ("mmbench", "vanilla, first pass", "robust", "robust/vanilla_first_pass"),
    ("pope", "F1", "robust", "robust/overall/f1"),
    ("pope", "accuracy", "vlmevalkit", "vlmevalkit/overall/acc"),
  ],
)
def test_a_headline_is_the_aggregate(name, figure, rule, path):
  bench = registry.get(name)
  examples = bench.load(_GOLDEN / name)
  said = {p["key"]: p["prediction"] for p in _read(name, "predictions")}
  scores = [bench.score(example, said[example.key]) for example in examples]
  line = next(
    intervals.line(h)
    for h in bench.headlines(examples, scores)
    if (h.name, h.rule) == (figure, rule)
  )
  wanted = _read(name, "expected")["aggregate"]
  for part in path.split("/"):
    wanted = wanted[part]
  assert line["value"] == pytest.approx(wanted, abs=1e-9)


def test_pictures_are_read_where_they_lie(run):
  _, examples, _, _ = run
  for example in examples:
    if "depth" in example.error:
      assert example.depth is None  # its picture is there all the same
    elif example.error:
      with pytest.raises(base.ReadError, match=example.key):
        example.image()
    else:
      data = np.frombuffer(example.image(), np.uint8)
      assert cv2.imdecode(data, cv2.IMREAD_COLOR) is not None, example.key


def test_3dsr_groups():
  bench = registry.get("3dsrbench")
  examples = bench.load(_GOLDEN / "3dsrbench")
  said = {p["key"]: p["prediction"] for p in _read("3dsrbench", "predictions")}
  scores = [bench.score(example, said[example.key]) for example in examples]
  for group, wanted in _read("3dsrbench", "expected")["groups"].items():
    for rule, name in (
      ("reference_truncate", "truncate"),
      ("reference_regex", "regex"),
      ("vlmevalkit", "vlmevalkit"),
      ("robust", "robust"),
    ):
      held = bench.held(examples, scores, "flip_circ_eval", rule)
      assert held[group] == wanted[name], (group, rule)


def test_boxes_are_painted_as_the_reference_does():
  examples = registry.get("spatialrgpt").load(_GOLDEN / "spatialrgpt")
  rendered = sorted((_GOLDEN / "spatialrgpt" / "rendered").glob("*.png"))
  assert rendered
  found = {example.key: example for example in examples}
  for path in rendered:
    example = found[path.stem]
    data = np.frombuffer(example.image(), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    wanted = cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]
    got = boxes.draw(picture, example.boxes)
    painted = (got != picture).any(-1)
    assert painted.any()
    assert (got[painted] == wanted[painted]).all()
    # Another JPEG decoder made the rest.
    off = np.abs(got.astype(int) - wanted.astype(int))[~painted]
    assert off.max() <= 2


def _frames():
  """frame -> (points, known) of the ScanNet frames that have all parts."""
  out = {}
  for example in registry.get("qspatial").load(_GOLDEN / "qspatial"):
    if example.depth is not None:
      scene, _, file = example.group.split("/")[-3:]
      out[f"{scene}/{file.removesuffix('.jpg')}"] = depths.points(
        example.depth()
      )
  return out


def test_scannet_depth_is_the_reference_s_points():
  with np.load(_GOLDEN / "qspatial" / "expected_xyz.npz") as whole:
    points, known = _frames()[str(whole["key"])]
    np.testing.assert_allclose(points, whole["points"], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(known, whole["mask"])


def test_scannet_depth_is_the_reference_s_input():
  frames, wanted = _frames(), _read("qspatial", "expected_xyz")
  assert set(frames) == set(wanted)
  for name, samples in wanted.items():
    points, known = frames[name]
    assert list(known.shape) == samples["depth_hw"]
    assert int(known.sum()) == samples["valid_pixels"]
    for sample in samples["samples"]:
      # OpenCV's nearest: floor(i * size / 448).
      row = sample["row"] * known.shape[0] // 448
      column = sample["col"] * known.shape[1] // 448
      xyz = [sample["x"], sample["y"], sample["z"]]
      np.testing.assert_allclose(points[row, column], xyz, rtol=1e-5, atol=1e-7)
      assert known[row, column] == sample["mask"]


def test_robospatial_depth_is_in_metres():
  for example in registry.get("robospatial").load(_GOLDEN / "robospatial"):
    depth = example.depth()
    assert depth.intrinsics is None
    assert depth.depth_m.dtype == np.float32
    assert 0 < depth.depth_m.max() < 100


_RIVALS = json.loads((_GOLDEN / "rivals.json").read_text())
_DOGS = answers.letters(["a cat", "a dog", "left", "1"])


@pytest.mark.parametrize(
  "rival", [name for name in _RIVALS[0] if name != "text"]
)
def test_rival_rules_answer_as_the_rivals_do(rival):
  ours = {
    "vlmevalkit_option": lambda text: vlmevalkit.option(text, _DOGS),
    "vlmevalkit_yes_no": vlmevalkit.yes_no,
    "vlmevalkit_spatial_option": vlmevalkit.spatial_option,
    "lmms_eval_best_letter": lmms_eval.best_letter,
    "lmms_eval_first_letter": lmms_eval.first_letter,
    "lmms_eval_3dsr": lmms_eval.letter_3dsr,
    "lmms_eval_last_line": lambda text: [
      lmms_eval.yes_no_last_line(text, word) for word in ("yes", "no")
    ],
    "robospatial_point": robospatial.official_point,
    "cambrian": lambda text: [
      cvbench.first_character(text, ends) for ends in (".", ".:,")
    ],
    "hispatial_3dsr_regex": lambda text: threedsr.regex_letter(text, _DOGS),
    "q_spatial_notebook_m": qspatial.notebook_m,
  }[rival]
  for case in _RIVALS:
    got, wanted = ours(case["text"]), case[rival]
    if isinstance(got, tuple):
      got = list(got)
    if isinstance(wanted, float):
      assert got == pytest.approx(wanted), case["text"]
    else:
      assert got == wanted, case["text"]
