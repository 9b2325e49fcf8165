"""Opens records: TFDS datasets in ArrayRecord files.

    train = open_split("data/toy", "train")     # random access, stored columns

No TensorFlow is needed. precompute/ makes records and shards.py writes them;
what TFDS has to know of them is said here.
"""

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from hispatial_jax.core import remote, spec
from hispatial_jax.data import records

_INFO = "dataset_info.json"


class Records(tfds.core.GeneratorBasedBuilder):
  """The dataset, as TFDS describes it; it makes no records itself."""

  VERSION = tfds.core.Version("1.0.0")

  def __init__(self, *, described=None, **kwargs):
    """See shards.write_metadata.

    Args:
      described: JSON-able, what `description` is to give.
      **kwargs: of TFDS.
    """
    self._described = described or {}
    super().__init__(**kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description="Pictures with metric depth and questions; see records.py.",
      features=features(),
      metadata=tfds.core.MetadataDict(self._described),
    )

  def _split_generators(self, dl_manager):
    raise NotImplementedError("shards.py writes the files")

  def _generate_examples(self):
    raise NotImplementedError("shards.py writes the files")


def features() -> tfds.features.FeaturesDict:
  """TABLE of records.py in the words of TFDS."""
  return tfds.features.FeaturesDict(
    {column.key: _feature(column) for column in records.TABLE}
  )


def _feature(column: records.Column):
  match column.dtype:
    case "jpeg":
      return tfds.features.Image(shape=column.shape, encoding_format="jpeg")
    case "png16":
      return tfds.features.Image(
        shape=column.shape, dtype=np.uint16, encoding_format="png"
      )
    case "text" | "json":
      return tfds.features.Text()
    case "sequence":
      return tfds.features.Sequence(
        {c.key: _feature(c) for c in records.QA_TABLE}
      )
  return tfds.features.Tensor(shape=column.shape, dtype=np.dtype(column.dtype))


def description(directory: str) -> dict | None:
  """What was said of the dataset there as it was made; None without one."""
  place = _place(directory)
  if not (place / _INFO).exists():
    return None
  return dict(tfds.builder_from_directory(str(place)).info.metadata or {})


def outline(directory: str) -> tuple[dict[str, int], set[str]]:
  """Split -> number of records, and the names of the columns, of any set.

  Raises:
    FileNotFoundError: no dataset there.
    ValueError: it is not stored as ArrayRecord.
  """
  info = tfds.builder_from_directory(str(_find(directory))).info
  form = info.file_format.file_suffix
  if form != "array_record":
    raise ValueError(
      f"{directory} is stored as {form}: only array_record can be read at"
      " random; tfds convert_format makes it"
    )
  return {k: v.num_examples for k, v in info.splits.items()}, set(info.features)


def open_split(
  directory: str, split: str, columns: tuple[str, ...] | None = None
):
  """The records of a split: len() and [index] -> stored columns.

  Args:
    directory: where shards.py wrote, or any TFDS dataset of these columns.
    split: "train", "val", also "train[:100]" and such.
    columns: read only these; None: those of records.py, which all are needed.

  Raises:
    FileNotFoundError: no dataset there.
    ValueError: no such split, or columns are missing.
  """
  place = _find(directory)
  builder = tfds.builder_from_directory(str(place))
  name = split.partition("[")[0]
  if name not in builder.info.splits:
    raise ValueError(
      f"{place} has no split {name!r}"
      + spec.did_you_mean(name, list(builder.info.splits))
    )
  there = builder.info.features
  keys = [column.key for column in records.TABLE]
  wanted = columns or tuple(
    k for k in keys if k in there or k not in records.OPTIONAL
  )
  missing = set(wanted) - set(builder.info.features)
  if missing:
    raise ValueError(f"{place} lacks the columns {', '.join(sorted(missing))}")
  return _Rows(builder, split, wanted)


class _Rows:
  """Some columns of a split; pictures stay encoded."""

  def __init__(self, builder, split: str, columns: tuple[str, ...]):
    raw = tfds.core.decode.DeserializeMethod.RAW_BYTES
    self._raw = builder.as_data_source(split, deserialize_method=raw)
    self._features = tfds.features.FeaturesDict(
      {key: builder.info.features[key] for key in columns}
    )
    self._decoders = {
      key: tfds.decode.SkipDecoding()
      for key in columns
      if isinstance(builder.info.features[key], tfds.features.Image)
    } or None

  def __len__(self) -> int:
    return len(self._raw)

  def __iter__(self):
    return (self[index] for index in range(len(self)))

  def __getitem__(self, index):
    return self._features.deserialize_example_np(
      self._raw[index], decoders=self._decoders
    )


def _place(directory) -> epath.Path:
  return epath.Path(directory) / "records" / str(Records.VERSION)


def _find(directory) -> epath.Path:
  # ArrayRecord opens local files alone.
  remote.refuse(directory, "records")
  root = epath.Path(directory)
  for above in ("", "records/*/", "*/", "*/*/"):
    found = sorted(root.glob(above + _INFO)) if root.exists() else []
    if found:
      return found[-1].parent
  raise FileNotFoundError(
    f"no records in {root}: make them with tools/build_records.py"
  )
