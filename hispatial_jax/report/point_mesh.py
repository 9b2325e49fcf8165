"""Coloured points and a mesh from the pixel grid, as .ply and .glb bytes.

Both are in the frame that viewers expect: x right, y up, z towards the viewer,
metres, the camera at the origin. It is the camera frame turned half round x.
"""

import io

import numpy as np

# Neighbouring pixels whose depths differ by more are not one surface; in small
# pictures a pixel spans more of a surface that is seen aslant.
_EDGE, _EDGE_SIDE = 0.04, 640
_UP = np.array([1, -1, -1], np.float32)


def stride(known: np.ndarray, most: int) -> int:
  """Smallest s such that known[::s, ::s] holds at most `most` pixels.

  Args:
    known: bool[H,W].
    most: at least 1.
  """
  step = max(1, int(np.sqrt(known.sum() / most)))
  while known[::step, ::step].sum() > most:
    step += 1
  return step


def cloud(points, depth_m, rgb, most: int) -> tuple[np.ndarray, np.ndarray]:
  """(xyz f32[N,3] y up, colours u8[N,3]) of every s-th known pixel.

  Args:
    points: f32[H,W,3] metres, camera frame.
    depth_m: f32[H,W]; inf or NaN: no point there.
    rgb: u8[H,W,3].
    most: largest N.
  """
  known = np.isfinite(depth_m)
  step = stride(known, most)
  keep = np.zeros_like(known)
  keep[::step, ::step] = True
  keep &= known
  return points[keep].astype(np.float32) * _UP, rgb[keep]


def ply(xyz: np.ndarray, rgb: np.ndarray) -> bytes:
  """Binary PLY of points f32[N,3] with colours u8[N,3]."""
  columns = [(axis, "<f4") for axis in "xyz"]
  columns += [(name, "u1") for name in ("red", "green", "blue")]
  names = {"<f4": "float", "u1": "uchar"}
  rows = np.empty(len(xyz), columns)
  for i, (name, _) in enumerate(columns):
    rows[name] = xyz[:, i] if i < 3 else rgb[:, i - 3]
  head = ["ply", "format binary_little_endian 1.0"]
  head += ["comment metres, x right, y up, z towards the camera"]
  head += [f"element vertex {len(xyz)}"]
  head += [f"property {names[kind]} {name}" for name, kind in columns]
  head += ["end_header", ""]
  return "\n".join(head).encode() + rows.tobytes()


def mesh(points, depth_m, most: int, edge: float | None = None):
  """Two triangles a cell of the pixel grid, none across a depth edge.

  A grid line between two vertices is broken where, anywhere along it at the
  full resolution, a pixel is unknown or neighbours differ by more than `edge`;
  a triangle needs two whole lines.

  Args:
    points: f32[H,W,3] metres, camera frame.
    depth_m: f32[H,W]; inf or NaN: unknown.
    most: largest number of vertices.
    edge: relative step of depth; None: 4 %, or more below 640 pixels a side.

  Returns:
    vertices f32[N,3] (y up), faces i64[M,3] that face the camera, uv f32[N,2]
    (v up); vertices without a face are left out.
  """
  height, width = depth_m.shape
  step = stride(np.isfinite(depth_m), most)
  edge = edge or _EDGE * max(1, _EDGE_SIDE / max(height, width))
  rows, columns = np.arange(0, height, step), np.arange(0, width, step)
  across = _broken(depth_m[::step, : columns[-1] + 1], step, edge)
  down = _broken(depth_m[: rows[-1] + 1, ::step].T, step, edge).T
  number = np.arange(len(rows) * len(columns)).reshape(len(rows), -1)
  corner = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
  first = ~(across[:-1] | down[:, :-1])
  second = ~(across[1:] | down[:, 1:])
  faces = np.concatenate(
    [
      np.stack([corner[k][first] for k in (0, 2, 1)], axis=-1),
      np.stack([corner[k][second] for k in (3, 1, 2)], axis=-1),
    ]
  )
  used, faces = np.unique(faces, return_inverse=True)
  i, j = rows[used // len(columns)], columns[used % len(columns)]
  vertices = points[i, j].astype(np.float32) * _UP
  uv = np.stack([(j + 0.5) / width, 1 - (i + 0.5) / height], axis=-1)
  return vertices, faces.reshape(-1, 3), uv.astype(np.float32)


def _broken(lines, step, edge):
  """bool[n, cells]: whether a depth edge cuts a stretch of `step` pixels."""
  a, b = lines[:, :-1], lines[:, 1:]
  with np.errstate(invalid="ignore"):
    near, far = np.minimum(a, b), np.maximum(a, b)
    cut = ~(np.isfinite(far) & (far <= near * np.float32(1 + edge)))
  if not cut.shape[1]:
    return cut
  starts = np.arange(0, cut.shape[1], step)
  return np.logical_or.reduceat(cut, starts, axis=1)


def glb(vertices, faces, uv, rgb: np.ndarray) -> bytes:
  """Binary glTF of a mesh that wears the photo, in its own light.

  Args:
    vertices: f32[N,3], N at least 3.
    faces: i64[M,3].
    uv: f32[N,2], v up.
    rgb: u8[H,W,3], the texture.

  Raises:
    ModuleNotFoundError: trimesh or pillow is missing.
  """
  trimesh, pillow = import_trimesh()
  jpeg = io.BytesIO()
  pillow.fromarray(rgb).save(jpeg, "JPEG", quality=90)
  material = trimesh.visual.material.PBRMaterial(
    baseColorTexture=pillow.open(jpeg),  # a JPEG is stored as it is
    metallicFactor=0.0,
    roughnessFactor=1.0,
    doubleSided=True,
  )
  shape = trimesh.Trimesh(
    vertices,
    faces,
    visual=trimesh.visual.TextureVisuals(uv=uv, material=material),
    process=False,
  )

  def unlit(tree):
    # The photo holds its light already; viewers' lamps would darken it.
    tree["extensionsUsed"] = ["KHR_materials_unlit"]
    for item in tree["materials"]:
      item["extensions"] = {"KHR_materials_unlit": {}}

  return shape.export(file_type="glb", tree_postprocessor=unlit)


def import_trimesh():
  """(trimesh, PIL.Image).

  Raises:
    ModuleNotFoundError: names the extra to install.
  """
  try:
    import trimesh
    import trimesh.visual
    from PIL import Image
  except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
      f"mesh.glb needs trimesh and pillow ({error}): pip install "
      "'hispatial_jax[demo]', or leave glb out of --formats"
    ) from error
  return trimesh, Image
