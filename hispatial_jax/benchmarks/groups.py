"""Questions that count only together: rotations and mirror images.

A group with a rotation missing is no pass: under our rule it is a miss and is
counted as incomplete. Where no group at all is complete (a file without
rotations) the figure does not exist and is None.
"""

from hispatial_jax.benchmarks import means


def together(examples, scores, key, rule: str) -> dict[str, int]:
  """0/1 by group: whether a rule holds for all its members.

  Args:
    examples: all examples.
    scores: their scores.
    key: function of an example to the name of its group.
    rule: entry of a score.
  """
  held = {}
  for example, score in zip(examples, scores, strict=True):
    name = key(example)
    held[name] = min(held.get(name, 1), int(score[rule]))
  return held


def incomplete(examples, circle) -> set[str]:
  """Circles (rotations of one picture's question) that miss a rotation.

  Args:
    examples: with `rotation`, an int, in their data.
    circle: function of an example to the name of its circle.
  """
  there, wanted = {}, {}
  for example in examples:
    name = circle(example)
    there.setdefault(name, set()).add(example.data["rotation"])
    wanted[name] = len(example.options)
  return {n for n, found in there.items() if found != set(range(wanted[n]))}


def strict(held: dict[str, int], broken: set[str]) -> dict[str, int] | None:
  """`held` with broken groups as misses; None when all of them are broken."""
  if held and not set(held) - broken:
    return None
  return {name: 0 if name in broken else hit for name, hit in held.items()}


def share(held: dict[str, int] | None, names=None) -> float | None:
  """Mean over groups, or over those named."""
  if held is None:
    return None
  return means.mean(held[n] for n in (held if names is None else names))
