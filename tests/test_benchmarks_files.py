"""Benchmarks from folders, tars and the hub's cache, and all that can be wrong.

What can't be read is a clear error or a flagged example that stays in the
denominator; it is never dropped in silence.
"""

import base64
import csv
import json
import pathlib
import pickle
import shutil
import tarfile

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hispatial_jax.benchmarks import (
  base,
  custom_files,
  files,
  pictures,
  registry,
)

_GOLDEN = pathlib.Path(__file__).parent / "golden" / "benchmarks"


@pytest.fixture
def copy(tmp_path):
  """Copies a miniature, to break it."""

  def make(name):
    return pathlib.Path(shutil.copytree(_GOLDEN / name, tmp_path / name))

  return make


def _keys(name, path):
  return [example.key for example in registry.get(name).load(path)]


def _rewrite(path, change):
  """Rewrites a parquet file's columns."""
  pq.write_table(change(pq.read_table(path)), path)


def _tsv(path, change):
  """Rewrites a TSV's rows, header included."""
  csv.field_size_limit(1 << 30)
  with path.open(newline="") as file:
    rows = list(csv.reader(file, delimiter="\t"))
  with path.open("w", newline="") as file:
    csv.writer(file, delimiter="\t").writerows(change(rows))


@pytest.mark.parametrize("name", sorted(registry.names()))
def test_a_tar_is_as_good_as_its_folder(name, tmp_path):
  tar = tmp_path / "data.tar"
  with tarfile.open(tar, "w") as out:
    out.add(_GOLDEN / name, arcname=".")
  bench = registry.get(name)
  there, packed = bench.load(_GOLDEN / name), bench.load(tar)
  assert [e.key for e in there] == [e.key for e in packed]
  assert [e.error.split(" below ")[0] for e in there] == [
    e.error.split(" below ")[0] for e in packed
  ]
  for one, other in zip(there, packed, strict=True):
    assert one.prompts == other.prompts
    if not one.error:
      assert one.image() == other.image()
    if one.depth:
      np.testing.assert_array_equal(one.depth().depth_m, other.depth().depth_m)


def test_the_hub_s_cache_and_single_files(tmp_path):
  at = tmp_path / "datasets--x--y"
  shutil.copytree(_GOLDEN / "cvbench", at / "snapshots" / "abc")
  keys = _keys("cvbench", _GOLDEN / "cvbench")
  assert _keys("cvbench", at) == keys
  (at / "snapshots" / "def").mkdir()
  with pytest.raises(base.DataError, match="2 snapshots"):
    files.at(at)
  (at / "refs").mkdir()
  (at / "refs" / "main").write_text("abc\n")
  assert _keys("cvbench", at) == keys
  tsv = _GOLDEN / "pope" / "POPE.tsv"
  assert _keys("pope", tsv) == _keys("pope", _GOLDEN / "pope")


def test_examples_travel_to_other_processes():
  for name in registry.names():
    for example in registry.get(name).load(_GOLDEN / name):
      other = pickle.loads(pickle.dumps(example))
      assert other.key == example.key
      if not example.error:
        assert other.image() == example.image()


def test_splits_are_chosen_by_name():
  bench = registry.get("cvbench")
  examples = bench.load(_GOLDEN / "cvbench", splits=["3D"])
  assert {example.category["split"] for example in examples} == {"3D"}
  scores = [bench.score(example, "A") for example in examples]
  figures = bench.aggregate(examples, scores)["robust"]
  assert figures["3D"] is not None
  assert figures["2D"] is figures["overall"] is None
  with pytest.raises(ValueError, match="no split 4D"):
    bench.load(_GOLDEN / "cvbench", splits=["4D"])


@pytest.mark.parametrize("name", sorted(registry.names()))
def test_nothing_there(name, tmp_path):
  with pytest.raises(base.DataError, match="expected"):
    registry.get(name).load(tmp_path)
  with pytest.raises(base.DataError, match="no such"):
    registry.get(name).load(tmp_path / "nowhere")


