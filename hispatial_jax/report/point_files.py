"""What `hispatial points` leaves of a photo: one folder, for eyes and tools.

points.npz    points f32[H,W,3], depth f32[H,W], mask, intrinsics f32[3,3],
              normals f32[H,W,3] if there, image u8[H,W,3]; camera frame,
              metres, unknown is inf
depth.png     16-bit log depth, pp/codec.py; 65535: unknown or sky
camera.json   intrinsics, near, far, width, height, fov, source: with
              depth.png what `hispatial ask --depth --intrinsics` reads
depth.jpg     the depth in colours, with its scale
cloud.ply     coloured points; mesh.glb: a mesh that wears the photo;
              both y up, see point_mesh.py
page.html     to look at and to measure in, see point_page.py
"""

import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from hispatial_jax.core import geometry
from hispatial_jax.pp import codec
from hispatial_jax.report import pictures, point_mesh, point_page

# --formats name -> the files it stands for.
FILES = {
  "npz": ("points.npz",),
  "png": ("depth.png", "camera.json", "depth.jpg"),
  "ply": ("cloud.ply",),
  "glb": ("mesh.glb",),
  "page": ("page.html",),
}
MOST_VERTICES = 400_000
_PREVIEW = 1024  # pixels of the preview's longer side


class WriteError(OSError):
  """A file could not be written; the message says which and why."""


def write(
  folder,
  found: Any,
  image: np.ndarray,
  *,
  source: str,
  formats: Sequence[str] = tuple(FILES),
  facts: dict | None = None,
) -> list[pathlib.Path]:
  """Writes a photo's files; each appears only when it is whole.

  Without any known pixel there is neither a cloud nor a mesh, and older ones
  in the folder are removed.

  Args:
    folder: made if missing.
    found: a point map: points f32[H,W,3] metres in the camera frame, depth
      f32[H,W], mask bool[H,W], intrinsics f32[3,3] normalised, normals
      f32[H,W,3] or None.
    image: u8[H,W,3].
    source: the photo's file name.
    formats: keys of FILES.
    facts: JSON-able; shown at the page's end.

  Returns:
    The files written.

  Raises:
    WriteError: the folder or a file cannot be written.
    ValueError: the image has another size than the point map.
    ModuleNotFoundError: see `check_formats`.
  """
  depth = known_depth(found)
  if image.shape[:2] != depth.shape:
    raise ValueError(
      f"{source}: image {image.shape[:2]} and points {depth.shape} differ"
    )
  folder = pathlib.Path(folder)
  make_folder(folder)
  written = []
  for kind in formats:
    contents = _MAKERS[kind](found, depth, image, source, facts or {})
    for name, data in zip(FILES[kind], contents, strict=True):
      if data is None:
        (folder / name).unlink(missing_ok=True)
        continue
      _put(folder / name, data)
      written.append(folder / name)
  return written


def check_formats(formats: Sequence[str]) -> None:
  """Finds out early what could not be written.

  Raises:
    ValueError: unknown formats, all of them named.
    ModuleNotFoundError: a package is missing; says which extra has it.
  """
  unknown = [name for name in formats if name not in FILES]
  if unknown or not formats:
    raise ValueError(
      f"unknown formats {', '.join(unknown) or '(none given)'}; there are "
      f"{', '.join(FILES)}"
    )
  if "glb" in formats:
    point_mesh.import_trimesh()
  if "page" in formats:
    point_page.import_packages()


def make_folder(folder: pathlib.Path) -> None:
  """Makes a folder with its parents.

  Raises:
    WriteError: says why not.
  """
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    why = error.strerror or error
    raise WriteError(f"cannot make the folder {folder}: {why}") from error


def known_depth(found: Any) -> np.ndarray:
  """f32[H,W] metres, inf wherever the point map knows nothing."""
  depth = np.asarray(found.depth, np.float32)
  with np.errstate(invalid="ignore"):
    known = np.asarray(found.mask, bool) & np.isfinite(depth) & (depth > 0)
  return np.where(known, depth, np.float32(np.inf))


