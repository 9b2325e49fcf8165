"""What the forward pass keeps for the gradient, by name."""

import difflib

import flax.linen as nn
import jax

# What a block may mark by `jax.ad_checkpoint.checkpoint_name`: the output of
# its MLP. Where a norm follows, its gradient needs that output, and to compute
# it again takes a third of the block's FLOPs for one [B,T,D] a layer.
MLP_OUT = "mlp_out"

# Names of `jax.checkpoint_policies` that need no further argument, and ours.
POLICIES = (
  "none",
  "nothing_saveable",
  MLP_OUT,
  "dots_saveable",
  "dots_with_no_batch_dims_saveable",
)


def remat(block: type[nn.Module], policy: str) -> type[nn.Module]:
  """Wraps a scanned block so that its activations are computed again.

  Args:
    block: module class that is to be scanned over layers.
    policy: "none" keeps everything, "nothing_saveable" keeps only the block's
      input, "mlp_out" also the output of its MLP, the others keep (some)
      matmul results.

  Raises:
    ValueError: if the policy is not one of `POLICIES`.
  """
  if policy not in POLICIES:
    near = difflib.get_close_matches(policy, POLICIES, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"remat is {policy!r}, expected one of {POLICIES}{hint}")
  if policy == "none":
    return block
  if policy == MLP_OUT:
    keep = jax.checkpoint_policies.save_only_these_names(MLP_OUT)
  else:
    keep = getattr(jax.checkpoint_policies, policy)
  # Inside a scan the loop itself keeps the compiler from merging the two.
  return nn.remat(block, policy=keep, prevent_cse=False)
