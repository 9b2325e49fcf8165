"""Poses and rays: what faces the camera, what depth a known solid has."""

import math

import numpy as np
import pytest

pytest.importorskip("embreex")

from hispatial_jax.core import geometry
from hispatial_jax.toyworld import (
  materials,
  plan,
  render,
  shade,
  shapes,
  things,
  world,
)

_FOV = math.radians(60)


def _scene(yaw_deg, category="car", pitch_deg=0.0):
  pitch = math.radians(pitch_deg)
  down = np.array([0, math.cos(pitch), math.sin(pitch)], np.float32)
  frame, _ = geometry.level_frame(down)
  k = geometry.intrinsics_from_fov(_FOV, _FOV)
  camera = plan.Camera(k, down, frame)
  rows = materials.of_thing(np.random.default_rng(0), "red", 1.0)
  thing = plan.Thing(
    category,
    "red",
    np.ones(3),
    yaw_deg,
    np.array([0, 0.4, 2.5]),
    -1,
    camera,
    rows,
  )
  ends = np.array([3.0, 4.0])
  ground = plan.Ground(0.4, 0.0, -ends, ends, (0.5, 4.0))
  return plan.Scene("room", 1.0, camera, ground, [thing])


def _walls(half):
  """A cube around the camera, seen from inside."""
  mesh = shapes.box((2 * half,) * 3, (0, 0, 0))
  return (mesh, np.eye(3), np.zeros(3), [materials.row((0.5, 0.5, 0.5))])


def _slots(yaw_deg, category):
  """Slots of the thing's materials that the camera sees."""
  scene = _scene(yaw_deg, category)
  place = world.World(scene, [_walls(5.0)])
  toward = render.grid_rays(scene.camera, 160)
  met = place.first(np.zeros(toward.shape, np.float32), toward)
  mine = met[place.owner[met] == 0]
  return set(place.material[mine].tolist())


@pytest.mark.parametrize(
  ("category", "slot"),
  [
    ("car", materials.LIGHT),
    ("monitor", materials.GLASS),
    ("cabinet", materials.METAL),
  ],
)
def test_yaw_180_faces_the_camera(category, slot):
  assert slot in _slots(180.0, category)
  assert slot not in _slots(0.0, category)


def test_yaw_90_faces_image_right():
  """The dog's black nose is then right of its middle, the tail left."""
  scene = _scene(90.0, "dog")
  place = world.World(scene, [_walls(5.0)])
  toward = render.grid_rays(scene.camera, 128)
  met = place.first(np.zeros(toward.shape, np.float32), toward)
  column = np.tile(np.arange(128), 128)
  mine = place.owner[met] == 0
  nose = mine & (place.material[met] == materials.BLACK)
  assert column[nose].mean() > column[mine].mean() + 10


@pytest.mark.parametrize("pitch_deg", [0.0, 25.0])
def test_depth_of_a_cube_is_exact(pitch_deg):
  """Slabs met by hand: the far side of a cube of 2 x 5 m, less the thing."""
  scene = _scene(180.0, "box", pitch_deg)
  place = world.World(scene, [_walls(5.0)])
  lamp = shade.light(np.random.default_rng(0), scene)
  shot = render.picture(place, scene.camera, lamp, 48)
  ones = np.ones((48, 48), np.float32)
  ray = geometry.unproject(ones, scene.camera.intrinsics).astype(float)
  ray = ray @ scene.camera.frame.T.astype(float)
  with np.errstate(divide="ignore"):
    expected = (5.0 / np.abs(ray)).min(-1)
  wall = shot.owner == 1
  assert wall.sum() > 500
  np.testing.assert_allclose(shot.depth_m[wall], expected[wall], rtol=2e-6)


@pytest.mark.parametrize("category", sorted(things.KINDS))
def test_models_are_sound(category):
  model = things.model(category)
  corners = model.mesh.corners.reshape(-1, 3)
  assert corners[:, 1].min() == pytest.approx(0, abs=1e-6)
  np.testing.assert_allclose(np.ptp(corners, axis=0), model.size, rtol=1e-5)
  middle = (corners.min(0) + corners.max(0))[[0, 2]]
  np.testing.assert_allclose(middle, 0, atol=1e-6)
  normals = np.linalg.norm(model.mesh.normals, axis=-1)
  np.testing.assert_allclose(normals, 1, atol=1e-4)
  assert set(np.unique(model.mesh.slot)) <= set(range(materials.SLOTS))
  assert len(model.mesh.slot) < 2500


def test_overlap_of_footprints():
  a = plan.Footprint(0.0, 0.0, 1.0, 0.0, 1.0, 1.0)
  turned = math.cos(math.pi / 4)
  diamond = plan.Footprint(2.3, 0.0, turned, turned, 1.0, 1.0)
  assert plan.overlap(a, diamond)  # its corner reaches 1.41 towards a
  assert not plan.overlap(a, diamond._replace(x=2.5))
  assert plan.overlap(a, diamond._replace(x=2.5), gap=0.2)
  # Apart only along the diagonal of one of them.
  assert not plan.overlap(a, diamond._replace(x=1.9, z=1.9))