@pytest.mark.parametrize(
  ("name", "file"),
  [
    ("cvbench", "test_3d.parquet"),
    ("qspatial", "data/QSpatial_plus-00000-of-00001.parquet"),
    ("robospatial", "data/context-00000-of-00001.parquet"),
    ("spatialrgpt", "data/val-00000-of-00001.parquet"),
    ("realworldqa", "data/test-00000-of-00001.parquet"),
  ],
)
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_truncated_parquet(name, file, keep, copy):
  folder = copy(name)
  data = (folder / file).read_bytes()
  (folder / file).write_bytes(data[: int(keep * len(data))])
  with pytest.raises(base.DataError, match="cut short") as error:
    registry.get(name).load(folder)
  assert file in str(error.value)


def test_columns_are_taken_by_name(copy):
  folder = copy("cvbench")
  path = folder / "test_2d.parquet"

  def change(table):
    extra = table.append_column("surprise", pa.array(range(len(table))))
    extra = extra.drop_columns(["bbox", "target_size"])
    return extra.select(sorted(extra.column_names, reverse=True))

  _rewrite(path, change)
  assert _keys("cvbench", folder) == _keys("cvbench", _GOLDEN / "cvbench")
  _rewrite(path, lambda t: t.rename_columns({"prompt": "promt"}))
  with pytest.raises(base.DataError, match=r"no column prompt.*promt"):
    registry.get("cvbench").load(folder)


def test_tsv_columns_are_taken_by_name(copy):
  folder = copy("3dsrbench")
  path = next(folder.glob("*.tsv"))
  _tsv(path, lambda rows: [[*row[::-1], "more"] for row in rows])
  bench = registry.get("3dsrbench")
  there = bench.load(_GOLDEN / "3dsrbench")
  turned = bench.load(folder)
  assert [e.prompts for e in there] == [e.prompts for e in turned]
  assert all(
    a.image() == b.image()
    for a, b in zip(there, turned, strict=True)
    if not a.error
  )
  _tsv(
    path,
    lambda rows: [[c.replace("answer", "gold") for c in rows[0]], *rows[1:]],
  )
  with pytest.raises(base.DataError, match="no column answer"):
    bench.load(folder)


def test_a_tsv_cut_short(copy):
  folder = copy("pope")
  path = folder / "POPE.tsv"
  path.write_bytes(path.read_bytes()[:-300])
  with pytest.raises(base.DataError, match="cut short"):
    registry.get("pope").load(folder)


def test_a_tsv_of_quoted_lines_and_a_mark_in_front(copy):
  folder = copy("seedbench")
  path = folder / "SEEDBench_IMG.tsv"

  def change(rows):
    at = rows[0].index("question")
    for row in rows[1:]:
      row[at] += '\nLook "closely"\tfirst.'
    return rows

  _tsv(path, change)
  path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
  there = registry.get("seedbench").load(_GOLDEN / "seedbench")
  quoted = registry.get("seedbench").load(folder)
  for one, other in zip(there, quoted, strict=True):
    assert other.question == one.question + '\nLook "closely"\tfirst.'
    assert other.image() == one.image()


@pytest.mark.parametrize(
  ("name", "pattern"), [("pope", "*.tsv"), ("3dsrbench", "*.tsv")]
)
def test_duplicate_keys_are_listed(name, pattern, copy):
  folder = copy(name)
  _tsv(next(folder.glob(pattern)), lambda rows: [*rows, rows[1], rows[2]])
  with pytest.raises(base.DataError, match="2 keys occur more than once") as e:
    registry.get(name).load(folder)
  assert _keys(name, _GOLDEN / name)[0] in str(e.value)


def test_embspatial_falls_back_to_row_numbers(copy):
  folder = copy("embspatial")
  path = folder / "embspatial_bench.json"
  items = json.loads(path.read_text())
  items[3]["question_id"] = items[0]["question_id"]
  path.write_text(json.dumps(items))
  assert _keys("embspatial", folder) == [str(i) for i in range(len(items))]
  items[2]["answer"] = 9
  path.write_text(json.dumps(items))
  with pytest.raises(base.DataError, match="answer 9 is no index"):
    registry.get("embspatial").load(folder)
  path.write_text(path.read_text()[:-9])
  with pytest.raises(base.DataError, match="not JSON"):
    registry.get("embspatial").load(folder)
  del items[1]["relation"]
  path.write_text(json.dumps(items))
  with pytest.raises(base.DataError, match="item 1 has no relation"):
    registry.get("embspatial").load(folder)


