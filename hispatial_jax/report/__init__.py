"""One page that shows a run: curves, scores, pictures, a point cloud."""


def write(workdir, **options):
  """Writes WORKDIR/report.html; see `report.page.write`."""
  from hispatial_jax.report import page

  return page.write(workdir, **options)
