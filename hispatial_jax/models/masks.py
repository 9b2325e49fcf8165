"""Who may attend to whom, and where each token stands.

Axis letters are those of `models/hispatial.py`. All masks are bool with True =
may attend, query axis before key axis.
"""

import jax
import jax.numpy as jnp


def prefix_lm(mask_ar: jax.Array, real: jax.Array) -> jax.Array:
  """big_vision's rule: i sees j iff c_j <= c_i, c = cumsum(mask_ar).

  Args:
    mask_ar: i32[B,T]; 1 where a token hides itself from those before it.
    real: bool[B,T]; tokens that exist.

  Returns:
    bool[B,T,T].
  """
  block = jnp.cumsum(mask_ar, axis=1)
  sees = block[:, None, :] <= block[:, :, None]
  return sees & real[:, None, :] & real[:, :, None]


def image_and_text(num_image_tokens, mask_ar, real):
  """Mask over image tokens followed by text, which see each other.

  Args:
    num_image_tokens: P.
    mask_ar: i32[B,T] of the text.
    real: bool[B,T] of the text.

  Returns:
    bool[B,P+T,P+T].
  """
  image = ((0, 0), (num_image_tokens, 0))
  return prefix_lm(
    jnp.pad(mask_ar, image), jnp.pad(real, image, constant_values=True)
  )


def text_after_image(num_image_tokens, mask_ar, real):
  """Mask of the text alone: it sees the whole image, then by `prefix_lm`.

  Args:
    num_image_tokens: P.
    mask_ar: i32[N,T] of the text.
    real: bool[N,T] of the text.

  Returns:
    bool[N,T,P+T].
  """
  image = ((0, 0), (0, 0), (num_image_tokens, 0))
  return jnp.pad(prefix_lm(mask_ar, real), image, constant_values=True)


def positions(num_image_tokens, real):
  """Positions i32[B,P+T], from 0 at the first image token.

  Tokens that are not real do not count.
  """
  text = num_image_tokens + jnp.cumsum(real, axis=1, dtype=jnp.int32) - 1
  image = jnp.arange(num_image_tokens, dtype=jnp.int32)
  image = jnp.broadcast_to(image, (real.shape[0], num_image_tokens))
  return jnp.concatenate([image, text], axis=1)
