"""FLOPs of a traced program, before any compiler: its jaxpr walked."""

import numpy as np

_DIMENSIONS = "dimension_numbers"


def flops(jaxpr) -> float:
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
      inner = [flops(part) for part in _inside(options)]
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
