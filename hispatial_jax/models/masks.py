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


def image_and_text(num_image_tokens, mask_ar, real, segments=None):
  """Mask over image tokens followed by text.

  Without segments the image is one more part of the prefix: image and question
  see each other. With segments several questions share one image: text sees
  the image and its own segment, the image sees only itself. So the image
  cannot look at the question there, which is another model than the reference;
  one question in a row of segments 1 gives the same as many in a row.

  Args:
    num_image_tokens: P.
    mask_ar: i32[B,T] of the text.
    real: bool[B,T] of the text.
    segments: i32[B,T] number of the question of each text token, 0 = padding.

  Returns:
    bool[B,P+T,P+T].
  """
  image = ((0, 0), (num_image_tokens, 0))
  mask = prefix_lm(
    jnp.pad(mask_ar, image), jnp.pad(real, image, constant_values=True)
  )
  if segments is not None:
    part = jnp.pad(segments, image, constant_values=-1)
    same = part[:, None, :] == part[:, :, None]
    mask &= same | (part == -1)[:, None, :]
  return mask


def positions(num_image_tokens, real, segments=None):
  """Positions i32[B,P+T], from 0 at the first image token.

  Tokens that are not real do not count; each segment starts again at P.
  """
  count = jnp.cumsum(real, axis=1, dtype=jnp.int32) - 1
  if segments is not None:
    starts = jnp.diff(segments, axis=1, prepend=-1) != 0
    count -= jax.lax.cummax(jnp.where(starts, count, 0), axis=1)
  image = jnp.arange(num_image_tokens, dtype=jnp.int32)
  image = jnp.broadcast_to(image, (real.shape[0], num_image_tokens))
  return jnp.concatenate([image, num_image_tokens + count], axis=1)
