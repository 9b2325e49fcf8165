"""From a spec to what is done to one example.

    ops = build("decode|points(112)|resize(112)|draw_qa(8)|tokenize(64)",
                tokenizer=words, extra={"decode": ...})
    example = ops(example)

An example is a dict; an operation returns a new one and changes no array in
place. Keys on the way: those of data/records.py, `draw` (pp.questions.Draw),
points, the rows of pp/text.py, `dropped` (reason -> count). Operations that
depend on `draw` are marked by `draws = True`; those before the first such one
give the same result in every epoch, so that the pipeline may keep it.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from hispatial_jax.core import spec
from hispatial_jax.pp import image, points, questions, released, text

Example = dict[str, Any]
Op = Callable[[Example], Example]

OPS = {
  "resize": image.get_resize,
  "jitter": image.get_jitter,
  "points": points.get_points,
  "drop_points": points.get_drop_points,
  "relative_depth": points.get_relative_depth,
  "scene": questions.get_scene,
  "draw_qa": questions.get_draw_qa,
  "stored_qa": questions.get_stored_qa,
  "wild_qa": released.get_wild_qa,
  "ca1m_qa": released.get_ca1m_qa,
  "general_qa": released.get_general_qa,
}
TEXT_OPS = {
  "tokenize": text.get_tokenize,
  "prompt": text.get_prompt,
}


class Chain:
  """Operations in order; `fixed` do not depend on the draw, `drawn` may."""

  def __init__(self, ops: list[Op]):
    first = [getattr(op, "draws", False) for op in ops] + [True]
    at = first.index(True)
    self.fixed, self.drawn = ops[:at], ops[at:]

  def __call__(self, example: Example) -> Example:
    for op in [*self.fixed, *self.drawn]:
      example = op(example)
    return example

  @property
  def max_questions(self) -> int | None:
    """The most questions a record gives, None if nothing bounds them."""
    ops = [op for op in self.drawn if hasattr(op, "max_questions")]
    return ops[-1].max_questions if ops else None


def build(
  string: str,
  *,
  tokenizer=None,
  extra: Mapping[str, Callable] | None = None,
) -> Chain:
  """Builds the operations of a spec.

  Args:
    string: for example "points(112)|resize(112)|draw_qa(8)|tokenize(64)".
    tokenizer: core.tokenizer.Tokenizer, for tokenize and prompt.
    extra: further operations by name.

  Raises:
    ValueError: unknown operations or arguments, with the nearest names.
  """
  registry = {**OPS, **(extra or {})}
  for name, factory in TEXT_OPS.items():
    registry[name] = functools.partial(factory, tokenizer=tokenizer)
  return Chain(spec.build(string, registry))


def for_decoding(string: str, length: int | None = None) -> str:
  """The same spec with its text operation made `prompt`: no answers.

  Args:
    string: a spec that ends in tokenize(T) or prompt(T).
    length: T of the prompt; None: as it stands.

  Raises:
    ValueError: the spec ends in another operation.
  """
  head, _, last = string.rpartition("|")
  calls = spec.parse(last)
  if not calls or calls[0][0] not in TEXT_OPS:
    raise ValueError(f"{string!r} does not end in {' or '.join(TEXT_OPS)}")
  _, args, kwargs = calls[0]
  length = length or [*args, *kwargs.values()][0]
  return f"{head}|prompt({length})" if head else f"prompt({length})"
