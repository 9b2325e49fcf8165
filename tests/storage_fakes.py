"""A file system that fails so many times, and then works."""

import os


class Failing:
  """Opens files for writing, with accidents.

  Attributes:
    left: failures still to come.
  """

  def __init__(self, times: int, number: int, *, half: bool = False):
    """Fails so many times.

    Args:
      times: failures.
      number: errno of each.
      half: writes half of a text before it fails; else it does not open.
    """
    self.left, self._number, self._half = times, number, half
    outer = self

    def open_path(path, mode="r", **kwargs):
      file = open(os.fspath(path), mode, **kwargs)  # noqa: SIM115
      writes = mode[0] in "wax" and outer.left > 0
      return _File(file, outer) if writes else file

    # A function, to be bound as a method of the path's class.
    self.open = open_path

  def spoil(self, file, content) -> None:
    """Writes some, and fails."""
    self.left -= 1
    if self._half:
      file.write(content[: len(content) // 2])
      file.flush()
    raise OSError(self._number, os.strerror(self._number))


class _File:
  def __init__(self, file, outer):
    self._file, self._outer = file, outer

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self._file.close()

  def write(self, content):
    self._outer.spoil(self._file, content)