def _without_pictures(table, column):
  """The first picture null, the second cut short, the third a path alone."""
  cells = table.column(column).to_pylist()
  cells[0] = None
  cells[1] = {"bytes": cells[1]["bytes"][:-40], "path": None}
  cells[2] = {"bytes": None, "path": "gone.png"}
  at = table.schema.get_field_index(column)
  kind = table.schema.field(column).type
  return table.set_column(at, column, pa.array(cells, kind))


@pytest.mark.parametrize(
  ("name", "file", "column"),
  [
    ("cvbench", "test_2d.parquet", "image"),
    ("robospatial", "data/compatibility-00000-of-00001.parquet", "img"),
    ("spatialrgpt", "data/val-00000-of-00001.parquet", "image"),
    ("qspatial", "data/QSpatial_plus-00000-of-00001.parquet", "image"),
    ("realworldqa", "data/test-00000-of-00001.parquet", "image"),
  ],
)
def test_missing_pictures_are_flagged_and_count_zero(name, file, column, copy):
  folder = copy(name)
  _rewrite(folder / file, lambda table: _without_pictures(table, column))
  bench = registry.get(name)
  good = bench.load(_GOLDEN / name)
  bad = bench.load(folder)
  assert [e.key for e in good] == [e.key for e in bad]
  new = [b for g, b in zip(good, bad, strict=True) if b.error and not g.error]
  assert len(new) == 3
  assert "cut short" in new[1].error
  for example in new:
    with pytest.raises(base.ReadError, match=example.key):
      example.image()
    assert bench.score(example, str(example.truth))["correct"] == 0
  scores = [bench.score(example, "<eos>") for example in bad]
  json.dumps(bench.aggregate(bad, scores), allow_nan=False)


def test_a_picture_beside_its_parquet_is_found(copy):
  folder = copy("realworldqa")
  path = next(folder.glob("data/*.parquet"))
  first = pq.read_table(path).column("image")[0].as_py()["bytes"]
  (folder / "gone.png").write_bytes(first)
  _rewrite(path, lambda table: _without_pictures(table, "image"))
  examples = registry.get("realworldqa").load(folder)
  assert not examples[2].error
  assert examples[2].image() == first


def test_base64_that_is_none_and_a_row_that_refers_to_nothing(copy):
  folder = copy("mmbench")
  path = folder / "MMBench_DEV_EN.tsv"

  def change(rows):
    at = rows[0].index("image")
    rows[1][at] = "@" * 90
    rows[-2][at] = "999"
    return rows

  _tsv(path, change)
  good = registry.get("mmbench").load(_GOLDEN / "mmbench")
  found = registry.get("mmbench").load(folder)
  first = found[0].group
  broken = {e.key for e in found if e.error}
  # A broken picture breaks all rotations that refer to it.
  assert {e.key for e in good if e.group == first} <= broken
  assert "that of row 999" in found[-2].error
  assert not any(e.error for e in good)


def test_null_text_is_an_error_with_its_row(copy):
  folder = copy("realworldqa")
  path = next(folder.glob("data/*.parquet"))

  def change(table):
    texts = table.column("question").to_pylist()
    texts[4] = None
    at = table.schema.get_field_index("question")
    return table.set_column(at, "question", pa.array(texts, pa.string()))

  _rewrite(path, change)
  with pytest.raises(base.DataError, match="row 4 of group 0 has no question"):
    registry.get("realworldqa").load(folder)


@pytest.mark.parametrize("part", ["color", "depth", "intrinsics_depth.npy"])
def test_a_frame_with_a_part_missing(part, copy):
  folder = copy("qspatial")
  scene = folder / "scannet_images" / "scene0015_00"
  if (scene / part).is_dir():
    shutil.rmtree(scene / part)
  else:
    (scene / part).unlink()
  examples = registry.get("qspatial").load(folder)
  lost = [e for e in examples if "scene0015_00" in e.group]
  assert len(lost) == 3
  assert all(part in e.error for e in lost)


def test_depth_that_is_no_depth(copy):
  folder = copy("qspatial")
  path = folder / "scannet_images" / "scene0015_00" / "depth" / "0.png"
  cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
  example = next(
    e
    for e in registry.get("qspatial").load(folder)
    if "scene0015_00" in e.group
  )
  with pytest.raises(base.ReadError, match=f"{example.key}: expected a 16-bit"):
    example.depth()


