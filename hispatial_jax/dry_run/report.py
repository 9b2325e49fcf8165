"""The figures of figures.py as a page of text."""

_GIB = 2**30


def table(found: dict) -> str:
  """What a device holds, does and takes at least."""
  lines = [*_head(found), "", *_memory(found), "", *_work(found)]
  if "least_seconds" in found:
    lines += ["", *_times(found)]
  return "\n".join(lines)


def _head(found):
  sizes = " x ".join(f"{k}={n}" for k, n in found["mesh"].items())
  known = ("batch_size", "questions", "text_length")
  known += ("variant", "tokens", "dtype")
  facts = [f"{name} {found[name]}" for name in known if name in found]
  facts = ", ".join(facts).replace("_", " ")
  versions = [f"{n} {found[n]}" for n in ("libtpu", "jax") if n in found]
  recipe = [found.get("config") or "", *found.get("set", [])]
  return [
    f"{found['what']}: {' '.join(recipe)}".rstrip(" :"),
    f"{found['devices']} as {sizes}; {facts}; {', '.join(versions)}, compiled "
    f"in {found['compile_seconds']:.0f} s",
  ]


def _memory(found):
  lines = ["| of a chip | GiB |", "|---|---:|"]
  lines += [f"| {k} | {_gib(x)} |" for k, x in found["bytes"].items()]
  kinds = found["temporaries_by_kind"]
  if kinds:
    lines += ["", "| temporaries, GiB | when most is held | its own most |"]
    lines += ["|---|---:|---:|"]
  lines += [
    f"| {kind} | {_gib(x['at_peak'])} | {_gib(x['most'])} |"
    for kind, x in kinds.items()
  ]
  if found["largest_temporaries"]:
    lines += ["", "largest temporaries (one memory, several in turn):"]
    lines += [f"  {row}" for row in found["largest_temporaries"]]
  return lines


def _gib(size):
  """Two digits, and more where they would be zeros."""
  size /= _GIB
  return f"{size:.2f}" if size >= 0.01 or not size else f"{size:.2g}"


def _work(found):
  lines = ["| of a chip's step | |", "|---|---:|"]
  if "model_flops" in found:
    parts = found["model_flops_by_part"]
    listed = ", ".join(f"{k} {_tera(x)}" for k, x in parts.items() if x)
    lines.append(f"| model TFLOP ({listed}) | {_tera(found['model_flops'])} |")
  lines += [
    f"| hardware TFLOP | {_tera(found['hardware_flops'])} |",
    f"| HBM GB moved | {found['hbm_bytes_moved'] / 1e9:.1f} |",
    f"| GB moved, on-chip memory included | {found['bytes_moved'] / 1e9:.1f} |",
  ]
  for kind, x in found["collectives"].items():
    lines.append(
      f"| {kind}, GB sent, {x['count']:.0f} times | {x['bytes'] / 1e9:.2f} |"
    )
  if "model_flops" in found and "least_seconds" not in found:
    lines += ["", f"hardware / model FLOPs {found['hardware_over_model']:.3f}"]
  return lines


def _tera(flops):
  return f"{flops / 1e12:.2f}" if flops > 1e10 else f"{flops / 1e12:.2g}"


def _times(found):
  lines = ["| least time | ms |", "|---|---:|"]
  for name, x in found["least_seconds"].items():
    mark = " (the longest)" if name == found["longest"] else ""
    lines.append(f"| {name}{mark} | {1e3 * x:.1f} |")
  lines += ["", found["advice"]]
  if "model_flops" in found:
    lines.append(
      f"hardware / model FLOPs {found['hardware_over_model']:.3f}; at the "
      f"least time the model's are {100 * found['mfu_at_most']:.0f} % of the "
      "peak"
    )
  return lines
