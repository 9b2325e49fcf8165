"""Focal length and depth shift of affine point maps, batched, on the device.

An affine point map lacks a shift of its depths and knows no focal length. Both
follow from where the pixels are: with q = (x, y) / (z + shift) the residuals
r = focal * q - (u, v) vanish. The focal length enters linearly and is
eliminated, so that one unknown is left, found by Gauss-Newton.

With w = 1 / (z + shift), p = q.q, m the mean of w weighted by p, e = w - m and
G = sum(e * q.r), the derivative of r is J = q * (G / sum(p) - focal * e), hence

  -J.r = focal * G    J.J = focal^2 * sum(e^2 * p) + G^2 / sum(p)

These sums hold differences from a mean only, which float32 carries well. With
a given focal length m = 0 and the term in G^2 is absent.

Units: (u, v) are pixel centres of a frame whose half-diagonal is 1, and focal
lengths count half-diagonals; shifts have the unit of the points.

Source: golden/moge2/FORMAT.md, sections 5 and 6.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# The problem is solved on this many rows and columns of every map.
_SIDE = 64
# Well-posed maps take 1 to 6 steps at ftol 1e-3 and some 15 to convergence.
_MAX_TRIALS = 100
# Steps that change the rays by less than this, relatively, are lost in float32.
_STILL = 3e-8
# Relative differences of the cost that float32 cannot tell from rounding.
_BLUR = 1e-6


class _Samples(NamedTuple):
  """f32[B,64,64] each; where invalid x and y are 0, z is 1; valid is bool."""

  x: jax.Array
  y: jax.Array
  z: jax.Array
  u: jax.Array
  v: jax.Array
  valid: jax.Array


class _Fit(NamedTuple):
  """What the residuals at one shift say; f32[B] each.

  cost is the sum of squares, step the Gauss-Newton step, predicted the share of
  the cost that it should remove, rate the relative change of rays per unit of
  shift.
  """

  focal: jax.Array
  cost: jax.Array
  step: jax.Array
  predicted: jax.Array
  rate: jax.Array


def recover(
  points, mask=None, *, size=None, focal=None, ftol=1e-3
) -> tuple[jax.Array, jax.Array]:
  """Recovers the focal length and the depth shift of each map of a batch.

  Args:
    points: f32[B,H,W,3] affine points, any unit; z lacks the shift.
    mask: bool[B,H,W] pixels to trust; None trusts all. What lies outside may
      hold anything; points not finite or of depth 0 are never used.
    size: i32[B,2] height and width of the top-left part of the map that is the
      image; None: all of it. Not static: one compilation serves all sizes.
    focal: f32[B] (or one number) in half-diagonals, if known; None finds it.
    ftol: stop once a step lowers the sum of squares, in fact and by prediction,
      by no more than this share. 1e-3 reproduces the reference, 0 converges.

  Returns:
    focal f32[B] in half-diagonals and shift f32[B] in the unit of the points.
    1 (or the given focal) and 0 if fewer than two sampled pixels are valid, or
    if their x and y are all 0.

  Raises:
    ValueError: if the shapes do not fit.
  """
  size = _check(points, mask, size)
  if focal is not None:
    focal = jnp.broadcast_to(jnp.asarray(focal, jnp.float32), points.shape[:1])
  return _recover(points, mask, size, focal, jnp.float32(ftol))


def recover_shift(points, mask, intrinsics, *, size=None, ftol=1e-3):
  """Recovers the depth shift under a known camera, centred or not.

  Equals `recover(..., focal=)` if the camera is centred with square pixels.

  Args:
    points, mask, size, ftol: as for `recover`.
    intrinsics: f32[3,3] or f32[B,3,3], normalised (core/geometry.py).

  Returns:
    shift f32[B] in the unit of the points.

  Raises:
    ValueError: if the shapes do not fit.
  """
  size = _check(points, mask, size)
  if np.shape(intrinsics) not in ((3, 3), (len(points), 3, 3)):
    raise ValueError(
      f"intrinsics are {np.shape(intrinsics)}, expected (3, 3) or "
      f"({len(points)}, 3, 3): one matrix, or one for each map"
    )
  k = jnp.asarray(intrinsics, jnp.float32)
  k = jnp.broadcast_to(k, (len(points), 3, 3))
  return _recover_shift(points, mask, size, k, jnp.float32(ftol))


def _check(points, mask, size):
  """Size of each map, i32[B,2]; raises if anything does not fit."""
  shape = np.shape(points)
  if len(shape) != 4 or shape[-1] != 3:
    raise ValueError(f"points are {shape}, expected (B, H, W, 3)")
  if mask is not None and np.shape(mask) != shape[:3]:
    raise ValueError(
      f"mask is {np.shape(mask)}, expected {shape[:3]}, as the points have it"
    )
  if size is None:
    return np.broadcast_to(np.array(shape[1:3], np.int32), (shape[0], 2))
  if np.shape(size) != (shape[0], 2):
    raise ValueError(
      f"size is {np.shape(size)}, expected ({shape[0]}, 2): height and width "
      "of each map"
    )
  if not isinstance(size, jax.Array):
    size = np.asarray(size, np.int32)
    if (size < 1).any() or (size > shape[1:3]).any():
      raise ValueError(
        f"size is {size.tolist()}, expected 1 to {shape[1:3]} in every row"
      )
  return size


@jax.jit
def _recover(points, mask, size, focal, ftol):
  samples = _sample(points, mask, size)
  h, w = (size[:, i, None, None].astype(jnp.float32) for i in (0, 1))
  diagonal = jnp.hypot(h, w)
  u, v = samples.u * (w / diagonal), samples.v * (h / diagonal)
  return _solve(samples._replace(u=u, v=v), focal, ftol)


@jax.jit
def _recover_shift(points, mask, size, k, ftol):
  samples = _sample(points, mask, size)
  one = jnp.ones_like(k[:, 0, 0])
  k = k[:, :, :, None, None]
  y = (0.5 * (samples.v + 1) - k[:, 1, 2]) / k[:, 1, 1]
  x = (0.5 * (samples.u + 1) - k[:, 0, 2] - k[:, 0, 1] * y) / k[:, 0, 0]
  return _solve(samples._replace(u=x, v=y), one, ftol)[1]


def _sample(points, mask, size) -> _Samples:
  """Takes pixel floor(i * size / 64) of each axis; u, v are -1 to 1."""
  size = size.astype(jnp.int32)[:, :, None, None]
  h, w = size[:, 0], size[:, 1]
  # i * size stays below 2**31 up to 33 million pixels a side: exact.
  steps = jnp.arange(_SIDE, dtype=jnp.int32)
  rows, columns = steps[:, None] * h // _SIDE, steps * w // _SIDE
  at = (jnp.arange(len(size))[:, None, None], rows, columns)
  points = points.at[at].get(mode="clip").astype(jnp.float32)
  valid = jnp.isfinite(points).all(axis=-1) & (points[..., 2] != 0)
  if mask is not None:
    valid &= mask.at[at].get(mode="clip").astype(bool)
  u = (2 * columns + 1 - w).astype(jnp.float32) / w.astype(jnp.float32)
  v = (2 * rows + 1 - h).astype(jnp.float32) / h.astype(jnp.float32)
  x, y, z = (points[..., i] for i in range(3))
  x, y = jnp.where(valid, x, 0), jnp.where(valid, y, 0)
  return _Samples(x, y, jnp.where(valid, z, 1), u, v, valid)


def _fit(samples: _Samples, shift, focal) -> _Fit:
  """Residuals and their derivative, summed; see the head of this file."""
  x, y, z, u, v, valid = samples
  total = functools.partial(jnp.sum, axis=(1, 2))
  wide = (slice(None), None, None)
  w = valid.astype(jnp.float32) / jnp.where(valid, z + shift[wide], 1)
  x, y = x * w, y * w
  p = x * x + y * y
  size = total(p)
  rate = total(w * w * p) / size
  if focal is None:
    focal, mean = total(x * u + y * v) / size, total(w * p) / size
    projected = 1 / size
  else:
    mean = projected = jnp.zeros_like(size)
  rx, ry = focal[wide] * x - u, focal[wide] * y - v
  cost = total(rx * rx + ry * ry)
  e = w - mean[wide]
  pull = total(e * (x * rx + y * ry))
  spread = total(e * e * p)
  # Pixels of one depth fit any shift; 1e-5 apart, float32 sees nothing else.
  curvature = focal * focal * spread + pull * pull * projected
  known = (spread > 1e-10 * rate * size) & (curvature > 0)
  step = jnp.where(known, focal * pull / jnp.where(known, curvature, 1), 0)
  predicted = step * focal * pull / jnp.where(cost > 0, cost, 1)
  return _Fit(focal, cost, step, predicted, jnp.sqrt(rate))


def _solve(samples: _Samples, focal, ftol):
  """Gauss-Newton from shift 0; each image stops by itself.

  A trial counts if it lowers the cost, or, where rounding hides that, if it
  flattens the slope; else half the step is tried. No trial may put a pixel
  behind the camera if none was at the start.
  """
  u, v = (jnp.where(samples.valid, a, 0) for a in (samples.u, samples.v))
  samples = samples._replace(u=u, v=v)  # the invalid leave no residual
  nearest = jnp.min(jnp.where(samples.valid, samples.z, jnp.inf), axis=(1, 2))

  def trial(state):
    count, shift, fit, step, done = state
    new_shift = shift + step
    new = _fit(samples, new_shift, focal)
    fall = 1 - new.cost / fit.cost
    clear = fall >= jnp.maximum(1e-4 * fit.predicted, _BLUR)
    flatter = (fall > -_BLUR) & (new.predicted < fit.predicted)
    ahead = (nearest <= 0) | (new_shift + nearest > 0)
    better = (clear | flatter) & ahead & ~done
    shift = jnp.where(better, new_shift, shift)
    new = jax.tree.map(lambda a, b: jnp.where(better, a, b), new, fit)
    step = jnp.where(better, new.step, 0.5 * step)
    done |= (jnp.abs(fall) <= ftol) & (fit.predicted <= ftol)
    done |= jnp.abs(step) * new.rate <= _STILL
    return count + 1, shift, new, step, done

  def unfinished(state):
    return (state[0] < _MAX_TRIALS) & ~jnp.all(state[-1])

  shift = jnp.zeros(len(samples.z), jnp.float32)
  fit = _fit(samples, shift, focal)
  enough = jnp.sum(samples.valid, axis=(1, 2), dtype=jnp.int32) >= 2
  enough &= jnp.isfinite(fit.rate)  # all rays 0, or beyond float32
  done = ~enough | (jnp.abs(fit.step) * fit.rate <= _STILL)
  state = (jnp.int32(0), shift, fit, fit.step, done)
  _, shift, fit, _, _ = jax.lax.while_loop(unfinished, trial, state)
  if focal is None:
    fit = fit._replace(focal=jnp.where(enough, fit.focal, 1))
  return fit.focal, jnp.where(enough, shift, 0)
