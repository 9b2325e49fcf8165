"""Toys, vessels and parcels: nominal metres, facing forward."""

from hispatial_jax.toyworld import materials, shapes


def dog() -> shapes.Mesh:
  """Stands; snout forward, tail behind."""
  parts = [
    shapes.pillow((0.26, 0.28, 0.62), (0, 0.4, -0.04), materials.MAIN, 0.8),
    shapes.pillow((0.16, 0.3, 0.2), (0, 0.52, 0.24), materials.MAIN, 0.9),
    shapes.pillow((0.23, 0.22, 0.24), (0, 0.68, 0.32), materials.MAIN, 0.8),
    shapes.pillow((0.12, 0.11, 0.2), (0, 0.64, 0.47), materials.TINT, 0.8),
    shapes.pillow((0.06, 0.05, 0.05), (0, 0.67, 0.57), materials.BLACK),
    shapes.tilt(
      shapes.pillow((0.06, 0.3, 0.06), (0, 0.55, -0.36), materials.MAIN),
      25,
      (0, 0.45, -0.34),
    ),
  ]
  for x in (-1, 1):
    parts.append(
      shapes.pillow(
        (0.06, 0.2, 0.12), (x * 0.12, 0.68, 0.27), materials.TINT, 0.8
      )
    )
    parts.append(
      shapes.pillow((0.04, 0.04, 0.03), (x * 0.06, 0.72, 0.43), materials.BLACK)
    )
    parts += [
      shapes.cylinder(0.05, 0.36, (x * 0.08, 0, z), materials.MAIN)
      for z in (-0.26, 0.18)
    ]
  return shapes.join(*parts)


def car() -> shapes.Mesh:
  """Lights ahead, dark glass, four wheels."""
  parts = [
    shapes.pillow((0.5, 0.24, 1.1), (0, 0.25, 0), materials.MAIN, 0.35),
    shapes.pillow((0.44, 0.24, 0.56), (0, 0.42, -0.1), materials.GLASS, 0.45),
    shapes.pillow((0.4, 0.06, 0.42), (0, 0.53, -0.1), materials.MAIN, 0.4),
    shapes.box((0.4, 0.06, 0.04), (0, 0.18, 0.54), materials.METAL),
    shapes.box((0.4, 0.06, 0.04), (0, 0.18, -0.54), materials.DARK),
  ]
  for x in (-1, 1):
    parts += [
      shapes.pillow(
        (0.11, 0.1, 0.06), (x * 0.16, 0.29, 0.53), materials.LIGHT, 0.7
      ),
      shapes.box((0.12, 0.05, 0.02), (x * 0.15, 0.3, -0.545), materials.DARK),
    ]
    for z in (-0.33, 0.33):
      wheel = shapes.lay(shapes.cylinder(0.13, 0.1, slot=materials.BLACK), 0)
      hub = shapes.lay(shapes.cylinder(0.06, 0.11, slot=materials.METAL), 0)
      at = (x * 0.22 - 0.05, 0.13, z)
      parts += [shapes.shift(wheel, at), shapes.shift(hub, at)]
  return shapes.join(*parts)


def robot() -> shapes.Mesh:
  """Eyes and a chest plate on the front."""
  parts = [
    shapes.pillow((0.44, 0.42, 0.28), (0, 0.47, 0), materials.MAIN, 0.2),
    shapes.pillow((0.32, 0.26, 0.26), (0, 0.84, 0), materials.MAIN, 0.2),
    shapes.box((0.24, 0.2, 0.02), (0, 0.5, 0.14), materials.WHITE),
    shapes.box((0.24, 0.13, 0.02), (0, 0.86, 0.125), materials.BLACK),
    shapes.cylinder(0.06, 0.06, (0, 0.66, 0), materials.METAL),
    shapes.cylinder(0.012, 0.1, (0, 0.95, 0), materials.METAL),
    shapes.pillow((0.06, 0.06, 0.06), (0, 1.06, 0), materials.LIGHT),
  ]
  for x in (-1, 1):
    parts += [
      shapes.pillow(
        (0.06, 0.06, 0.03), (x * 0.065, 0.86, 0.135), materials.LIGHT
      ),
      shapes.pillow(
        (0.1, 0.36, 0.12), (x * 0.28, 0.48, 0.02), materials.TINT, 0.4
      ),
      shapes.pillow(
        (0.14, 0.28, 0.18), (x * 0.11, 0.14, 0), materials.TINT, 0.3
      ),
      shapes.pillow(
        (0.16, 0.09, 0.28), (x * 0.11, 0.045, 0.05), materials.DARK, 0.4
      ),
    ]
  return shapes.join(*parts)


