"""The optimizer: schedules, frozen leaves, decayed leaves, clip, AdamW.

    opt = optim.build(cfg.optim, param_shapes, total_steps=cfg.total_steps)
    train, frozen = opt.split(params)       # gradients only for `train`
    state = opt.tx.init(train)              # no moments for frozen leaves
    updates, state = opt.tx.update(grads, state, train)
    params = opt.join(optax.apply_updates(train, updates), frozen)

One step, in the reference's order: the global norm over trainable leaves is
clipped by the factor min(1, clip / (norm + 1e-6)); moments; bias correction;
eps outside the square root; then p <- p - lr * (decay * p + m / (sqrt(v) +
eps)), which equals decaying p by lr * decay before Adam's update.

Source: tests/golden/hispatial_model/FORMAT.md, "Optimiser step".
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from hispatial_jax.core import freeze, tree

# Norm scales and biases stay as they are; all other leaves are matrices (the
# leading axis of stacked layers does not make a vector one).
NOT_DECAYED = (r"(.*/)?(bias|scale)",)


def schedule(
  kind: str,
  lr: float,
  *,
  total_steps: int,
  warmup_steps: int = 0,
  final: float = 0.0,
) -> Callable[[Any], jax.Array]:
  """Learning rate as a function of the number of updates already done.

  Args:
    kind: "constant", "cosine" or "linear" (both fall to final * lr).
    lr: the peak.
    total_steps: updates of the whole run, the warm-up included.
    warmup_steps: updates of linear rise; the first one uses lr / warmup_steps.
    final: fraction of lr reached at total_steps.

  Returns:
    fn(step) -> f32[].
  """
  if kind not in ("constant", "cosine", "linear"):
    raise ValueError(
      f"schedule kind {kind!r}: expected one of 'constant', 'cosine', 'linear'"
    )
  if not 0 <= warmup_steps <= total_steps:
    raise ValueError(
      f"warmup_steps {warmup_steps} must lie in 0..total_steps ({total_steps})"
    )

  def rate(step):
    step = jnp.asarray(step, jnp.float32)
    rest = max(total_steps - warmup_steps, 1)
    done = jnp.clip((step - warmup_steps) / rest, 0.0, 1.0)
    left = {
      "constant": jnp.ones_like(done),
      "cosine": 0.5 * (1.0 + jnp.cos(jnp.pi * done)),
      "linear": 1.0 - done,
    }[kind]
    if kind != "constant":
      left = final + (1.0 - final) * left
    rise = jnp.minimum(1.0, (step + 1.0) / max(warmup_steps, 1))
    return jnp.float32(lr) * left * rise

  return rate


def global_norm(grads) -> jax.Array:
  """f32[]: L2 norm over all leaves together, summed in float32."""
  squares = [
    jnp.sum(jnp.square(g.astype(jnp.float32))) for g in jax.tree.leaves(grads)
  ]
  return jnp.sqrt(sum(squares, jnp.float32(0)))


def subtree_norms(grads) -> dict[str, jax.Array]:
  """{"llm/layers": f32[]}: L2 norms by the first two parts of the names."""
  groups: dict[str, list] = {}
  for name, leaf in tree.flatten(grads).items():
    groups.setdefault("/".join(name.split("/")[:2]), []).append(leaf)
  return {name: global_norm(leaves) for name, leaves in groups.items()}


def clip_by_global_norm(limit: float) -> optax.GradientTransformation:
  """Scales gradients by min(1, limit / (norm + 1e-6)).

  optax's own clip has no 1e-6 and leaves norms below the limit alone; golden
  numbers come from torch's clip_grad_norm_, which is this.
  """

  def update(updates, state, params=None):
    del params
    factor = jnp.minimum(1.0, limit / (global_norm(updates) + 1e-6))

    def scale(g):
      return (g * factor.astype(g.dtype)).astype(g.dtype)

    return jax.tree.map(scale, updates), state

  return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def scale_by_adam(
  b1: float, b2: float, eps: float, *, mu_dtype: str | None = None
) -> optax.GradientTransformation:
  """Gradients -> m / (sqrt(v) + eps), both moments bias-corrected.

  optax.scale_by_adam with two differences: it runs under strict dtype
  promotion, and 1 - b**t keeps its digits in float32 (0.999**1 leaves four).
  """

  def init(params):
    mu = jax.tree.map(lambda p: jnp.zeros_like(p, dtype=mu_dtype), params)
    nu = jax.tree.map(jnp.zeros_like, params)
    return optax.ScaleByAdamState(jnp.zeros((), jnp.int32), mu, nu)

  def update(grads, state, params=None):
    del params
    count = optax.safe_increment(state.count)
    time = count.astype(jnp.float32)
    left = [-jnp.expm1(time * math.log(b)) for b in (b1, b2)]

    def moment(g, m, v):
      m = b1 * m.astype(g.dtype) + (1 - b1) * g
      v = b2 * v + (1 - b2) * g * g
      corrected = [
        x / c.astype(x.dtype) for x, c in zip((m, v), left, strict=True)
      ]
      return m, v, corrected[0] / (jnp.sqrt(corrected[1]) + eps)

    both = jax.tree.map(moment, grads, state.mu, state.nu)
    pick = functools.partial(_nth, both, jax.tree.structure(grads))
    mu = jax.tree.map(lambda m, old: m.astype(old.dtype), pick(0), state.mu)
    return pick(2), optax.ScaleByAdamState(count, mu, pick(1))

  return optax.GradientTransformation(init, update)


def _nth(tree_of_tuples, structure, n):
  leaves = structure.flatten_up_to(tree_of_tuples)
  return structure.unflatten([leaf[n] for leaf in leaves])


def adamw(
  rate: float | Callable[[Any], jax.Array],
  *,
  b1: float = 0.9,
  b2: float = 0.999,
  eps: float = 1e-8,
  weight_decay: float = 0.1,
  decay_mask=None,
  clip: float | None = 1.0,
  mu_dtype: str | None = None,
) -> optax.GradientTransformation:
  """AdamW in the reference's order.

  Args:
    rate: learning rate, or a function of the number of updates done.
    b1, b2, eps: Adam's constants; eps is added outside the square root.
    weight_decay: decoupled decay, multiplied by the learning rate.
    decay_mask: pytree of bool like the trainable params (see `decayed`).
    clip: limit of the global norm; None or 0 for no clipping.
    mu_dtype: dtype of the first moment, None for that of the parameter.
  """
  parts = [clip_by_global_norm(clip)] if clip else []
  parts.append(scale_by_adam(b1, b2, eps, mu_dtype=mu_dtype))
  if weight_decay:
    parts.append(optax.add_decayed_weights(weight_decay, mask=decay_mask))
  parts.append(optax.scale_by_learning_rate(rate))
  return optax.chain(*parts)


def decayed(params, keep=NOT_DECAYED):
  """Pytree of bool: True where weight decay acts (names match none of keep)."""
  return jax.tree.map(lambda hit: not hit, tree.masks(params, list(keep)))


@dataclasses.dataclass(frozen=True)
class Optimizer:
  """What `build` returns.

  Attributes:
    tx: optax transformation over the trainable leaves.
    rate: fn(updates done) -> learning rate.
    frozen: pytree of bool over all parameters.
  """

  tx: optax.GradientTransformation
  rate: Callable[[Any], jax.Array]
  frozen: Any

  def split(self, params):
    """(trainable, frozen) parts of params."""
    return freeze.split(params, self.frozen)

  def join(self, trainable, frozen):
    """The whole parameters again."""
    return freeze.join(trainable, frozen)


def build(cfg, params, *, total_steps: int) -> Optimizer:
  """The optimizer of a config.

  Args:
    cfg: mapping with lr, schedule, warmup_steps, final, b1, b2, eps,
      weight_decay, clip, mu_dtype ("" for the parameter's), freeze or train
      (see `freeze.mask`), no_decay (regexes; all other leaves decay).
    params: parameters, or their shapes.
    total_steps: updates of the whole run.

  Raises:
    ValueError: freeze and train do not fit the parameters.
  """
  rate = schedule(
    cfg["schedule"],
    cfg["lr"],
    total_steps=total_steps,
    warmup_steps=cfg["warmup_steps"],
    final=cfg["final"],
  )
  frozen = freeze.mask(params, freeze=cfg["freeze"], train=cfg["train"])
  trainable, _ = freeze.split(params, frozen)
  tx = adamw(
    rate,
    b1=cfg["b1"],
    b2=cfg["b2"],
    eps=cfg["eps"],
    weight_decay=cfg["weight_decay"],
    decay_mask=decayed(trainable, cfg["no_decay"]),
    clip=cfg["clip"],
    mu_dtype=cfg["mu_dtype"] or None,
  )
  return Optimizer(tx=tx, rate=rate, frozen=frozen)
