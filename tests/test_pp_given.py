"""Whatever people give as a picture: the right pixels, or one clear line."""

import contextlib
import io
import os
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from hispatial_jax.pp import codec, given, headers
from hispatial_jax.pp import image as image_ops


def _smooth(height=48, width=64, seed=0):
  noise = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
  return cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)


def _file(image, kind, **options):
  """The bytes that Pillow writes of an array or of its own image."""
  if isinstance(image, np.ndarray):
    image = Image.fromarray(image)
  out = io.BytesIO()
  image.save(out, kind, **options)
  return out.getvalue()


def _pillow(data):
  picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
  return np.asarray(picture.convert("RGB")).astype(int)


def _off(data, want):
  found = given.read_image(data)
  assert found.dtype == np.uint8
  assert found.shape == want.shape
  return np.abs(found.astype(int) - want).max()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_turns_the_picture(kind, orientation):
  exif = Image.Exif()
  exif[0x0112] = orientation
  options = {"lossless": True} if kind == "WEBP" else {}
  data = _file(_smooth(), kind, exif=exif, **options)
  want = _pillow(data)
  assert want.shape[0] == (48 if orientation < 5 else 64)
  assert _off(data, want) == 0


@pytest.mark.parametrize("orientation", [3, 6, 7])
def test_exif_turns_transparent_and_reduced_pictures_too(orientation):
  exif = Image.Exif()
  exif[0x0112] = orientation
  rgba = np.dstack([_smooth(), np.full((48, 64), 255, np.uint8)])
  data = _file(rgba, "PNG", exif=exif)
  assert _off(data, _pillow(data)) == 0
  data = _file(_smooth(480, 640), "JPEG", exif=exif, quality=98)
  small = given.read_image(data, max_side=64)
  whole = given.read_image(data)
  want = cv2.resize(whole, small.shape[1::-1], interpolation=cv2.INTER_AREA)
  assert np.abs(small.astype(int) - want).max() <= 2


def test_cmyk_jpegs_have_the_right_colours():
  data = _file(Image.fromarray(_smooth()).convert("CMYK"), "JPEG", quality=98)
  assert _off(data, _pillow(data)) <= 2


def test_ycck_jpegs_have_the_right_colours():
  # Y, Cb and Cr of the inks are written as if they were inks; then Adobe's
  # mark, which says what the first three channels went through, is put right.
  ycc = Image.fromarray(255 - _smooth()).convert("YCbCr")
  black = np.full((48, 64), 255, np.uint8)
  black[20:] = 128
  stored = Image.fromarray(255 - np.dstack([np.asarray(ycc), black]), "CMYK")
  data = bytearray(_file(stored, "JPEG", quality=100))
  mark = data.find(b"Adobe") + 11
  assert data[mark] == 0
  data[mark] = 2
  want = _pillow(bytes(data))
  assert np.abs(want[:18] - _smooth()[:18]).mean() < 2
  assert _off(bytes(data), want) <= 3


def test_sixteen_bits_grey_and_colour():
  rgb = _smooth()
  for image in (rgb, rgb[..., 0]):
    want = image if image.ndim == 3 else np.repeat(image[..., None], 3, 2)
    deep = cv2.imencode(".png", image[..., ::-1].astype(np.uint16) * 257)[1]
    if image.ndim == 2:
      deep = cv2.imencode(".png", image.astype(np.uint16) * 257)[1]
    assert _off(deep.tobytes(), want) <= 1
    assert _off(image, want) == _off(image.astype(np.uint16) * 257, want) == 0
  assert given.read_image(np.full((1, 1), 129, np.uint16))[0, 0, 0] == 1


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparent_pixels_lie_on_white(kind):
  alpha = np.linspace(0, 255, 48 * 64).astype(np.uint8).reshape(48, 64)
  rgba = np.dstack([_smooth(), alpha])
  options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
  share = alpha[..., None] / 255
  want = np.rint(rgba[..., :3] * share + 255 * (1 - share))
  assert _off(_file(rgba, kind, **options), want) <= 1
  assert _off(rgba, want) <= 1
  if kind == "PNG":
    deep = rgba[..., [2, 1, 0, 3]].astype(np.uint16) * 257
    assert _off(cv2.imencode(".png", deep)[1].tobytes(), want) <= 1


