"""MoGe-2 compiled for a TPU that is not there: bytes and FLOPs."""

import pathlib
import tempfile


def compile_network(args) -> None:
  """Compiles for one chip; prints what the network needs of it."""
  from hispatial_jax.core import chips, mesh
  from hispatial_jax.dry_run import figures, programs, report, topology

  with tempfile.TemporaryDirectory(prefix="bench_moge_") as dump:
    topology.prepare(dump)
    options = programs.Options(
      **{k: getattr(args, k) for k in ("variant", "size", "tokens", "dtype")},
      batch=args.batch,
    )
    found = figures.of(
      "moge",
      None,
      mesh.make(devices=topology.devices(args.topology)[:1]),
      options=options,
      chip=chips.read(args.topology)[0],
      dump=pathlib.Path(dump),
    )
  found["devices"] = f"one chip of {args.topology}"
  found["libtpu"] = topology.version()
  print(report.table(found))
