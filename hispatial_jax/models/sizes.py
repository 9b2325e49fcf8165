"""Named sizes of `hispatial.Model`: their arguments, parameters and inputs.

`python -m hispatial_jax.models.sizes 3b_448` prints every parameter.
"""

import argparse
import copy
import difflib
import math

import jax
import jax.numpy as jnp

from hispatial_jax.models import gemma2, hispatial, lora, pointmap, siglip

_SIZES = {"3b": "2b", "10b": "9b", "28b": "27b"}
_TOWERS = {
  "img": siglip.Model,
  "llm": gemma2.Model,
  "pointmap": pointmap.Model,
}


def names() -> list[str]:
  """All names that `config` knows."""
  return ["toy"] + [f"{m}_{px}" for m in _SIZES for px in (224, 448, 896)]


def config(name: str, **overrides) -> dict:
  """Arguments of `hispatial.Model` for a named size.

  Args:
    name: "3b_448", "10b_224", "28b_896", ... or "toy".
    **overrides: replace top-level entries, or entries of the dicts `img`,
      `llm`, `pointmap`, e.g. `config("toy", llm={"vocab_size": 512})`;
      `pointmap=None` leaves the point map out.

  Returns:
    Plain nested dict; `hispatial.Model(**config(...))`.

  Raises:
    ValueError: for an unknown name or key, with the nearest known ones.
  """
  if name not in names():
    raise ValueError(_unknown("model", [name], names()))
  if name == "toy":
    img, llm, image_size = siglip.VARIANTS["toy/14"], "toy", 112
  else:
    size, image_size = name.split("_")
    img, llm = siglip.VARIANTS["so400m/14"], _SIZES[size]
  llm = gemma2.VARIANTS[llm]
  cfg = {
    "img": {
      **img,
      "num_outputs": llm["width"],
      "image_size": int(image_size),
    },
    "llm": {**llm, "vocab_size": 257_152},
    "pointmap": {
      "width": img["width"],
      "num_outputs": llm["width"],
      "num_freqs": 8 if name == "toy" else 32,
      "patch_size": img["patch_size"],
    },
    "dtype": "float32",
    "image_sees_text": True,
  }
  return _override(cfg, overrides)


def _override(cfg, overrides):
  unknown, known = [], []
  for key, value in overrides.items():
    if key in _TOWERS and value is not None:
      fields = [f for f in _TOWERS[key].__dataclass_fields__ if f != "parent"]
      unknown += [f"{key}.{k}" for k in value if k not in fields]
      known += [f"{key}.{field}" for field in fields]
      cfg[key] = {**cfg[key], **copy.deepcopy(dict(value))}
    elif key in cfg:
      cfg[key] = value
    else:
      unknown.append(key)
  if unknown:
    raise ValueError(_unknown("config key", unknown, [*cfg, *known]))
  return cfg


def _unknown(what, wrong, known):
  lines = []
  for name in wrong:
    near = difflib.get_close_matches(name, known, 1)
    lines.append(
      f"{name!r}" + (f" (did you mean {near[0]!r}?)" if near else "")
    )
  return f"unknown {what}: {', '.join(lines)}; known: {', '.join(known)}"


def example_batch(cfg: dict, batch_size: int = 1, length: int = 8) -> dict:
  """Zeros in the shapes of a call; enough for `hispatial.Model.init`."""
  side = cfg["img"]["image_size"]
  image = (batch_size, side, side)
  return {
    "image": jnp.zeros((*image, 3)),
    "points": jnp.zeros((*image, 4)),
    "text": jnp.zeros((batch_size, length), jnp.int32),
    "mask_ar": jnp.zeros((batch_size, length), jnp.int32),
  }


def param_shapes(cfg: dict) -> dict:
  """Nested dict of ShapeDtypeStruct; computes nothing, needs no memory."""

  def init():
    batch = example_batch(cfg)
    return hispatial.Model(**cfg).init(jax.random.key(0), **batch)["params"]

  return jax.eval_shape(init)


def num_params(cfg: dict) -> int:
  """How many numbers the parameters of `hispatial.Model(**cfg)` hold."""
  return sum(leaf.size for leaf in jax.tree.leaves(param_shapes(cfg)))


def main(argv=None):
  """Prints name, shape and size of every parameter, and the total."""
  parser = argparse.ArgumentParser(description=main.__doc__)
  parser.add_argument("name", choices=names(), help="model size and pixels")
  parser.add_argument("--lora", type=int, default=0, help="rank of adapters")
  args = parser.parse_args(argv)
  cfg = config(args.name, llm={"lora": {"rank": args.lora}})
  leaves, _ = jax.tree.flatten_with_path(param_shapes(cfg))
  subtotal = {}
  for path, leaf in leaves:
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    print(f"{name:78} {leaf.shape!s:28} {math.prod(leaf.shape):>14,}")
    tower = name.split("/")[0]
    subtotal[tower] = subtotal.get(tower, 0) + leaf.size
  if args.lora:
    print(f"{'of them adapters':107} {lora.num_params(cfg['llm']):>14,}")
  for tower, size in subtotal.items():
    print(f"{tower:107} {size:>14,}")
  print(f"{'total':107} {sum(subtotal.values()):>14,}")


if __name__ == "__main__":
  main()
