"""Writes records with TFDS through Beam, and opens what was written.

    build(sources.ToyWorld({"train": 2000, "val": 200}), "data/toy", workers=2)
    train = open_split("data/toy", "train")     # random access, stored columns

Files are ArrayRecord shards; no TensorFlow is needed to write or to read them.
TFDS orders records by a hash of their id, so the same source gives the same
files, whatever the runner or the number of workers. It writes beside the place
and renames: a folder that has the dataset's name is whole.
"""

import functools
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from hispatial_jax.core import spec
from hispatial_jax.data import maker, records

_INFO = "dataset_info.json"
_CHUNK = 256
_KEEP = tfds.GenerateMode.REUSE_DATASET_IF_EXISTS
_OVERWRITE = tfds.GenerateMode.REUSE_CACHE_IF_EXISTS


class Records(tfds.core.GeneratorBasedBuilder):
  """One dataset: the records of one source. Made by `build`."""

  VERSION = tfds.core.Version("1.0.0")

  def __init__(
    self, *, source=None, workers: int = 1, skip_bad=False, **kwargs
  ):
    self._source, self._workers, self._skip_bad = source, workers, skip_bad
    super().__init__(**kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    described = self._source.describe() if self._source else {}
    return tfds.core.DatasetInfo(
      builder=self,
      description="Pictures with metric depth and questions; see records.py.",
      features=features(),
      metadata=tfds.core.MetadataDict(described),
    )

  def _log_download_bytes(self):
    """Says nothing: there is no download, and tools say what they write."""

  def _log_download_done(self):
    """Says nothing."""

  def _split_generators(self, dl_manager):
    return {
      split: self._generate_examples(split) for split in self._source.splits
    }

  def _generate_examples(self, split: str):
    """A Beam PTransform: ids, in chunks, -> (id, columns)."""
    import apache_beam as beam

    ids = self._source.splits[split]
    chunks = [list(ids[i : i + _CHUNK]) for i in range(0, len(ids), _CHUNK)]
    make = functools.partial(
      maker.make_chunk, self._source, self._workers, self._skip_bad
    )
    return beam.Create(chunks, reshuffle=False) | beam.FlatMap(make)


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


def build(
  source,
  directory: str,
  *,
  workers: int = 1,
  skip_bad: bool = False,
  overwrite: bool = False,
  beam_options=None,
  on_record: Callable[[], None] | None = None,
) -> dict[str, dict[str, float]]:
  """Writes all splits of a source below `directory`.

  Args:
    source: see data/sources.py.
    directory: gets records/1.0.0/; local or any file system of TFDS.
    workers: processes that make records beside the runner (each runner worker
      has its own). 1: in the runner itself.
    skip_bad: leave bad records out, with a warning each, instead of stopping.
    overwrite: replace a dataset that is there, once the new one is whole.
    beam_options: apache_beam PipelineOptions; None: the direct runner.
    on_record: called after each record made (direct runner only), for progress.

  Returns:
    split -> {"records", "wanted", "bytes"}.

  Raises:
    FileExistsError: another dataset is there.
    records.BadRecord: bad records, up to ten of them named.
    OSError: no space left. Nothing half-written stays.
  """
  place = _place(directory)
  if (place / _INFO).exists() and not overwrite:
    raise FileExistsError(f"{place} already holds a dataset")
  for left in place.parent.glob("incomplete.*"):  # by a build that was killed
    left.rmtree(missing_ok=True)
  builder = Records(
    source=source,
    workers=workers,
    skip_bad=skip_bad,
    data_dir=str(directory),
    file_format="array_record",
  )
  with maker.processes(on_record), tempfile.TemporaryDirectory() as nothing:
    maker.check_space(source, directory, workers)
    try:
      builder.download_and_prepare(
        download_dir=nothing,
        download_config=tfds.download.DownloadConfig(
          beam_options=beam_options or _direct_options(),
          download_mode=_OVERWRITE if overwrite else _KEEP,
        ),
      )
    except Exception as error:
      raise maker.explained(error, directory) from error
  return {
    name: {
      "records": builder.info.splits[name].num_examples,
      "wanted": len(ids),
      "bytes": builder.info.splits[name].num_bytes,
    }
    for name, ids in source.splits.items()
  }


def description(directory: str) -> dict | None:
  """What source.describe() said of the dataset there; None without one."""
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
    directory: where `build` wrote, or any TFDS dataset of these columns.
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
  root = epath.Path(directory)
  for above in ("", "records/*/", "*/", "*/*/"):
    found = sorted(root.glob(above + _INFO)) if root.exists() else []
    if found:
      return found[-1].parent
  raise FileNotFoundError(
    f"no records in {root}: make them with tools/build_records.py"
  )


def _direct_options():
  """Beam's in-process runner; the default would look for one to download."""
  from apache_beam.options import pipeline_options

  return pipeline_options.PipelineOptions(["--runner=FnApiRunner"])