def ball() -> shapes.Mesh:
  """A sphere."""
  return shapes.pillow((0.4, 0.4, 0.4), (0, 0.2, 0), cells=(28, 16))


def box() -> shapes.Mesh:
  """A parcel with a band."""
  return shapes.join(
    shapes.box((0.5, 0.4, 0.42), (0, 0.2, 0), materials.MAIN),
    shapes.box((0.1, 0.404, 0.424), (0, 0.2, 0), materials.TINT),
  )


def vase() -> shapes.Mesh:
  """A turned body with a neck."""
  profile = [
    (0, 0), (0.09, 0), (0.14, 0.09), (0.165, 0.2), (0.15, 0.31), (0.1, 0.41),
    (0.065, 0.48), (0.062, 0.53), (0.1, 0.6), (0.09, 0.6), (0.05, 0.53),
    (0.05, 0.45), (0, 0.42),
  ]  # fmt: skip
  return shapes.lathe(profile)


def bottle() -> shapes.Mesh:
  """A turned body with a cap."""
  profile = [
    (0, 0), (0.035, 0), (0.038, 0.005), (0.038, 0.14), (0.034, 0.165),
    (0.016, 0.2), (0.014, 0.24), (0, 0.24),
  ]  # fmt: skip
  cap = shapes.cylinder(0.018, 0.03, (0, 0.235, 0), materials.WHITE)
  return shapes.join(shapes.lathe(profile), cap)


def bowl() -> shapes.Mesh:
  """Open above."""
  profile = [
    (0, 0), (0.04, 0), (0.042, 0.012), (0.075, 0.035), (0.1, 0.08),
    (0.093, 0.08), (0.068, 0.04), (0.035, 0.02), (0, 0.018),
  ]  # fmt: skip
  return shapes.lathe(profile)


def cone() -> shapes.Mesh:
  """A traffic cone with a white ring on a square foot."""
  steps = [(0.16, 0.03), (0.115, 0.2), (0.075, 0.35), (0.025, 0.54), (0, 0.54)]
  parts = [shapes.box((0.4, 0.035, 0.4), (0, 0.0175, 0), materials.MAIN)]
  for i in range(4):
    slot = materials.WHITE if i == 1 else materials.MAIN
    parts.append(shapes.lathe(steps[i : i + 2], slot))
  return shapes.join(*parts)


def bucket() -> shapes.Mesh:
  """Open above, with a bright rim."""
  profile = [
    (0, 0),
    (0.13, 0),
    (0.17, 0.3),
    (0.16, 0.3),
    (0.12, 0.03),
    (0, 0.03),
  ]
  rim = [(0.168, 0.285), (0.18, 0.29), (0.18, 0.305), (0.155, 0.305)]
  return shapes.join(shapes.lathe(profile), shapes.lathe(rim, materials.METAL))


def mug() -> shapes.Mesh:
  """Open above, a handle on the right."""
  profile = [
    (0, 0), (0.037, 0), (0.04, 0.006), (0.04, 0.095), (0.036, 0.095),
    (0.035, 0.012), (0, 0.01),
  ]  # fmt: skip
  handle = shapes.hoop(0.026, 0.0065, (0.036, 0.05, 0), arc_deg=200)
  return shapes.join(shapes.lathe(profile), handle)


def can() -> shapes.Mesh:
  """A cylinder with metal ends."""
  ends = [(0, 0), (0.03, 0), (0.033, 0.006)]
  lid = [(0.033, 0.114), (0.03, 0.12), (0.028, 0.116), (0, 0.116)]
  return shapes.join(
    shapes.lathe([(0.033, 0.006), (0.033, 0.114)]),
    shapes.lathe(ends, materials.METAL),
    shapes.lathe(lid, materials.METAL),
  )


def book() -> shapes.Mesh:
  """Lies on its back cover; the pages show on three sides."""
  return shapes.join(
    shapes.box((0.15, 0.006, 0.21), (0, 0.003, 0)),
    shapes.box((0.15, 0.006, 0.21), (0, 0.037, 0)),
    shapes.box((0.008, 0.028, 0.21), (-0.071, 0.02, 0)),
    shapes.box((0.138, 0.028, 0.2), (0.002, 0.02, 0), materials.WHITE),
  )
