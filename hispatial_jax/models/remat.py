"""What the forward pass keeps for the gradient, by name."""

import difflib

import flax.linen as nn
import jax

# Names of `jax.checkpoint_policies` that need no further argument.
POLICIES = (
  "none",
  "nothing_saveable",
  "dots_saveable",
  "dots_with_no_batch_dims_saveable",
)


def remat(block: type[nn.Module], policy: str) -> type[nn.Module]:
  """Wraps a scanned block so that its activations are computed again.

  Args:
    block: module class that is to be scanned over layers.
    policy: "none" keeps everything, "nothing_saveable" keeps only the block's
      input, the others keep (some) matmul results.

  Raises:
    ValueError: if the policy is not one of `POLICIES`.
  """
  if policy not in POLICIES:
    near = difflib.get_close_matches(policy, POLICIES, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"remat is {policy!r}, expected one of {POLICIES}{hint}")
  if policy == "none":
    return block
  keep = getattr(jax.checkpoint_policies, policy)
  # Inside a scan the loop itself keeps the compiler from merging the two.
  return nn.remat(block, policy=keep, prevent_cse=False)
