"""HiSpatial: PaliGemma-2 that also reads a metric point map. READ ME FIRST.

    image --> siglip ----> img/head -------+
                                           +--> image tokens --+
    points -> pointmap --> pointmap/head --+                   +--> gemma2
                                               text tokens ----+

The reference projects the concatenation [SigLIP, points] with one Linear. That
equals the sum of two, so PaliGemma's parameters keep their big_vision names and
values, and the fusion is the new subtree `pointmap`, whose head starts at zero:
untrained, the model is PaliGemma-2.

Axis letters, here and in every einsum of this room:

    B batch           T query tokens    S key tokens (or pixels of a side)
    N query heads     K key/value heads G = N / K       H head dim
    D width           F mlp (or freqs)  V vocabulary    L layers
    P image tokens    C channels

`models/sizes.py` knows the arguments of `Model` for the released sizes.
"""

import flax
import flax.linen as nn
import jax.numpy as jnp

from hispatial_jax.core import mesh
from hispatial_jax.models import (
  attention,
  gemma2,
  masks,
  pointmap,
  siglip,
)


class Model(nn.Module):
  """Image, point map and text -> logits of the text's next tokens.

  Attributes:
    img: arguments of `siglip.Model`.
    llm: arguments of `gemma2.Model`.
    pointmap: arguments of `pointmap.Model`; None is plain PaliGemma-2, which
      ignores `points`.
    dtype: of activations and matmuls in all three. Softmax, norms, rotary
      angles, point encoding and loss are float32 whatever it is.
    image_sees_text: True is the reference's prefix: image and question see
      each other. False hides the question from the image, so that the image
      is read once for all the questions about it: another model, to be
      trained so.
  """

  img: dict
  llm: dict
  pointmap: dict | None = None
  dtype: str = "float32"
  image_sees_text: bool = True

  def __post_init__(self):
    # Frozen, so that a model can be hashed: jit takes it as a constant.
    for name in ("img", "llm", "pointmap"):
      if getattr(self, name) is not None:
        frozen = flax.core.freeze(dict(getattr(self, name)))
        object.__setattr__(self, name, frozen)
    super().__post_init__()

  def setup(self):
    self._img = siglip.Model(**self.img, dtype=self.dtype, name="img")
    self._llm = gemma2.Model(**self.llm, dtype=self.dtype, name="llm")
    if self.pointmap is not None:
      self._pointmap = pointmap.Model(
        **self.pointmap, dtype=self.dtype, name="pointmap"
      )

  def __call__(self, image, points, text, mask_ar):
    """Logits at every text position.

    Args:
      image: f32[B,S,S,3] RGB in [-1, 1].
      points: f32[B,S,S,4] x, y, z in metres (camera frame) and validity; None
        leaves the point map out.
      text: i32[N,T] tokens; bos prefix newline suffix eos pad. N = R * B:
        rows b * R to b * R + R - 1 are about image b. R > 1 needs
        image_sees_text=False.
      mask_ar: i32[N,T]; 0 on the prefix, 1 on suffix and padding.

    Returns:
      (f32[N,T,V] next-token logits after the final softcap, dict of
      intermediate values).

    Raises:
      ValueError: if text and image rows do not go together.
    """
    x, out = self.pre_logits(image, points, text, mask_ar)
    out["text_logits"] = self.logits(x)
    return out["text_logits"], out

  def embed_image(self, image, points):
    """(image tokens [B,P,D], dict of the towers' outputs)."""
    out = {}
    tokens, out["img/encoded"] = self._img(mesh.constrain(image))
    if self.pointmap is not None and points is not None:
      new, out["pointmap/encoded"] = self._pointmap(mesh.constrain(points))
      tokens += new
    out["image_tokens"] = tokens
    return tokens, out

  def pre_logits(self, image, points, text, mask_ar):
    """Like a call, but [N,T,D] before the output table; see `logits`."""
    tokens, out = self.embed_image(image, points)
    real = jnp.ones(text.shape, bool)
    x, _, seen = self._read(tokens, text, mask_ar, real)
    return x, out | seen

  def _read(self, tokens, text, mask_ar, real, empty=None):
    """Image tokens [B,P,D] and text i32[N,T] through the language model.

    With `empty`, a cache of no rows, the keys and values of all P + T rows
    are returned as well.

    Returns:
      ([N,T,D] of the text, attention.Cache or None, dict of intermediate
      values).
    """
    B, P = tokens.shape[:2]
    if text.shape[0] % B or (text.shape[0] > B and self.image_sees_text):
      raise ValueError(
        f"{text.shape[0]} rows of text for {B} images: expected as many, or "
        "with image_sees_text=False a multiple of them"
      )
    x = self._llm.embed(text)
    if self.image_sees_text:
      mask = masks.image_and_text(P, mask_ar, real)
      x = jnp.concatenate([tokens, x], axis=1)
      x, cache = self._llm(x, masks.positions(P, real), mask, empty)
      return x[:, P:], cache, {"attn_mask": mask, "pre_logits": x}
    start = self._llm.empty_cache(B) if empty is None else empty
    at = masks.positions(P, real)
    everywhere = jnp.ones((B, P, P), bool)
    _, image = self._llm(tokens, at[:B, :P], everywhere, start)
    mask = masks.text_after_image(P, mask_ar, real)
    x, new = self._llm(x, at[:, P:], mask, image)
    cache = None if empty is None else attention.join(image, new)
    return x, cache, {"attn_mask": mask, "pre_logits": x}

  def embed_text(self, text):
    """Tokens i32[N,T] -> [N,T,D]."""
    return self._llm.embed(text)

  def logits(self, x):
    """[...,D] -> f32[...,V], softcapped."""
    return self._llm.logits(x)

  def output_table(self):
    """([V,D], softcap): what `logits` multiplies with, then applies."""
    return self._llm.output_table()

  def prefill(self, image, points, text, mask_ar, mask_input, cache_dtype=None):
    """Reads the prompts once; see `models/decode.py`.

    Args:
      image, points, text, mask_ar: as in a call; one prompt a row.
      mask_input: i32[N,T], 1 on the prompt's tokens. They stand at the left.
      cache_dtype: of the keys and values; None is the model's dtype.

    Returns:
      (f32[N,V] logits after each row's last token, attention.Cache of all P + T
      rows, bool[N,P+T] which of them are real).
    """
    real = mask_input.astype(bool)
    tokens, _ = self.embed_image(image, points)
    B, P = tokens.shape[:2]
    empty = self._llm.empty_cache(B, cache_dtype)
    x, cache, _ = self._read(tokens, text, mask_ar, real, empty)
    last = jnp.sum(real, axis=1) - 1
    x = jnp.take_along_axis(x, last[:, None, None], axis=1)[:, 0]
    real = jnp.pad(real, ((0, 0), (P, 0)), constant_values=True)
    return self.logits(x), cache, real

  def extend(self, token, position, cache, visible):
    """One more token a row.

    Args:
      token: i32[B].
      position: i32[B] of that token.
      cache: attention.Cache of S rows.
      visible: bool[B,S], cache rows that the token may see.

    Returns:
      (f32[B,V] logits of the next token, attention.Cache of the one new row).
    """
    itself = jnp.ones((token.shape[0], 1), bool)
    mask = jnp.concatenate([visible, itself], axis=1)[:, None]
    x = self._llm.embed(token[:, None])
    x, new = self._llm(x, position[:, None], mask, cache)
    return self.logits(x[:, 0]), new
