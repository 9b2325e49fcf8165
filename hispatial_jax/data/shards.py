"""Shards of records written one by one, in any order, on many machines.

    size = shards.write(path, [records.encode(record), ...])
    shards.write_metadata(out, {"train": ([256, 256, 31], 12_345_678)}, facts)

They and the metadata together are a dataset that `builder.open_split` reads.
"""

import functools
import io
from collections.abc import Iterable

import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.core import example_serializer, file_adapters, naming

from hispatial_jax.data import builder


def folder(directory) -> epath.Path:
  """Where the files of the dataset are."""
  version = str(builder.Records.VERSION)
  return epath.Path(directory) / builder.Records.name / version


def path_of(directory, split: str, number: int, count: int) -> epath.Path:
  """Where shard `number` of `count` of a split belongs, by TFDS's naming."""
  template = _template(directory, split)
  return template.sharded_filepath(shard_index=number, num_shards=count)


def write(path, rows: Iterable[dict]) -> int:
  """Writes stored columns into one ArrayRecord file, as TFDS would.

  The same rows give the same bytes.

  Args:
    path: of the local file system.
    rows: stored columns (records.encode).

  Returns:
    Bytes of the records, before the file compresses them.
  """
  total = 0

  def examples():
    nonlocal total
    for columns in rows:
      data = _serialise(columns)
      total += len(data)
      yield columns["id"], data

  adapter = file_adapters.ArrayRecordFileAdapter
  adapter.write_examples(epath.Path(path), examples())
  return total


def write_metadata(
  directory, splits: dict[str, tuple[list[int], int]], described: dict
) -> None:
  """Makes a dataset of the shards that stand in their places.

  Writes features.json, metadata.json and, last, dataset_info.json: what
  `builder.open_split` looks for.

  Args:
    directory: gets them in records/1.0.0/, beside the shards.
    splits: name -> (records of each shard, bytes of all).
    described: what `builder.description` is to give.
  """
  made = builder.Records(
    described=described,
    data_dir=str(directory),
    file_format="array_record",
  )
  infos = [
    tfds.core.SplitInfo(
      name=split,
      shard_lengths=lengths,
      num_bytes=size,
      filename_template=_template(directory, split),
    )
    for split, (lengths, size) in splits.items()
  ]
  made.info.set_splits(tfds.core.splits.SplitDict(infos))
  made.info.write_to_directory(folder(directory))


def _template(directory, split: str) -> naming.ShardedFileTemplate:
  return naming.ShardedFileTemplate(
    data_dir=folder(directory),
    dataset_name=builder.Records.name,
    split=split,
    filetype_suffix="array_record",
  )


def _serialise(columns: dict) -> bytes:
  """Stored columns -> the bytes of TFDS's example.

  A protobuf map has no order of its own: `deterministic` gives it one.
  """
  schema, serializer = _schema()
  pictures = {k: io.BytesIO(columns[k]) for k in ("image", "depth")}
  example = schema.encode_example({**columns, **pictures})
  found = serializer.get_tf_example(example)
  return found.SerializeToString(deterministic=True)


@functools.cache
def _schema():
  schema = builder.features()
  info = schema.get_serialized_info()
  return schema, example_serializer.ExampleSerializer(info)
