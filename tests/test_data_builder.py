"""Records in TFDS's files are read back, without TensorFlow."""

import subprocess
import sys

import data_fakes
import pytest

from hispatial_jax.data import builder, records


@pytest.fixture(scope="module")
def built(tmp_path_factory):
  folder = tmp_path_factory.mktemp("built")
  data_fakes.write(data_fakes.Source(), folder)
  return folder


def test_reads_back_every_record_in_its_order(built):
  train = builder.open_split(built, "train")
  back = [records.decode(row) for row in train]
  assert [r["id"] for r in back] == data_fakes.Source().splits["train"]
  assert back[3]["qa"] == data_fakes.record("r0003")["qa"]
  assert back[3]["objects"] == data_fakes.record("r0003")["objects"]
  assert back[3]["native"].tolist() == [[28, 28], [28, 28]]


def test_says_what_it_holds(built, tmp_path):
  sizes, columns = builder.outline(built)
  assert sizes == {"train": 12, "val": 5}
  assert columns == {column.key for column in records.TABLE}
  assert builder.description(built)["train"] == 12
  assert builder.description(tmp_path) is None


def test_a_part_of_a_split(built):
  assert len(builder.open_split(built, "train[:4]")) == 4


def test_needs_no_tensorflow(built):
  code = (
    "import sys; from hispatial_jax.data import builder;"
    f"assert len(builder.open_split({str(built)!r}, 'val')[0]) == 10;"
    "assert 'tensorflow' not in sys.modules and 'apache_beam' not in"
    " sys.modules"
  )
  subprocess.run([sys.executable, "-c", code], check=True)


def test_open_split_explains(built, tmp_path):
  with pytest.raises(FileNotFoundError, match="build_records"):
    builder.open_split(tmp_path, "train")
  with pytest.raises(ValueError, match="did you mean 'train'"):
    builder.open_split(built, "trian")
