"""Texts of PNG files as Pillow writes them; damage gives no text."""

import io
import zlib

import numpy as np
import released_fakes
from PIL import Image, PngImagePlugin

from hispatial_jax.pp import codec, headers, png_text


def test_all_kinds_of_texts_that_pillow_writes():
  info = PngImagePlugin.PngInfo()
  info.add_text("near", "0.25")
  info.add_text("far", "100.5", zip=True)
  info.add_itxt("who", "Zoë", "fr", "qui")
  info.add_itxt("long", "é" * 500, zip=True)
  file = io.BytesIO()
  Image.fromarray(np.zeros((2, 3), np.uint16)).save(file, "PNG", pnginfo=info)
  assert png_text.read(file.getvalue()) == {
    "near": "0.25",
    "far": "100.5",
    "who": "Zoë",
    "long": "é" * 500,
  }


def test_texts_after_the_pixels_and_of_one_keyword():
  data = released_fakes.png(texts=[("near", "1"), ("near", "2")])
  assert png_text.read(data) == {"near": "2"}
  late = released_fakes.chunk(b"tEXt", b"far\x003")
  assert png_text.read(data[:-12] + late + data[-12:])["far"] == "3"


def test_damaged_and_swollen_texts():
  bomb = zlib.compress(bytes(10**7))
  data = released_fakes.with_chunks(
    released_fakes.png(texts=[("near", "1")]),
    released_fakes.chunk(b"zTXt", b"a\0\0not zlib"),
    released_fakes.chunk(b"iTXt", b"b\0\0\0no end"),
    released_fakes.chunk(b"iTXt", b"c\0\0\0\0\0\xff\xff"),
    released_fakes.chunk(b"zTXt", b"d\0\0" + bomb),
  )
  found = png_text.read(data)
  assert found.pop("near") == "1"
  assert len(found.pop("d")) == 1 << 16
  assert not found
  for size in range(0, len(data), 7):
    png_text.read(data[:size])  # raises nothing
  beyond = data[:33] + b"\xff\xff\xff\xf0tEXtnear\x001" + data[33:]
  assert png_text.read(beyond) == {}
  assert png_text.read(b"") == {}


def test_exif_is_taken_out_and_the_pixels_stay():
  image = Image.fromarray(np.arange(600, dtype=np.uint8).reshape(10, 20, 3))
  exif = Image.Exif()
  exif[0x0112] = 6
  file = io.BytesIO()
  image.save(file, "JPEG", exif=exif)
  turned = file.getvalue()
  plain = headers.without_exif(turned)
  assert headers.read(turned).orientation == 6
  assert headers.read(plain).orientation == 1
  assert codec.read_image(turned).shape == (20, 10, 3)
  found = codec.read_image(plain)
  assert found.shape == (10, 20, 3)
  np.testing.assert_array_equal(np.rot90(found, -1), codec.read_image(turned))
  assert headers.without_exif(plain) == plain
