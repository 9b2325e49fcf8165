"""Furniture: meshes in nominal metres, facing forward."""

from hispatial_jax.toyworld import materials, shapes


def chair() -> shapes.Mesh:
  """Seat, back and four legs."""
  legs = [
    shapes.box((0.045, 0.43, 0.045), (x, 0.215, z), materials.WOOD)
    for x in (-0.19, 0.19)
    for z in (-0.18, 0.18)
  ]
  posts = [
    shapes.box((0.045, 0.3, 0.04), (x, 0.55, -0.2), materials.WOOD)
    for x in (-0.18, 0.18)
  ]
  seat = shapes.pillow((0.48, 0.08, 0.46), (0, 0.46, 0), materials.MAIN, 0.25)
  back = shapes.pillow((0.46, 0.36, 0.07), (0, 0.76, -0.2), materials.MAIN, 0.3)
  return shapes.join(seat, back, *legs, *posts)


def sofa() -> shapes.Mesh:
  """Two seats wide; the arms stand forward."""
  parts = [shapes.box((1.6, 0.24, 0.74), (0, 0.22, 0), materials.TINT)]
  for x in (-0.36, 0.36):
    parts.append(
      shapes.pillow((0.72, 0.2, 0.62), (x, 0.42, 0.08), materials.MAIN, 0.3)
    )
    parts.append(
      shapes.pillow((0.72, 0.48, 0.24), (x, 0.62, -0.3), materials.MAIN, 0.35)
    )
  for x in (-0.82, 0.82):
    parts.append(
      shapes.pillow((0.22, 0.52, 0.84), (x, 0.36, 0), materials.MAIN, 0.3)
    )
    parts += [
      shapes.box((0.08, 0.12, 0.08), (x * 0.92, 0.06, z), materials.WOOD)
      for z in (-0.3, 0.3)
    ]
  return shapes.join(*parts)


def cabinet() -> shapes.Mesh:
  """Two doors with handles show the front."""
  parts = [
    shapes.box((0.8, 0.9, 0.4), (0, 0.5, 0), materials.MAIN),
    shapes.box((0.74, 0.05, 0.36), (0, 0.025, 0), materials.DARK),
  ]
  for x in (-0.195, 0.195):
    parts.append(shapes.box((0.36, 0.8, 0.02), (x, 0.5, 0.205), materials.TINT))
    handle = shapes.box(
      (0.04, 0.22, 0.03), (x * 0.25, 0.55, 0.225), materials.METAL
    )
    parts.append(handle)
  return shapes.join(*parts)


def table() -> shapes.Mesh:
  """A plate on four legs."""
  legs = [
    shapes.box((0.07, 0.68, 0.07), (x, 0.34, z), materials.TINT)
    for x in (-0.48, 0.48)
    for z in (-0.28, 0.28)
  ]
  return shapes.join(
    shapes.box((1.1, 0.05, 0.7), (0, 0.7, 0), materials.MAIN), *legs
  )


def stool() -> shapes.Mesh:
  """A round seat."""
  legs = [
    shapes.box((0.04, 0.42, 0.04), (x, 0.21, z), materials.WOOD)
    for x in (-0.11, 0.11)
    for z in (-0.11, 0.11)
  ]
  profile = [
    (0, 0),
    (0.18, 0),
    (0.2, 0.02),
    (0.2, 0.06),
    (0.18, 0.08),
    (0, 0.08),
  ]
  return shapes.join(shapes.lathe(profile, materials.MAIN, (0, 0.41, 0)), *legs)


def lamp() -> shapes.Mesh:
  """A lamp on a pole with a shade."""
  shade = [(0.24, 0), (0.14, 0.34), (0.13, 0.34), (0.22, 0.0)]
  return shapes.join(
    shapes.cylinder(0.17, 0.04, slot=materials.DARK),
    shapes.cylinder(0.025, 1.05, (0, 0.03, 0), materials.METAL),
    shapes.lathe(shade, materials.MAIN, (0, 1.02, 0)),
    shapes.pillow((0.12, 0.16, 0.12), (0, 1.15, 0), materials.LIGHT),
  )


def monitor() -> shapes.Mesh:
  """The screen is the front."""
  screen = shapes.join(
    shapes.box((0.62, 0.38, 0.03), (0, 0.33, 0), materials.MAIN),
    shapes.pillow((0.36, 0.22, 0.06), (0, 0.32, -0.02), materials.MAIN, 0.3),
    shapes.box((0.57, 0.32, 0.006), (0, 0.335, 0.0155), materials.GLASS),
  )
  return shapes.join(
    shapes.pillow((0.26, 0.03, 0.18), (0, 0.015, 0), materials.DARK, 0.4),
    shapes.box((0.05, 0.2, 0.03), (0, 0.12, -0.045), materials.DARK),
    shapes.tilt(screen, 4, (0, 0.3, 0)),
  )