def test_custom_lines_that_are_wrong(tmp_path):
  bench = registry.get("hispatial_custom")
  good = {
    "id": "a",
    "task": "object_direction",
    "level": 2,
    "image": "x.png",
    "question": "?",
    "answer": {"vector": [0, 0, 1]},
  }

  def load(*items):
    lines = [i if isinstance(i, str) else json.dumps(i) for i in items]
    (tmp_path / "custom_bench.jsonl").write_text("\n".join(lines))
    return bench.load(tmp_path)

  example = load(good, "")[0]
  assert "no file 'x.png'" in example.error
  for change, match in (
    ({"task": "jump"}, "task 'jump' is none of"),
    ({"answer": {"vector": [0, 0, 0]}}, "neither a positive value"),
    ({"answer": {"value": -1, "unit": "meter"}}, "neither a positive value"),
    ({"answer": {"value": 1, "unit": "parsec"}}, "no unit 'parsec'"),
    ({"answer": "yes"}, "neither a positive value"),
  ):
    with pytest.raises(base.DataError, match=match):
      load({**good, **change})
  with pytest.raises(base.DataError, match="line 2"):
    load(good, '{"id": "b"')
  with pytest.raises(base.DataError, match="no 'image'"):
    load({k: v for k, v in good.items() if k != "image"})
  with pytest.raises(base.DataError, match="no question"):
    load("")


def test_custom_questions_are_written_and_read(tmp_path):
  bench = registry.get("hispatial_custom")
  png = cv2.imencode(".png", np.zeros((3, 4, 3), np.uint8))[1].tobytes()
  answers = [
    {"value": 2, "unit": "ft"},
    {"vector": [0, 3, 4]},
    {"answer": "no"},
  ]
  items = [
    {"task": task, "question": "?", "answer": answer, "image": png}
    for task, answer in zip(bench.TASKS, answers, strict=True)
  ]
  custom_files.save(tmp_path / "new", items)
  examples = bench.load(tmp_path / "new")
  assert [e.truth for e in examples] == [pytest.approx(0.6096), [0, 3, 4], "no"]
  assert [e.category["level"] for e in examples] == [1, 2, 3]
  assert all(example.image() == png for example in examples)
  with pytest.raises(FileExistsError):
    custom_files.save(tmp_path / "new", items)
  with pytest.raises(base.ReadError, match="cut short"):
    custom_files.save(tmp_path / "b", [{**items[0], "image": png[:-20]}])


def test_several_releases_in_one_folder(copy):
  folder = copy("pope")
  (folder / "POPE.tsv").rename(folder / "a.tsv")
  shutil.copy(folder / "a.tsv", folder / "b.tsv")
  with pytest.raises(base.DataError, match="several files fit"):
    registry.get("pope").load(folder)
  assert _keys("pope", folder / "b.tsv") == _keys("pope", _GOLDEN / "pope")


def test_a_picture_behind_a_link_is_mirrored(tmp_path, copy):
  picture = np.zeros((4, 6, 3), np.uint8)
  picture[:, :2] = 255
  cv2.imwrite(str(tmp_path / "p.png"), picture)
  url = (tmp_path / "p.png").as_uri()
  flat = pictures.Url(url, "k")()
  turned = pictures.Url(url, "k", mirror=True)()
  read = [
    cv2.imdecode(np.frombuffer(d, np.uint8), cv2.IMREAD_COLOR)
    for d in (flat, turned)
  ]
  np.testing.assert_array_equal(read[0], picture)
  np.testing.assert_array_equal(read[1], picture[:, ::-1])
  with pytest.raises(base.ReadError, match="k: "):
    pictures.Url(url + "x", "k")()
  folder = copy("3dsrbench")

  def change(rows):
    cells = {name: i for i, name in enumerate(rows[0])}
    for row in rows[1:]:
      row[cells["image"]] = ""
      row[cells["image_url"]] = "http://localhost:9/x.jpg"
    return rows

  _tsv(next(folder.glob("*.tsv")), change)
  examples = registry.get("3dsrbench").load(folder)
  assert not any(example.error for example in examples)
  assert all(e.image.mirror == e.data["flip"] for e in examples)


