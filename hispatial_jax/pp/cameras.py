"""From one camera into another that sits in the same place."""

import cv2
import numpy as np

from hispatial_jax.core import geometry

# How far beside a camera's ray a point may be, in its depth.
_ON_RAY = 1e-3
# Pairs of points, at least so far apart in the unit image, that a camera is
# fitted to; the fewest and the most points.
_PAIRS, _APART, _FEWEST, _MOST = 4096, 0.05, 16, 1 << 14


def from_pixels(
  matrix: np.ndarray, size: tuple[int, int], name: str
) -> np.ndarray:
  """A camera in pixels whose centres are whole numbers -> normalised.

  So are those of CA-1M, of ScanNet (its depth camera of 640x480 has its centre
  at 319.5, 239.5) and of TUM (which unprojects u - cx). Ours lie at +0.5 of the
  unit image.

  Args:
    matrix: [3,3] or [4,4] pixels; the first pixel's centre is (0, 0).
    size: (height, width) of the pictures that it is of.
    name: for the message.

  Returns:
    f32[3,3].

  Raises:
    ValueError: no camera, or that of pictures of another size.
  """
  matrix, (height, width) = np.asarray(matrix, np.float64), size
  if matrix.shape not in ((3, 3), (4, 4)) or not np.isfinite(matrix).all():
    raise ValueError(f"{name}: expected 3x3 or 4x4 numbers in pixels")
  out = matrix[:3, :3].copy()
  out[:2, 2] += 0.5
  out[0] /= width
  out[1] /= height
  if not ((out[:2, 2] > 0.25) & (out[:2, 2] < 0.75)).all():
    raise ValueError(
      f"{name}: its centre {matrix[0, 2]:g}, {matrix[1, 2]:g} is far from the"
      f" middle of {width}x{height} pixels: of pictures of another size?"
    )
  out = out.astype(np.float32)
  geometry.check_intrinsics(out)
  return out


def on_rays(
  points: np.ndarray, matrix: np.ndarray, known: np.ndarray
) -> np.ndarray:
  """bool[H,W]: known points that are where the camera's rays say, to 1e-3 of z.

  Args:
    points: f64[H,W,3] metres.
    matrix: f32[3,3] normalised, of the picture.
    known: bool[H,W]; z is positive there.
  """
  near = known.copy()
  z = np.where(known, points[..., 2], 1)
  rays = geometry.unproject(np.ones(known.shape), matrix)
  with np.errstate(invalid="ignore", over="ignore"):
    for axis in (0, 1):
      near &= np.abs(points[..., axis] / z - rays[..., axis]) <= _ON_RAY
  return near


def fit(points: np.ndarray, known: np.ndarray) -> np.ndarray:
  """The camera that a point map is of, without skew.

  Medians over pairs of points find it among wrong ones.

  Args:
    points: f64[H,W,3] metres.
    known: bool[H,W]; z is positive there.

  Returns:
    f32[3,3] normalised.

  Raises:
    ValueError: it is of no camera, or of too few points.
  """
  rng = np.random.default_rng(0)
  places = np.nonzero(known)
  if len(places[0]) > _MOST:
    few = rng.integers(len(places[0]), size=_MOST)
    places = places[0][few], places[1][few]
  x, y, z = points[places].T
  matrix = np.eye(3)
  # Across the unit image with x/z, down it with y/z.
  for axis, along in ((0, x), (1, y)):
    place = (places[1 - axis] + 0.5) / known.shape[1 - axis]
    matrix[axis, axis], matrix[axis, 2] = _line(along / z, place, rng)
  return matrix.astype(np.float32)


def _line(ray: np.ndarray, place: np.ndarray, rng) -> tuple[float, float]:
  """f and c of place = f * ray + c."""
  one, other = rng.integers(max(len(ray), 1), size=(2, _PAIRS))
  if len(ray):
    far = np.abs(place[one] - place[other]) > _APART
    one, other = one[far], other[far]
  if len(ray) < _FEWEST or not len(one):
    raise ValueError(f"{len(ray)} known points are too few to fit a camera")
  with np.errstate(divide="ignore", invalid="ignore"):
    slope = np.median((place[one] - place[other]) / (ray[one] - ray[other]))
  if not 0 < slope < np.inf:
    raise ValueError("the points are of no pinhole camera")
  return slope, np.median(place - slope * ray)


def see(
  image: np.ndarray,
  camera: np.ndarray,
  target: np.ndarray,
  size: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray]:
  """What another camera in the same place, turned the same way, sees.

  A pixel is the mean of the picture over the pixel's own cone of rays: area
  averaging where that is larger than a pixel of the picture, else bilinear.

  Args:
    image: u8[H,W,3].
    camera: f32[3,3] normalised, that took it; without skew.
    target: f32[3,3] normalised, the other; without skew.
    size: (h, w) of what it sees.

  Returns:
    u8[h,w,3] and bool[h,w]: the ray of the pixel's centre is inside the image;
    what is outside shows the image's border.
  """
  sums = cv2.integral(image, sdepth=cv2.CV_64F)
  inside = []
  for axis in (0, 1):  # rows, then columns
    along = 1 - axis  # the row of the matrices that has v, then u
    edges = np.arange(size[axis] + 1) / size[axis]
    ray = (edges - target[along, 2]) / target[along, along]
    edges = ray * camera[along, along] + camera[along, 2]
    edges = edges * image.shape[axis]
    sums, within = _mean_between(sums, edges, axis)
    inside.append(within)
  seen = np.rint(np.clip(sums, 0, 255)).astype(np.uint8)
  return seen, inside[0][:, None] & inside[1][None, :]


def _mean_between(sums: np.ndarray, edges: np.ndarray, axis: int):
  """Means between neighbouring edges along an axis of cumulative sums.

  Also: whether the middle between two edges is inside. Sums between their own
  grid points are linear, as those of pixels of one colour are.
  """
  length = sums.shape[axis] - 1
  middle = (edges[1:] + edges[:-1]) / 2
  within = (middle >= 0) & (middle <= length)
  half = np.maximum(edges[1:] - edges[:-1], 1) / 2
  middle = np.clip(middle, 0, length)
  ends = [np.clip(middle + s * half, 0, length) for s in (-1, 1)]
  shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
  at = []
  for end in ends:
    low = np.minimum(end.astype(int), length - 1)
    part = (end - low).reshape(shape)
    left, right = np.take(sums, low, axis), np.take(sums, low + 1, axis)
    at.append(left + (right - left) * part)
  return (at[1] - at[0]) / (ends[1] - ends[0]).reshape(shape), within


def nearest(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """depth[H,W] -> [h,w]: each pixel the one that its centre lies in."""
  if depth.shape == tuple(size):
    return depth
  rows, columns = (
    ((np.arange(n) + 0.5) * m / n).astype(int)
    for n, m in zip(size, depth.shape, strict=True)
  )
  return depth[rows[:, None], columns]
