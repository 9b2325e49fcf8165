"""MoGe-2 compiled for a TPU that is not there: bytes and FLOPs."""

import os

import numpy as np

_GIB = 2**30
_DIMENSIONS = "dimension_numbers"


def compile_network(args) -> None:
  """Compiles for one chip; prints bytes and FLOPs of the network."""
  os.environ["JAX_PLATFORMS"] = "cpu"
  # Without these libtpu asks the cloud's metadata server what machine this is.
  os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
  os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-1")
  os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
  import jax
  import jax.numpy as jnp
  from jax.experimental import topologies

  from hispatial_jax.moge import dinov2, frame, infer, variants

  config = variants.config(args.variant)
  net = variants.build(config, args.dtype)
  tokens = args.tokens or config["num_tokens_range"][1]
  rows, columns = frame.bucket((args.size, args.size), tokens)[:2]
  try:
    chips = topologies.get_topology_desc(args.topology, platform="tpu").devices
  except Exception as error:  # libtpu raises many kinds; all are told
    reason = (str(error) or type(error).__name__).splitlines()[0]
    raise RuntimeError(
      f"no TPU compiler ({reason}): pip install 'hispatial_jax[tpu]' in an "
      "environment of its own, and run one such process at a time"
    ) from None
  place = jax.sharding.SingleDeviceSharding(chips[0])

  def of(shape, dtype="float32"):
    return jax.ShapeDtypeStruct(shape, jnp.dtype(dtype), sharding=place)

  params = jax.tree.map(
    lambda x: of(x.shape, args.dtype), variants.param_shapes(config)
  )
  x = of((args.batch, dinov2.PATCH * rows, dinov2.PATCH * columns, 3))
  traced = infer._network.trace(net, params, x, of((args.batch,)))
  compiled = traced.lower().compile()
  memory = compiled.memory_analysis()
  sizes = {
    "parameters and input": memory.argument_size_in_bytes,
    "temporaries": memory.temp_size_in_bytes,
    "outputs": memory.output_size_in_bytes,
  }
  total = sum(sizes.values())
  print(
    f"{args.variant}, {args.batch} x {rows * columns + 1} tokens, "
    f"{args.dtype}, one chip of {args.topology}\n\n| | GiB |\n|---|---|"
  )
  for name, size in (sizes | {"together": total}).items():
    print(f"| {name} | {size / _GIB:.2f} |")
  counted = count_flops(traced.jaxpr.jaxpr)
  xla = compiled.cost_analysis()["flops"]
  print(f"\nFLOPs: {counted:.4g} of products and convolutions")
  print(f"FLOPs by XLA's analysis, bodies of loops counted once: {xla:.4g}")
  fits = "fits" if total < 16 * _GIB else "does NOT fit"
  print(f"{fits} the 16 GiB of a v5e")


def count_flops(jaxpr) -> float:
  """FLOPs of matrix products and convolutions, loops as often as they run."""
  total = 0.0
  for eqn in jaxpr.eqns:
    name, options = eqn.primitive.name, eqn.params
    size = float(np.prod(eqn.outvars[0].aval.shape)) if eqn.outvars else 0.0
    if name == "dot_general":
      shape = eqn.invars[0].aval.shape
      total += (
        2 * size * np.prod([shape[i] for i in options[_DIMENSIONS][0][0]])
      )
    elif name == "conv_general_dilated":
      shape = eqn.invars[1].aval.shape
      total += 2 * size * np.prod(shape) / shape[options[_DIMENSIONS][1][0]]
    else:
      inner = [count_flops(part) for part in _inside(options)]
      # Of the ways for several platforms the plain one, which does most.
      found = max(inner, default=0.0) if name == "cond" else sum(inner)
      total += found * options.get("length", 1)
  return total


def _inside(options):
  """The programs among an operation's parameters."""
  for value in options.values():
    for part in value if isinstance(value, tuple | list) else [value]:
      part = getattr(part, "jaxpr", part)
      if hasattr(part, "eqns"):
        yield part
