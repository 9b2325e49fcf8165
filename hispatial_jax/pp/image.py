"""Operations on the image. It stays uint8 until the batch is put together."""

import cv2
import numpy as np

# (u8/255 - 0.5)/0.5 of every value, as the reference's processor computes it.
_NORMALISED = ((np.arange(256) / 255 - 0.5) / 0.5).astype(np.float32)[None]


def resize(image: np.ndarray, size: int) -> np.ndarray:
  """Bilinear, half-pixel centres, NO antialias, aspect ratio not kept.

  Args:
    image: u8[H,W,3].
    size: S.

  Returns:
    u8[S,S,3].

  Source: golden/hispatial_data/FORMAT.md, "Resize" (equal within 1).
  """
  if image.shape[:2] == (size, size):
    return image
  return cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)


def reduce(
  image: np.ndarray,
  max_side: int | None,
  size: tuple[int, int] | None = None,
) -> np.ndarray:
  """Makes the longer side at most max_side, by area averaging.

  Args:
    image: u8[H,W,3].
    max_side: pixels; None leaves the image as it is.
    size: (height, width) that the aspect ratio is taken from; None: its own.

  Returns:
    u8[h,w,3]; the shorter side keeps at least one pixel.
  """
  height, width = size or image.shape[:2]
  if max_side is None or max(height, width) <= max_side:
    return image
  if max_side < 1:
    raise ValueError(f"max_side {max_side} is not a number of pixels")
  scale = max_side / max(height, width)
  width, height = (max(1, round(n * scale)) for n in (width, height))
  return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def turn(image: np.ndarray, orientation: int) -> np.ndarray:
  """Upright, from EXIF's orientation 1..8."""
  if orientation >= 5:
    image = image.swapaxes(0, 1)
  if orientation in (2, 3, 6, 7):
    image = image[:, ::-1]
  if orientation in (3, 4, 7, 8):
    image = image[::-1]
  return np.ascontiguousarray(image)


def normalise(image: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
  """u8[H,...] -> f32[H,...] in [-1, 1]; floats are taken as they are.

  Args:
    image: of any shape.
    out: f32 of that shape, in one piece, to write into.
  """
  out = np.empty(image.shape, np.float32) if out is None else out
  if image.dtype != np.uint8:
    out[...] = image
  elif image.size:  # as a table of rows: what OpenCV takes
    rows = (len(image), -1)
    flat = np.reshape(out, rows, copy=False)
    cv2.LUT(image.reshape(rows), _NORMALISED, flat)
  return out


def jitter(
  image: np.ndarray,
  rng: np.random.Generator,
  brightness: float = 0.1,
  contrast: float = 0.1,
  saturation: float = 0.1,
) -> np.ndarray:
  """Photometric jitter; never moves a pixel, so that geometry stays true.

  Args:
    image: u8[H,W,3].
    rng: draws three factors, uniform within 1 ± each strength.
    brightness: strength; the image times its factor.
    contrast: strength; distances to the mean grey times its factor.
    saturation: strength; distances to each pixel's grey times its factor.

  Returns:
    u8[H,W,3].
  """
  strengths = np.array([brightness, contrast, saturation])
  bright, contr, satur = 1 + strengths * rng.uniform(-1, 1, 3)
  out = image.astype(np.float32) * np.float32(bright)
  grey = out.mean(axis=2, keepdims=True)
  out = grey + (out - grey) * np.float32(satur)
  mean = grey.mean()
  out = mean + (out - mean) * np.float32(contr)
  return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def get_resize(size: int):
  """Op `resize(112)`: image -> u8[S,S,3]."""

  def op(example):
    return {**example, "image": resize(example["image"], size)}

  return op


def get_jitter(
  brightness: float = 0.1, contrast: float = 0.1, saturation: float = 0.1
):
  """Op `jitter(0.2)`: see `jitter`; drawn anew for each record and epoch."""

  def op(example):
    rng = example["draw"].rng("jitter")
    image = jitter(example["image"], rng, brightness, contrast, saturation)
    return {**example, "image": image}

  op.draws = True
  return op