def test_palettes_and_black_and_white():
  palette = Image.fromarray(_smooth()).quantize(16)
  data = _file(palette, "PNG")
  assert _off(data, _pillow(data)) == 0
  data = _file(palette, "PNG", transparency=0)
  want = np.asarray(palette.convert("RGB")).astype(int)
  want[np.asarray(palette) == 0] = 255
  assert _off(data, want) == 0
  bits = Image.fromarray(_smooth()[..., 0] > 128)
  data = _file(bits, "PNG")
  assert _off(data, _pillow(data)) == 0
  grey_alpha = Image.fromarray(_smooth()[..., :2].copy(), "LA")
  assert given.read_image(_file(grey_alpha, "PNG")).shape == (48, 64, 3)


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_of_an_animation_the_first_frame(kind):
  others = [Image.fromarray(255 - _smooth())]
  data = _file(_smooth(), kind, save_all=True, append_images=others)
  assert Image.open(io.BytesIO(data)).n_frames == 2
  assert _off(data, _pillow(data)) <= 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_picture_cut_anywhere_is_one_clear_line(kind):
  data = _file(_smooth(), kind)
  assert headers.read(data)[:3] == (kind.lower(), 48, 64)
  assert given.read_image(data).shape == (48, 64, 3)
  step = max(1, len(data) // 40)
  for length in [*range(0, 40), *range(40, len(data) - 2, step)]:
    with pytest.raises(codec.BadInput) as error:
      given.read_image(data[:length])
    told = kind in ("JPEG", "PNG", "WEBP", "BMP") and length >= 16
    assert error.value.reason in ("truncated", "" if told else "image"), length
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_damage_anywhere_is_pixels_or_bad_input(kind):
  data = _file(_smooth(), kind)
  rng = np.random.default_rng(1)
  for _ in range(60):
    broken = bytearray(data)
    for at in rng.integers(0, len(data), 4):
      broken[at] = rng.integers(256)
    # Anything but BadInput, a crash of the decoder above all, fails here.
    with contextlib.suppress(codec.BadInput):
      assert given.read_image(bytes(broken), 1000).dtype == np.uint8


def test_sizes_at_the_ends():
  dot = np.array([[[10, 20, 30]]], np.uint8)
  for kind in ("PNG", "GIF"):
    assert _off(_file(dot, kind), dot) == 0
  assert given.read_image(dot, max_side=1).shape == (1, 1, 3)
  strip = _file(np.repeat(_smooth(20, 64), 313, axis=1)[:, :20000], "JPEG")
  assert given.read_image(strip).shape == (20, 20000, 3)
  assert given.read_image(strip, max_side=1000).shape == (1, 1000, 3)
  with pytest.raises(ValueError, match="max_side"):
    given.read_image(dot, max_side=-1)


@pytest.mark.parametrize("max_side", [40, 90, 200, 639, 640, 5000])
def test_reduction_is_area_averaging(max_side):
  image = _smooth(480, 640)
  data = _file(image, "JPEG", quality=95)
  whole = given.read_image(data)
  found = given.read_image(data, max_side)
  longest = min(max_side, 640)
  want = cv2.resize(
    whole, (longest, round(longest * 0.75)), interpolation=cv2.INTER_AREA
  )
  assert found.shape == want.shape
  assert np.abs(found.astype(int) - want).max() <= 2
  np.testing.assert_array_equal(given.read_image(whole, max_side), want)


@pytest.mark.parametrize(("max_side", "most"), [(90, 2), (159, 4), (200, 0)])
def test_reduction_keeps_fine_texture(max_side, most):
  # JPEG's own halving is another filter than the mean: on texture of 4 pixels
  # it differs by 1.2 and 2.8 of 30 to 37 levels; one halving more by 2.9 and 5.
  rng = np.random.default_rng(0)
  texture = rng.integers(0, 255, (120, 160, 3), np.uint8)
  data = _file(cv2.resize(texture, (640, 480)), "JPEG", quality=95)
  found = given.read_image(data, max_side)
  want = image_ops.reduce(given.read_image(data), max_side)
  assert np.abs(found.astype(int) - want).mean() <= most


def _bomb(side):
  """A whole PNG of side x side pixels, of which a few bytes are there."""

  def chunk(kind, body):
    crc = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + crc

  header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
  data = chunk(b"IDAT", zlib.compress(bytes(1000)))
  start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
  return start + data + chunk(b"IEND", b"")


def test_decompression_bombs_are_refused():
  for side in (11_600, 60_000):
    with pytest.raises(codec.BadInput, match=f"{side}x{side} pixels") as error:
      given.read_image(_bomb(side), max_side=100)
    assert error.value.reason == "too_large"
  with pytest.raises(codec.BadInput) as error:
    codec.read_png(_bomb(60_000))
  assert error.value.reason == "too_large"


def test_what_is_no_picture(tmp_path):
  for data in (b"", b"%PDF-1.4", b"RIFF\0\0\0\0WAVEfmt ", b"<svg/>"):
    with pytest.raises(codec.BadInput, match="expected JPEG, PNG") as error:
      given.read_image(data)
    assert error.value.reason == "image"
  empty = tmp_path / "empty.jpg"
  empty.touch()
  with pytest.raises(codec.BadInput, match=r"empty\.jpg: no picture in 0"):
    given.read_image(empty)
  with pytest.raises(FileNotFoundError, match="no image file"):
    given.read_image(tmp_path)
  for array in (np.zeros((2, 2, 5), np.uint8), np.zeros((2, 2, 3))):
    with pytest.raises(codec.BadInput, match="must be uint8"):
      given.read_image(array)
  with pytest.raises(codec.BadInput, match="empty"):
    given.read_image(np.zeros((0, 4, 3), np.uint8))


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux")
def test_a_large_jpeg_takes_little_memory(tmp_path):
  path = tmp_path / "wide.jpg"
  cv2.imwrite(str(path), cv2.resize(_smooth(), (20_000, 5000)))  # 300 MB
  code = (
    "import re, sys; from hispatial_jax.pp import given\n"
    "assert given.read_image(sys.argv[1], 1024).shape == (256, 1024, 3)\n"
    "status = open('/proc/self/status').read()\n"
    "print(re.search(r'VmHWM:\\s+(\\d+) kB', status).group(1))"
  )
  done = subprocess.run(
    [sys.executable, "-c", code, str(path)], capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr
  assert int(done.stdout) < 180_000  # about 56 MB are the libraries alone