def test_problem_knows_pictures_from_what_is_none():
  noise = np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8)
  for kind in (".png", ".jpg", ".webp", ".bmp"):
    data = cv2.imencode(kind, noise)[1].tobytes()
    assert pictures.problem(data) == ""
    if kind != ".bmp":
      assert "cut short" in pictures.problem(data[: len(data) - 30])
  assert pictures.problem(b"") == pictures.problem(None) == "no picture"
  assert "not a picture" in pictures.problem(b"hello, world")
  head = "data:image/png;base64,"
  assert pictures.decode(head + base64.b64encode(b"abc").decode()) == b"abc"


def test_a_digest_sees_every_byte(copy):
  folder, bench = copy("cvbench"), registry.get("cvbench")
  before = files.at(folder).digest(*bench.FILES)
  assert before == files.at(_GOLDEN / "cvbench").digest(*bench.FILES)
  path = folder / "test_2d.parquet"
  data = bytearray(path.read_bytes())
  data[100] ^= 1
  path.write_bytes(bytes(data))
  assert files.at(folder).digest(*bench.FILES) != before


def _right(bench, folder):
  examples = bench.load(folder)
  scores = [bench.score(example, example.truth) for example in examples]
  return examples, scores, bench.aggregate(examples, scores)


@pytest.mark.parametrize(
  ("name", "path", "group"),
  [
    ("mmbench", "circular", "241"),
    ("3dsrbench", "flip_circ_eval/overall", "MNB6L3K9"),
  ],
)
def test_a_rotation_that_is_missing_is_no_pass(name, path, group, copy):
  folder, bench = copy(name), registry.get(name)
  _, _, whole = _right(bench, folder)

  def keep(turns):
    gone = {e.key for e in bench.load(folder) if e.data["rotation"] in turns}
    at = 0 if name == "mmbench" else 1
    return lambda rows: [rows[0], *(r for r in rows[1:] if r[at] not in gone)]

  def figure(aggregate, rule):
    out = aggregate[rule]
    for part in path.split("/"):
      out = out[part]
    return out

  tsv = next(folder.glob("*.tsv"))
  _tsv(tsv, keep({3}))
  examples, scores, some = _right(bench, folder)
  assert some["incomplete_groups"] == 1
  count = len({e.group for e in examples})
  assert figure(some, "robust") == pytest.approx(
    figure(whole, "robust") - 1 / count
  )
  # The others let the group pass on the rows that are left.
  other = "vlmevalkit_exact_matching"
  assert figure(some, other) == figure(whole, other)
  _tsv(tsv, keep({1, 2}))
  examples, scores, none = _right(bench, folder)
  assert figure(none, "robust") is None
  json.dumps(none, allow_nan=False)
  assert group in {e.group for e in examples}
  assert bench.headlines(examples, scores)


def test_a_truth_that_cannot_be_read_is_flagged(copy):
  folder, bench = copy("spatialrgpt"), registry.get("spatialrgpt")
  path = next(folder.glob("data/*.parquet"))

  def change(table):
    said = table.column("conversations").to_pylist()
    said[0] = said[0].replace("measures 1.02 meters", "is rather large")
    said[1] = "no literal" if broken else said[1]
    at = table.schema.get_field_index("conversations")
    return table.set_column(at, "conversations", pa.array(said, pa.string()))

  broken = False
  _rewrite(path, change)
  examples = bench.load(folder)
  assert "not read" in examples[0].error
  assert not any(example.error for example in examples[1:])
  scores = [bench.score(example, "1.02 m") for example in examples]
  assert scores[0]["success"] == 0
  parts = bench.aggregate(examples, scores)["robust"]["by_category"]
  assert parts["width_data"]["n"] == 2
  broken = True
  _rewrite(path, change)
  with pytest.raises(base.DataError, match="no Python literal"):
    bench.load(folder)


def test_groups_stay_whole_under_a_limit():
  examples = registry.get("3dsrbench").load(_GOLDEN / "3dsrbench")
  some = base.limit(examples, 5)
  assert [e.group for e in some] == ["QWE4R7T1"] * 4 + ["ZXC2V8B5"] * 4
