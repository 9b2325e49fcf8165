"""Tab-separated benchmarks whose pictures are base64 cells.

Files reach 843 MB: a row keeps its text and where it begins; its picture is
looked at once while reading and then read again when asked for.
"""

import csv
import dataclasses
import sys
from collections.abc import Iterator

from hispatial_jax.benchmarks import base, files, pictures

_REFERENCE = 64  # An image cell this short names the row that has the picture.


class _Lines:
  """Decoded lines that know at which byte the next one begins."""

  def __init__(self, file, at: int = 0):
    file.seek(at)
    self._file, self.at = file, at

  def __iter__(self) -> Iterator[str]:
    for raw in self._file:
      self.at += len(raw)
      yield raw.decode("utf-8")


@dataclasses.dataclass(frozen=True)
class Cell:
  """A picture in a row that begins at byte `offset`."""

  files: files.Files
  name: str
  offset: int
  column: int
  key: str

  def __call__(self) -> bytes:
    with self.files.open(self.name) as file:
      row = next(csv.reader(_Lines(file, self.offset), delimiter="\t"))
    return pictures.checked(pictures.decode(row[self.column]), self.key)


@dataclasses.dataclass(frozen=True)
class Row:
  """One row.

  Attributes:
    text: columns by name, without `image`; blanks around are kept.
    image: loader of its own or its reference's picture.
    error: what is wrong with that picture, or "".
  """

  text: dict[str, str]
  image: Cell
  error: str


def _header(row: list[str], need: tuple[str, ...], where: str) -> list[str]:
  row = [name.removeprefix("\ufeff") for name in row]
  missing = [name for name in need if name not in row]
  if missing:
    raise base.DataError(
      f"{where}: no column {', '.join(missing)}; it has {', '.join(row)}"
    )
  return row


def _raw(source: files.Files, name: str, need: tuple[str, ...]):
  """Yields (offset, row as dict, column of the image) of every row."""
  csv.field_size_limit(sys.maxsize)
  where = f"{source.root}/{name}"
  with source.open(name) as file:
    lines = _Lines(file)
    reader = csv.reader(lines, delimiter="\t")
    try:
      header = _header(next(reader, []), need, where)
      while True:
        offset = lines.at
        row = next(reader, None)
        if row is None:
          return
        if row and len(row) != len(header):
          raise base.DataError(
            f"{where}: row {reader.line_num} has {len(row)} columns, expected "
            f"{len(header)}: the file is cut short or not tab-separated"
          )
        if row:
          yield offset, dict(zip(header, row, strict=True)), header
    except (UnicodeDecodeError, csv.Error) as error:
      raise base.DataError(
        f"{where}: line {reader.line_num + 1}: {error}"
      ) from error


def rows(
  source: files.Files, name: str, need: tuple[str, ...], key: str
) -> list[Row]:
  """All rows.

  Args:
    source: where the file is.
    name: its name there.
    need: columns that must be there; others may be.
    key: column that names a row, in errors and in references.

  Raises:
    DataError: missing columns, rows of another length, not UTF-8.
  """
  read, cells, wrong = [], {}, {}
  for offset, text, header in _raw(source, name, (*need, key, "image")):
    image = text.pop("image").strip()
    row_key = text[key].strip()
    refers = 0 < len(image) <= _REFERENCE and image.isdigit()
    if not refers:
      cells[row_key] = Cell(
        source, name, offset, header.index("image"), row_key
      )
      wrong[row_key] = pictures.problem(pictures.decode(image))
    read.append((text, row_key, image if refers else row_key))
  out = []
  for text, row_key, holder in read:
    cell = cells.get(holder, Cell(source, name, 0, 0, row_key))
    error = wrong.get(holder, f"its picture is that of row {holder}: no such")
    out.append(Row(text, dataclasses.replace(cell, key=row_key), error))
  return out
