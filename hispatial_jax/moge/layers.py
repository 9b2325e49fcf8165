"""Layers of MoGe-2's convolution stacks.

Maps are [B,H,W,C]. Every 3 x 3 convolution repeats the edge of its map.

Source: golden/moge2/FORMAT.md, section 4.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from hispatial_jax.moge import conv, linear

ACTIVATIONS = {
  "relu": nn.relu,
  "leaky_relu": lambda x: nn.leaky_relu(x, 0.2),
  "silu": nn.silu,
  "elu": nn.elu,
}
NORMS = ("layer_norm", "group_norm", "instance_norm", "none")


class Conv(nn.Module):
  """3 x 3 convolution that keeps the size of the map.

  Attributes:
    features: channels given out.
    dtype: of the convolution.
    doubling: of the map doubled bilinearly, and as a `linear.Linear`.
  """

  features: int
  dtype: str
  doubling: bool = False

  @nn.compact
  def __call__(self, x, activation=None, residual=None):
    """The map, see `conv.conv3x3`, or a `linear.Linear`."""
    shape = (3, 3, x.shape[-1], self.features)
    kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
    bias = self.param("bias", nn.initializers.zeros, (self.features,))
    if self.doubling:
      return linear.doubled(x.astype(self.dtype), kernel, bias)
    return conv.conv3x3(
      *(a.astype(self.dtype) for a in (x, kernel, bias)),
      activation=activation,
      residual=residual,
    )


class Dense(nn.Module):
  """1 x 1 convolution, of a map or of a `linear.Linear`."""

  features: int
  dtype: str

  @nn.compact
  def __call__(self, x):
    C = x.features if isinstance(x, linear.Linear) else x.shape[-1]
    shape = (C, self.features)
    kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
    bias = self.param("bias", nn.initializers.zeros, (self.features,))
    if isinstance(x, linear.Linear):
      return x.dense(kernel, bias)
    y = jnp.matmul(x.astype(self.dtype), kernel.astype(self.dtype))
    return y + bias.astype(self.dtype)


class ConvTranspose(nn.Module):
  """2 x 2 convolution onto a map of twice the size, no two of them meet."""

  features: int
  dtype: str

  @nn.compact
  def __call__(self, x):
    shape = (2, 2, x.shape[-1], self.features)
    kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
    bias = self.param("bias", nn.initializers.zeros, (self.features,))
    x = x.astype(self.dtype)
    y = jnp.einsum("BHWC,abCF->BHaWbF", x, kernel.astype(self.dtype))
    B, H, _, W, *_ = y.shape
    y = y + bias.astype(self.dtype)
    return y.reshape(B, 2 * H, 2 * W, self.features)


class Norm(nn.Module):
  """Normalises groups of channels over the whole map; float32 inside.

  Attributes:
    kind: "layer_norm" one group, "group_norm" groups of 32 channels,
      "instance_norm" every channel alone and without parameters.
  """

  kind: str

  @nn.compact
  def __call__(self, x):
    B, H, W, C = x.shape
    groups = {"layer_norm": 1, "group_norm": C // 32, "instance_norm": C}
    y = x.astype(jnp.float32).reshape(B, H, W, groups[self.kind], -1)
    mean = jnp.mean(y, axis=(1, 2, 4), keepdims=True)
    var = jnp.mean(jnp.square(y - mean), axis=(1, 2, 4), keepdims=True)
    y = ((y - mean) * jax.lax.rsqrt(var + 1e-5)).reshape(x.shape)
    if self.kind != "instance_norm":
      scale = self.param("scale", nn.initializers.ones, (C,))
      bias = self.param("bias", nn.initializers.zeros, (C,))
      y = y * scale.astype(jnp.float32) + bias.astype(jnp.float32)
    return y.astype(x.dtype)


class ResidualBlock(nn.Module):
  """Norm, activation, convolution, twice, added to the input.

  Attributes:
    features, hidden: channels of the output and between the convolutions.
    in_norm, hidden_norm: one of NORMS.
    activation: one of ACTIVATIONS.
    dtype: of the convolutions.
  """

  features: int
  hidden: int
  in_norm: str
  hidden_norm: str
  activation: str
  dtype: str

  @nn.compact
  def __call__(self, x):
    y, norms = x, (self.in_norm, self.hidden_norm)
    for i, features in enumerate((self.hidden, self.features)):
      if norms[i] != "none":
        y = Norm(norms[i], name=f"norm_{i}")(y)
      step = Conv(features, self.dtype, name=f"conv_{i}")
      skip = self._skip(x) if i else None
      y = step(y, ACTIVATIONS[self.activation], skip)
    return y

  def _skip(self, x):
    if x.shape[-1] != self.features:
      x = Dense(self.features, self.dtype, name="skip")(x)
    return x.astype(self.dtype)