def camera(intrinsics, size: tuple[int, int]) -> dict[str, Any]:
  """The camera as JSON.

  Args:
    intrinsics: f32[3,3] normalised.
    size: (height, width), pixels.
  """
  fov_x, fov_y = np.degrees(geometry.fov_from_intrinsics(intrinsics))
  return {
    "intrinsics": np.asarray(intrinsics, np.float32).tolist(),
    "width": size[1],
    "height": size[0],
    "fov_x_deg": round(float(fov_x), 3),
    "fov_y_deg": round(float(fov_y), 3),
  }


def preview(depth_m: np.ndarray) -> np.ndarray:
  """u8[h,w,3]: the depth in colours above a strip with its scale."""
  colours, near, far = pictures.depth_rgb(depth_m)
  scale = _PREVIEW / max(colours.shape[:2])
  size = [max(1, round(n * scale)) for n in colours.shape[1::-1]]
  colours = cv2.resize(colours, size, interpolation=cv2.INTER_NEAREST)
  width = size[0]
  strip = np.full((40, width, 3), 255, np.uint8)
  if far == 0:
    return _label(np.concatenate([colours, strip]), [("no depth known", 0.5)])
  ramp = np.geomspace(near, far, width, dtype=np.float32)[None]
  strip[:12] = pictures.depth_rgb(ramp)[0]
  middle = np.sqrt(near * far)
  texts = [(f"{near:.1f} m", 0), (f"{middle:.1f}", 0.5), (f"{far:.1f} m", 1)]
  return _label(np.concatenate([colours, strip]), texts)


def _label(picture, texts):
  """Writes texts along the lower border, at parts 0..1 of the width."""
  height, width = picture.shape[:2]
  for text, part in texts:
    (long, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
    at = (int(part * (width - long - 8)) + 4, height - 9)
    where = (cv2.FONT_HERSHEY_SIMPLEX, 0.5, (60, 60, 60), 1, cv2.LINE_AA)
    picture = cv2.putText(picture, text, at, *where)
  return picture


def _npz(found, depth, image, source, facts):
  known = np.isfinite(depth)
  points = np.asarray(found.points, np.float32)
  arrays = {
    "points": np.where(known[..., None], points, np.float32(np.inf)),
    "depth": depth,
    "mask": known,
    "intrinsics": np.asarray(found.intrinsics, np.float32),
    "image": image,
  }
  if found.normals is not None:
    arrays["normals"] = np.asarray(found.normals, np.float32)
  file = io.BytesIO()
  np.savez(file, **arrays)
  return [file.getvalue()]


def _png(found, depth, image, source, facts):
  codes, near, far = codec.encode_depth(depth)
  about = camera(found.intrinsics, depth.shape)
  about |= {"near": near, "far": far, "source": source}
  text = json.dumps(about, indent=2, ensure_ascii=False) + "\n"
  jpeg = codec.write_jpeg(None, preview(depth), 90)
  return [codec.write_png(codes), text.encode(), jpeg]


def _ply(found, depth, image, source, facts):
  points = np.asarray(found.points)
  xyz, rgb = point_mesh.cloud(points, depth, image, MOST_VERTICES)
  return [point_mesh.ply(xyz, rgb) if len(xyz) else None]


def _glb(found, depth, image, source, facts):
  points = np.asarray(found.points)
  vertices, faces, uv = point_mesh.mesh(points, depth, MOST_VERTICES)
  if not len(faces):
    return [None]
  return [point_mesh.glb(vertices, faces, uv, image)]


def _page(found, depth, image, source, facts):
  about = camera(found.intrinsics, depth.shape)
  return [point_page.html(depth, about, image, source, facts).encode()]


_MAKERS = {"npz": _npz, "png": _png, "ply": _ply, "glb": _glb, "page": _page}


def _put(path: pathlib.Path, data: bytes) -> None:
  partial = path.parent / f".{path.name}.partial"
  try:
    partial.write_bytes(data)
    partial.replace(path)
  except OSError as error:
    why = error.strerror or error
    raise WriteError(f"cannot write {path}: {why}") from error
  finally:
    partial.unlink(missing_ok=True)
