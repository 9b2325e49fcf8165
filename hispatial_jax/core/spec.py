"""The mini-language of pipelines: `decode|draw_qa(8)|resize(112)`.

A spec is a string of operations joined by `|`. Each is a name, alone or with
Python literals as arguments. It is read by `ast`, never evaluated:

  >>> parse("decode|resize(112)|draw_qa(8, tasks=['size'])")
  [('decode', (), {}), ('resize', (112,), {}),
   ('draw_qa', (8,), {'tasks': ['size']})]
"""

import ast
import difflib
import inspect
from collections.abc import Callable, Iterable
from typing import Any


def parse(string: str) -> list[tuple[str, tuple, dict[str, Any]]]:
  """Reads a spec into [(name, args, kwargs), ...]; empty spec -> [].

  Raises:
    ValueError: the string is no spec; says where.
  """
  if not string.strip():
    return []
  try:
    tree = ast.parse(string.strip(), mode="eval").body
  except SyntaxError as error:
    raise ValueError(
      f"spec {string!r} is not operations joined by '|': {error.msg}"
      f" at character {error.offset}"
    ) from None
  return [_call(node, string) for node in _chain(tree)]


def build(string: str, registry: dict[str, Callable]) -> list[Callable]:
  """Calls the factory of every operation of a spec.

  Args:
    string: the spec.
    registry: name -> factory; factory(*args, **kwargs) is the operation.

  Returns:
    The operations, in order.

  Raises:
    ValueError: unknown names or arguments, all listed, with the nearest one.
  """
  calls = parse(string)
  wrong = []
  for name, args, kwargs in calls:
    if name in registry:
      wrong += _wrong_arguments(name, registry[name], args, kwargs)
    else:
      wrong.append(f"unknown operation {name!r}{did_you_mean(name, registry)}")
  if wrong:
    raise ValueError(f"in spec {string!r}: " + "; ".join(wrong))
  return [registry[name](*args, **kwargs) for name, args, kwargs in calls]


def did_you_mean(name: str, known: Iterable[str]) -> str:
  """The tail of an error: the nearest known name, or all of them."""
  known = sorted(known)
  near = difflib.get_close_matches(name, known, n=1)
  if near:
    return f" (did you mean {near[0]!r}?)"
  return f" (known: {', '.join(known) or 'none'})"


def check_keys(got: Iterable[str], known: Iterable[str], where: str) -> None:
  """Raises ValueError naming every key of `got` that is not known."""
  known = set(known)
  wrong = [f"{k!r}{did_you_mean(k, known)}" for k in got if k not in known]
  if wrong:
    raise ValueError(f"unknown key in {where}: " + "; ".join(wrong))


def _chain(node: ast.expr) -> list[ast.expr]:
  """Flattens a|b|c, which Python reads as (a|b)|c."""
  if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
    return [*_chain(node.left), *_chain(node.right)]
  return [node]


def _call(node: ast.expr, string: str) -> tuple[str, tuple, dict[str, Any]]:
  if isinstance(node, ast.Name):
    return node.id, (), {}
  text = ast.unparse(node)
  if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
    raise ValueError(f"in spec {string!r}: {text!r} is not name or name(...)")
  if any(keyword.arg is None for keyword in node.keywords):
    raise ValueError(f"in spec {string!r}: no ** in {text!r}")
  try:
    args = tuple(ast.literal_eval(arg) for arg in node.args)
    kwargs = {k.arg: ast.literal_eval(k.value) for k in node.keywords}
  except ValueError:
    raise ValueError(
      f"in spec {string!r}: arguments of {text!r} must be literals"
      " (numbers, quoted strings, lists, dicts, True, False, None)"
    ) from None
  return node.func.id, args, kwargs


def _wrong_arguments(name, factory, args, kwargs) -> list[str]:
  signature = inspect.signature(factory)
  kinds = {p.kind for p in signature.parameters.values()}
  if inspect.Parameter.VAR_KEYWORD not in kinds:
    unknown = [k for k in kwargs if k not in signature.parameters]
    if unknown:
      return [
        f"{name} has no argument {k!r}{did_you_mean(k, signature.parameters)}"
        for k in unknown
      ]
  try:
    signature.bind(*args, **kwargs)
  except TypeError as error:
    return [f"{name}{signature}: {error}"]
  return []
