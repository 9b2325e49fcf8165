"""`hispatial points`: photos in, a folder of files for each out."""

import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from hispatial_jax.core import metrics
from hispatial_jax.pp import given
from hispatial_jax.report import point_files

# What a folder gives. Kinds that OpenCV cannot read fail with a line of their
# own, which is better than to be passed over in silence.
_KINDS = "jpg jpeg png webp gif bmp tif tiff avif heic heif"


def run(
  photos: Iterable[str | os.PathLike],
  load: Callable[[], Any],
  out: str | os.PathLike,
  *,
  fov_x_deg: float | None = None,
  intrinsics: str | None = None,
  num_tokens: int | None = None,
  flip: bool = False,
  max_side: int = 2048,
  formats: Sequence[str] = tuple(point_files.FILES),
  facts: dict[str, Any] | None = None,
) -> int:
  """Makes the point map of each photo and writes its files.

  A photo that cannot be used is told on stderr, and the others go on.

  Args:
    photos: picture files, and folders for all pictures right in them.
    load: gives the MoGe; called once all else is known to be in order.
    out: gets one folder a photo, named after it; an older one is replaced.
    fov_x_deg: known horizontal field of view, for all photos.
    intrinsics: file of a known camera, for all photos.
    num_tokens: of MoGe; None: its finest.
    flip: average with the mirrored photo.
    max_side: larger photos are reduced first, pixels.
    formats: keys of point_files.FILES.
    facts: JSON-able, for the pages' ends; the options are added.

  Returns:
    0, or 2 if a photo failed.

  Raises:
    ValueError: options out of range, no photo at all.
    OSError: nothing can be written.
    ModuleNotFoundError: a format needs a package that is missing.
  """
  formats = list(dict.fromkeys(formats))
  point_files.check_formats(formats)
  _check(fov_x_deg, intrinsics, num_tokens, max_side)
  camera = given.read_json(intrinsics) if intrinsics else {}
  matrix = given.intrinsics(camera, intrinsics) if intrinsics else None
  paths = pictures(photos)
  out = pathlib.Path(out)
  point_files.make_folder(out)
  options = {"fov_x_deg": fov_x_deg, "num_tokens": num_tokens, "flip": flip}
  facts = {**(facts or {}), **options, "intrinsics": intrinsics}
  moge = load()

  def look(path):
    rgb = given.read_image(path, max_side)
    given.check_camera_size(camera, rgb.shape[:2], str(intrinsics))
    (found,) = moge.infer_batch([rgb], intrinsics=matrix, **options)
    return found, rgb

  failed, begin = 0, time.monotonic()
  for number, (path, name) in enumerate(folder_names(paths).items(), 1):
    try:
      found, rgb = look(path)
    except (OSError, ValueError) as error:
      failed += 1
      _say(number, len(paths), begin, f"failed: {_about(error, path)}")
      continue
    more = {"source": path.name, "formats": formats, "facts": facts}
    files = point_files.write(out / name, found, rgb, **more)
    _say(number, len(paths), begin, f"{path}: {summary(found)}")
    print(f"{out / name}: {' '.join(file.name for file in files)}")
  done = f"{len(paths) - failed} of {len(paths)} photos written to {out}"
  print(f"{done}, {failed} failed" if failed else done)
  return 2 if failed else 0


def pictures(photos: Iterable[str | os.PathLike]) -> list[pathlib.Path]:
  """Files as given, folders as the pictures right in them, each file once.

  Raises:
    ValueError: a folder without pictures, or nothing given.
  """
  found: dict[pathlib.Path, pathlib.Path] = {}
  for path in map(pathlib.Path, photos):
    inside = [path]
    if path.is_dir():
      inside = [
        file
        for file in sorted(path.iterdir())
        if file.suffix[1:].lower() in _KINDS.split() and file.name[0] != "."
      ]
      if not inside:
        raise ValueError(
          f"no pictures right in the folder {path}; looked for {_KINDS}"
        )
    for file in inside:
      found.setdefault(file.resolve(), file)
  if not found:
    raise ValueError("no photos given")
  return list(found.values())


def folder_names(paths: Sequence[pathlib.Path]) -> dict[pathlib.Path, str]:
  """File -> its stem; of equal ones the later get -2, -3, …

  Case does not count, for there are file systems where it does not.
  """
  taken: set[str] = set()
  names = {}
  for path in paths:
    name, number = path.stem, 1
    while name.lower() in taken:
      number += 1
      name = f"{path.stem}-{number}"
    taken.add(name.lower())
    names[path] = name
  return names


def summary(found: Any) -> str:
  """What was found, in a few words."""
  depth = point_files.known_depth(found)
  known = np.isfinite(depth)
  if not known.any():
    return "no surface found, all unknown or sky: neither cloud nor mesh"
  near, far = depth[known].min(), depth[known].max()
  return f"{100 * known.mean():.0f} % known, {near:.2f} to {far:.2f} m"


def _check(fov_x_deg, intrinsics, num_tokens, max_side) -> None:
  wrong = []
  if fov_x_deg is not None and not 1 <= fov_x_deg <= 175:
    wrong.append(f"--fov-x {fov_x_deg:g} is not within 1 to 175 degrees")
  if fov_x_deg is not None and intrinsics:
    wrong.append("--fov-x and --intrinsics: give one of them")
  if num_tokens is not None and num_tokens < 1:
    wrong.append(f"--tokens {num_tokens} is less than 1")
  if max_side < 28:
    wrong.append(f"--max-side {max_side} is less than 28")
  if wrong:
    raise ValueError("; ".join(wrong))


def _about(error: Exception, path: pathlib.Path) -> str:
  text = " ".join(str(error).split())
  return text if str(path) in text else f"{path}: {text}"


def _say(number: int, total: int, begin: float, text: str) -> None:
  """One line of progress on stderr, with the time to go if there are more."""
  spent = time.monotonic() - begin
  rest = spent / number * (total - number)
  tail = f"  ETA {metrics.clock_time(rest)}" if number < total else ""
  print(f"[{number}/{total}] {text}{tail}", file=sys.stderr, flush=True)
