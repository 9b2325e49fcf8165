"""What a compiled program needs of a chip: its figures, and their page."""

import os
import re

from hispatial_jax.core import chips

_GIB = 2**30


def memory(stats, parts, chip, dump) -> dict:
  """Bytes of a chip by kind; "together" and "HBM" are the last two.

  Args:
    stats: memory_analysis of the compiled program.
    parts: {kind: bytes} of its arguments.
    chip: chips.Chip.
    dump: folder that the compiler wrote its buffer assignment into.
  """
  out = dict(parts)
  arguments = stats.argument_size_in_bytes
  # Small leaves are padded to whole tiles.
  out["padding of arguments"] = max(0, arguments - sum(parts.values()))
  out["outputs that are not updates in place"] = (
    stats.output_size_in_bytes - stats.alias_size_in_bytes
  )
  reported = stats.temp_size_in_bytes
  assigned, largest = assignment(dump)
  out["temporaries"] = reported if assigned is None else assigned
  out["program"] = stats.generated_code_size_in_bytes
  out |= {"together": sum(out.values()), "HBM": chip.hbm}
  return {
    "bytes": out,
    "largest_temporaries": largest,
    "temp_size_reported": reported,
  }


def assignment(folder) -> tuple[int | None, list[str]]:
  """(bytes of temporaries in HBM, what the largest of them hold).

  Of the newest TPU program that the compiler dumped there; None without one.
  """
  found = sorted(folder.glob("*memory-usage-report.txt"), key=os.path.getmtime)
  if not found:
    return None, []
  report = found[-1].read_text()
  whole = found[-1].name.replace("memory-usage-report", "buffer-assignment")
  temporaries = re.findall(
    r"^allocation \d+: size (\d+), preallocated-temp",
    (folder / whole).read_text(),
    re.MULTILINE,
  )
  if not temporaries:
    return None, []
  first = report.split("Total bytes:")[1]
  rows = re.findall(r"%\); +([\d.]+\w+);[^;]*;[^;]*; (.*)", first)
  return sum(map(int, temporaries)), [f"{n}: {what}" for n, what in rows[:12]]


def work(cost, model, chip, count) -> dict:
  """FLOPs, bytes moved and the least times, of a chip's step."""
  sent = {kind: x.bytes for kind, x in cost.collectives.items()}
  seconds = chips.least_seconds(
    chip, flops=cost.flops, hbm_bytes=cost.hbm_bytes, collectives=sent
  )
  longest = max(seconds, key=seconds.get)
  out = {
    "hardware_flops": cost.flops,
    "bytes_moved": cost.bytes,
    "hbm_bytes_moved": cost.hbm_bytes,
    "collectives": {
      kind: {"count": x.count, "bytes": x.bytes}
      for kind, x in cost.collectives.items()
    },
    "least_seconds": seconds,
    "longest": longest,
  }
  if model:
    mine = sum(model.values()) / count
    out["model_flops"] = mine
    out["model_flops_by_part"] = {k: x / count for k, x in model.items()}
    out["hardware_over_model"] = cost.flops / mine
    out["mfu_at_most"] = mine / chip.flops / seconds[longest]
  return out


def out_of_memory(message: str) -> str:
  """One line of the compiler's report."""
  used = re.search(r"Used ([\d.]+\w) of ([\d.]+\w) hbm", message)
  if used:
    return (
      f"the program does not fit: it needs {used[1]} of a chip's {used[2]} "
      "HBM; take a smaller batch, more chips, or remat 'nothing_saveable'"
    )
  return message.strip().splitlines()[0]


def table(found: dict) -> str:
  """The figures as a page of text."""
  sizes = " x ".join(f"{k}={n}" for k, n in found["mesh"].items())
  lines = [
    f"{found['what']}: {found['config']} {' '.join(found['set'])}".rstrip(),
    f"{found['topology']} as {sizes}, batch {found['batch_size']}, text "
    f"{found['text_length']}; libtpu {found['libtpu']}, jax {found['jax']}, "
    f"compiled in {found['compile_seconds']:.0f} s",
    "",
    "| of a chip | GiB |",
    "|---|---:|",
  ]
  lines += [f"| {k} | {x / _GIB:.2f} |" for k, x in found["bytes"].items()]
  if found["largest_temporaries"]:
    lines += ["", "largest temporaries (one memory, several in turn):"]
    lines += [f"  {row}" for row in found["largest_temporaries"]]
  lines += ["", "| of a chip's step | |", "|---|---:|"]
  if "model_flops" in found:
    parts = found["model_flops_by_part"]
    listed = ", ".join(f"{k} {x / 1e12:.2f}" for k, x in parts.items() if x)
    lines.append(
      f"| model TFLOP ({listed}) | {found['model_flops'] / 1e12:.2f} |"
    )
  lines += [
    f"| hardware TFLOP | {found['hardware_flops'] / 1e12:.2f} |",
    f"| HBM GB moved | {found['hbm_bytes_moved'] / 1e9:.1f} |",
    f"| GB moved, on-chip memory included | {found['bytes_moved'] / 1e9:.1f} |",
  ]
  for kind, x in found["collectives"].items():
    lines.append(
      f"| {kind}, GB sent, {x['count']:.0f} times | {x['bytes'] / 1e9:.2f} |"
    )
  lines += ["", "| least time | ms |", "|---|---:|"]
  for name, x in found["least_seconds"].items():
    mark = " (the longest)" if name == found["longest"] else ""
    lines.append(f"| {name}{mark} | {1e3 * x:.1f} |")
  if "model_flops" in found:
    lines += [
      "",
      f"hardware / model FLOPs {found['hardware_over_model']:.3f}; at that "
      f"time the model's are {100 * found['mfu_at_most']:.0f} % of the peak",
    ]
  return "\n".join(lines)
