"""Metric point map -> one token per patch.

Each pixel's x, y, z in metres become sines and cosines at F wavelengths, the
validity mask is appended, and a patch-sized convolution mixes them to the
vision tower's width; `head` carries them to the language model.

Axis letters are those of `models/hispatial.py`; h, w count patches, C = 6F + 1.

Source: HiSpatial's depth encoder (channel order, frequencies and patch
convolution); golden numbers in tests/golden/hispatial_model.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp


def encode(points: jax.Array, num_freqs: int) -> jax.Array:
  """Sines and cosines of metric coordinates, always in float32.

  Frequency k is 10000 ** (-k / F) rad per metre, for k = 0 .. F - 1.

  Args:
    points: f32[...,4] x, y, z in metres and validity (0 or 1).
    num_freqs: F.

  Returns:
    f32[...,6F+1]: sin x, cos x, sin y, cos y, sin z, cos z (F each), validity.
    An invalid pixel still contributes its coordinates, as in the reference.
  """
  F = num_freqs
  freqs = 10_000.0 ** (-jnp.arange(F, dtype=jnp.float32) / F)
  angle_rad = points[..., :3, None].astype(jnp.float32) * freqs
  waves = jnp.stack([jnp.sin(angle_rad), jnp.cos(angle_rad)], axis=-2)
  waves = waves.reshape(*points.shape[:-1], 6 * F)
  return jnp.concatenate([waves, points[..., 3:].astype(jnp.float32)], axis=-1)


def embed_naively(points, kernel, dtype="float32"):
  """The plain definition of `embed`: encode every pixel, then convolve."""
  features = encode(points, kernel.shape[2] // 6).astype(dtype)
  return jax.lax.conv_general_dilated(
    features,
    kernel.astype(dtype),
    kernel.shape[:2],
    "VALID",
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  )


def embed(points, kernel, dtype="float32", remat=True):
  """Encodes and convolves one pixel row of all patches at a time.

  Row y of every patch meets row y of the kernel only, so the features of one
  pixel row are alive at a time (1/14 of them), and the kernel's gradient comes
  out row by row without a sum.

  Args:
    points: f32[B,S,S,4] x, y, z in metres and validity.
    kernel: [p,p,C,D].
    dtype: of the features and the product; angles are float32.
    remat: compute the features again for the gradient instead of storing them.

  Returns:
    [B,h,w,D] in `dtype`, h = w = S / p.
  """
  p, D = kernel.shape[0], kernel.shape[-1]
  B, h, w = points.shape[0], points.shape[1] // p, points.shape[2] // p
  rows = points.reshape(B, h, p, w, p, 4).transpose(2, 0, 1, 3, 4, 5)

  def add_row(tokens, row):
    pixels, weights = row
    features = encode(pixels, kernel.shape[2] // 6).astype(dtype)
    return tokens + jnp.einsum(
      "BhwxC,xCD->BhwD", features, weights.astype(dtype)
    ), None

  if remat:
    add_row = jax.checkpoint(add_row, prevent_cse=False)
  zero = jnp.zeros((B, h, w, D), dtype)
  return jax.lax.scan(add_row, zero, (rows, kernel))[0]


class Embedding(nn.Module):
  """Holds the patch convolution's kernel and bias."""

  width: int
  patch_size: int
  num_freqs: int
  dtype: str
  remat: bool

  @nn.compact
  def __call__(self, points):
    p, channels = self.patch_size, 6 * self.num_freqs + 1
    kernel = self.param(
      "kernel", nn.initializers.normal(0.02), (p, p, channels, self.width)
    )
    bias = self.param("bias", nn.initializers.zeros, (self.width,))
    tokens = embed(points, kernel, self.dtype, self.remat)
    return tokens.reshape(points.shape[0], -1, self.width) + bias.astype(
      self.dtype
    )


class Model(nn.Module):
  """Point map -> tokens that are added to the image's tokens.

  Attributes:
    width: of the vision tower (1152).
    num_outputs: width of the language model.
    zero_head: start `head` at zero, so that the untrained sum is PaliGemma.
    remat: see `embed`; False is faster where memory is no concern.
  """

  width: int
  num_outputs: int
  num_freqs: int = 32
  patch_size: int = 14
  dtype: str = "float32"
  zero_head: bool = True
  remat: bool = True

  @nn.compact
  def __call__(self, points):
    """f32[B,S,S,4] -> (tokens [B,P,num_outputs], encoded [B,P,D])."""
    encoded = Embedding(
      self.width,
      self.patch_size,
      self.num_freqs,
      self.dtype,
      self.remat,
      name="embedding",
    )(points)
    init = nn.initializers.lecun_normal()
    if self.zero_head:
      init = nn.initializers.zeros
    # No bias: the projector's one bias is `img/head/bias`.
    head = nn.Dense(
      self.num_outputs,
      use_bias=False,
      dtype=self.dtype,
      kernel_init=init,
      name="head",
    )
    return head(encoded), encoded
