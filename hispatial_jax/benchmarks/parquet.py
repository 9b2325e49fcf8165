"""Parquet files as the hub has them, with pictures left in place.

Columns are taken by name: releases differ in which others they have and of
what type. A picture is a struct of bytes and path; either may be null.
"""

import dataclasses
import functools

from hispatial_jax.benchmarks import base, files, pictures


def _arrow():
  try:
    import pyarrow
    import pyarrow.parquet
  except ImportError as error:
    raise ImportError(
      "parquet files need pyarrow: pip install hispatial_jax[eval]"
    ) from error
  return pyarrow


@functools.lru_cache(maxsize=2)
def _column(source: files.Files, name: str, group: int, column: str):
  """One column of one row group; kept, as neighbours are asked for next."""
  with source.open(name) as file:
    table = _arrow().parquet.ParquetFile(file)
    return table.read_row_group(group, columns=[column]).column(column)


@dataclasses.dataclass(frozen=True)
class Cell:
  """A picture in a parquet file."""

  files: files.Files
  name: str
  group: int
  row: int
  column: str
  key: str

  def __call__(self) -> bytes:
    cell = _column(self.files, self.name, self.group, self.column)[self.row]
    return pictures.checked(_bytes(cell.as_py(), self.files) or b"", self.key)


def _bytes(cell, source: files.Files) -> bytes | None:
  """Bytes of a picture's struct, read from its path where it has only that."""
  if cell is None or isinstance(cell, bytes):
    return cell
  if cell.get("bytes"):
    return cell["bytes"]
  found = source.ending(cell["path"]) if cell.get("path") else ""
  return source.read(found) if found else None


@dataclasses.dataclass(frozen=True)
class Row:
  """One row.

  Attributes:
    number: of the row, counted through all the files read together.
    values: columns by name.
    cells: loaders of the pictures by column, for `image`.
    errors: what is wrong with each picture, "" if nothing.
  """

  number: int
  values: dict
  cells: dict[str, Cell]
  errors: dict[str, str]

  def image(self, column: str, key: str) -> Cell:
    """Loader of a picture."""
    return dataclasses.replace(self.cells[column], key=key)


def _group(source, name, table, index, need, more, images):
  """Yields (values, cells, errors) of a row group's rows."""
  values = table.read_row_group(index, columns=[*need, *more]).to_pylist()
  for at, row in enumerate(values):
    null = [column for column in need if row[column] is None]
    if null:
      raise base.DataError(
        f"{source.root}/{name}: row {at} of group {index} has no "
        f"{', '.join(null)}"
      )
  errors = [{} for _ in values]
  for column in images:
    cells = table.read_row_group(index, columns=[column]).column(column)
    for at, cell in enumerate(cells):
      errors[at][column] = pictures.problem(_bytes(cell.as_py(), source))
  for at, row in enumerate(values):
    cells = {c: Cell(source, name, index, at, c, "") for c in images}
    yield row, cells, errors[at]


def _columns(source, name, table, need, images, optional):
  """(optional plain columns, picture columns) that a file has."""
  there = table.schema_arrow.names
  missing = [c for c in (*need, *images) if c not in there]
  if missing:
    raise base.DataError(
      f"{source.root}/{name}: no column {', '.join(missing)}; it has "
      f"{', '.join(there)}"
    )
  more = [c for c in optional if c in there]
  pictures_ = [c for c in more if c.endswith(("image", "mask"))]
  return [c for c in more if c not in pictures_], [*images, *pictures_]


def rows(
  source: files.Files,
  names: list[str],
  need: tuple[str, ...],
  images: tuple[str, ...] = ("image",),
  optional: tuple[str, ...] = (),
) -> list[Row]:
  """All rows of files that together are one split.

  Args:
    source: where the files are.
    names: their names, in order.
    need: columns that must be there.
    images: picture columns that must be there.
    optional: columns, of pictures or not, that may be there; a picture is one
      whose name ends in image or mask.

  Raises:
    DataError: not parquet, cut short, or without a needed column.
  """
  arrow, out = _arrow(), []
  for name in names:
    try:
      with source.open(name) as file:
        table = arrow.parquet.ParquetFile(file)
        plain, seen = _columns(source, name, table, need, images, optional)
        for index in range(table.num_row_groups):
          for row in _group(source, name, table, index, need, plain, seen):
            out.append(Row(len(out), *row))
    except (arrow.ArrowException, OSError) as error:
      raise base.DataError(
        f"{source.root}/{name}: cannot be read as parquet ({error}); it may be "
        "cut short: get it again"
      ) from error
  return out
