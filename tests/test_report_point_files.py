"""The files of a point map: read back, they are what was put in."""

import errno
import io
import json
import pathlib

import cv2
import moge_fake
import numpy as np
import pytest
import trimesh

from hispatial_jax.pp import given
from hispatial_jax.report import point_files, point_mesh, point_run

_SIZE = (24, 32)


@pytest.fixture
def rgb():
  return np.random.default_rng(0).integers(0, 256, (*_SIZE, 3), np.uint8)


@pytest.fixture
def found():
  return moge_fake.point_map(_SIZE)


def _names(paths):
  return {path.name for path in paths}


def test_every_format_leaves_its_files(tmp_path, found, rgb):
  files = point_files.write(tmp_path / "a/b", found, rgb, source="x.jpg")
  assert _names(files) == {
    n for names in point_files.FILES.values() for n in names
  }
  assert _names((tmp_path / "a/b").iterdir()) == _names(files)
  some = point_files.write(
    tmp_path / "c", found, rgb, source="x.jpg", formats=("ply",)
  )
  assert _names((tmp_path / "c").iterdir()) == _names(some) == {"cloud.ply"}


def test_npz_holds_all_of_it(tmp_path, found, rgb):
  found.points[-1, -1] = 7.0
  found.mask[-1, -1] = False
  point_files.write(tmp_path, found, rgb, source="x", formats=["npz"])
  got = np.load(tmp_path / "points.npz")
  assert set(got) == {*found._fields, "image"}
  np.testing.assert_array_equal(got["image"], rgb)
  np.testing.assert_array_equal(got["mask"], found.mask)
  np.testing.assert_array_equal(np.isinf(got["depth"]), ~found.mask)
  assert np.isinf(got["points"][-1, -1]).all()
  inside = got["points"][found.mask]
  np.testing.assert_array_equal(inside, found.points[found.mask])
  bare = found._replace(normals=None)
  point_files.write(tmp_path, bare, rgb, source="x", formats=["npz"])
  assert "normals" not in np.load(tmp_path / "points.npz")


def test_depth_and_camera_are_what_ask_reads(tmp_path, found, rgb):
  point_files.write(tmp_path, found, rgb, source="küche.jpg", formats=["png"])
  camera = given.read_json(tmp_path / "camera.json")
  assert camera["source"] == "küche.jpg"
  assert (camera["width"], camera["height"]) == _SIZE[::-1]
  assert camera["fov_x_deg"] == pytest.approx(60, abs=1e-3)
  assert camera["fov_y_deg"] == pytest.approx(46.826, abs=1e-3)
  depth = given.read_depth(str(tmp_path / "depth.png"), camera)
  matrix = given.intrinsics(camera, "camera.json")
  depth, matrix = given.check_depth(depth, matrix, _SIZE)
  np.testing.assert_array_equal(matrix, found.intrinsics)
  np.testing.assert_array_equal(np.isinf(depth), ~found.mask)
  # Half a step of the code: log(3 m / 1 m) / 65533 / 2.
  np.testing.assert_allclose(depth, found.depth, rtol=9e-6)
  preview = cv2.imread(str(tmp_path / "depth.jpg"))
  assert preview.shape == (768 + 40, 1024, 3)


def test_cloud_stands_upright_in_its_colours(tmp_path, found, rgb):
  point_files.write(tmp_path, found, rgb, source="x", formats=["ply"])
  cloud = trimesh.load(tmp_path / "cloud.ply")
  want = found.points[found.mask] * [1, -1, -1]
  np.testing.assert_allclose(cloud.vertices, want, rtol=1e-6)
  np.testing.assert_array_equal(cloud.colors[:, :3], rgb[found.mask])


def test_mesh_wears_the_photo_and_stands_upright(tmp_path, found, rgb):
  flat = np.full_like(rgb, 30)
  flat[-6:] = 220  # the floor is light
  point_files.write(tmp_path, found, flat, source="x", formats=["glb"])
  scene = trimesh.load(tmp_path / "mesh.glb")
  (mesh,) = scene.geometry.values()
  assert len(mesh.vertices) == found.mask.sum()
  assert mesh.vertices[:, 2].max() < 0  # ahead of a camera that looks along -z
  below = mesh.vertices[:, 1].argmin()
  above = mesh.vertices[:, 1].argmax()
  texture = np.asarray(mesh.visual.material.baseColorTexture)
  assert texture.shape == rgb.shape

  def colour(vertex):
    u, v = mesh.visual.uv[vertex]
    return texture[int((1 - v) * _SIZE[0]), int(u * _SIZE[1])].mean()

  assert colour(below) == pytest.approx(220, abs=8)
  assert colour(above) == pytest.approx(30, abs=8)
  data = (tmp_path / "mesh.glb").read_bytes()
  tree = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
  assert tree["extensionsUsed"] == ["KHR_materials_unlit"]
  assert tree["materials"][0]["extensions"] == {"KHR_materials_unlit": {}}


def test_triangles_keep_to_their_surface():
  depth = np.ones((4, 6), np.float32)
  depth[:, 3:] = 2.0  # an edge between columns 2 and 3
  depth[0, 0] = np.inf
  points = np.stack([*np.mgrid[:4, :6][::-1], depth], -1).astype(np.float32)
  vertices, faces, uv = point_mesh.mesh(points, depth, 100, 0.04)
  # 3 rows of 2 + 2 cells; the masked corner takes one of two triangles' pair.
  assert len(faces) == 3 * 4 * 2 - 1
  z = -vertices[faces][..., 2]
  assert (z.min(1) == z.max(1)).all()
  assert len(vertices) == 23
  assert np.isfinite(vertices).all()
  a, b, c = np.moveaxis(vertices[faces], 1, 0)
  outward = np.cross(b - a, c - a)
  # Seen from the camera, pixels here being metres: all turn the same way.
  assert (outward[:, 2] > 0).all()
  np.testing.assert_allclose(uv.min(0), [0.5 / 6, 0.5 / 4])


def test_small_pictures_keep_slanted_walls_whole():
  wall = moge_fake.point_map((24, 32), sky=0)  # 6 % a pixel
  _, faces, _ = point_mesh.mesh(wall.points, wall.depth, 10_000)
  assert len(faces) == 2 * 23 * 31
  _, faces, _ = point_mesh.mesh(wall.points, wall.depth, 10_000, 0.04)
  assert len(faces) < 2 * 23 * 31


def test_a_thinned_mesh_still_sees_edges_between_its_vertices():
  depth = np.ones((40, 60), np.float32)
  depth[:, 31] = 5.0  # a pole one pixel wide, on no vertex
  points = np.stack([*np.mgrid[:40, :60][::-1], depth], -1).astype(np.float32)
  vertices, faces, _ = point_mesh.mesh(points, depth, 200, 0.04)
  assert len(vertices) <= 200
  x = vertices[faces][..., 0]
  assert len(faces)
  assert not ((x.min(1) < 31) & (x.max(1) > 31)).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_the_smallest_pictures(tmp_path, shape):
  found = moge_fake.point_map(shape, sky=0)
  image = np.zeros((*shape, 3), np.uint8)
  files = point_files.write(tmp_path, found, image, source="x")
  assert ("mesh.glb" in _names(files)) == (min(shape) > 1)


def test_clouds_and_meshes_are_bounded(monkeypatch, tmp_path):
  monkeypatch.setattr(point_files, "MOST_VERTICES", 500)
  found = moge_fake.point_map((60, 80))
  image = np.zeros((60, 80, 3), np.uint8)
  files = ("ply", "glb")
  point_files.write(tmp_path, found, image, source="x", formats=files)
  cloud = trimesh.load(tmp_path / "cloud.ply")
  (mesh,) = trimesh.load(tmp_path / "mesh.glb").geometry.values()
  assert 200 < len(cloud.vertices) <= 500
  assert 200 < len(mesh.vertices) <= 500


def test_all_sky_is_written_and_said(tmp_path, found, rgb):
  point_files.write(tmp_path, found, rgb, source="x")
  sky = moge_fake.point_map(_SIZE, sky=1.0)
  files = point_files.write(tmp_path, sky, rgb, source="x")
  left = _names(tmp_path.iterdir())
  assert left == _names(files)  # the older cloud and mesh are gone
  assert "cloud.ply" not in left
  assert "mesh.glb" not in left
  assert "no surface found" in point_run.summary(sky)
  assert "No surface" in (tmp_path / "page.html").read_text()
  camera = given.read_json(tmp_path / "camera.json")
  depth = given.read_depth(str(tmp_path / "depth.png"), camera)
  assert np.isinf(depth).all()


def test_a_full_disk_is_one_line_and_leaves_the_old_file(
  monkeypatch, tmp_path, found, rgb
):
  point_files.write(tmp_path, found, rgb, source="old", formats=["png"])
  before = (tmp_path / "depth.png").read_bytes()

  def full(path, data):
    with path.open("wb") as f:
      f.write(data[:10])
    raise OSError(errno.ENOSPC, "No space left on device")

  monkeypatch.setattr(pathlib.Path, "write_bytes", full)
  with pytest.raises(
    point_files.WriteError, match=r"cannot write .*depth\.png: No space left"
  ):
    point_files.write(tmp_path, found, rgb, source="new", formats=["png"])
  assert (tmp_path / "depth.png").read_bytes() == before
  assert not list(tmp_path.glob(".*"))


def test_a_folder_that_cannot_be_made(tmp_path, found, rgb):
  (tmp_path / "file").write_text("")
  with pytest.raises(
    point_files.WriteError, match=r"cannot make the folder .*file/x: "
  ):
    point_files.write(tmp_path / "file/x", found, rgb, source="x")


def test_formats_are_checked(tmp_path, found, rgb):
  with pytest.raises(ValueError, match="unknown formats obj, stl; there are"):
    point_files.check_formats(["npz", "obj", "stl"])
  with pytest.raises(ValueError, match="none given"):
    point_files.check_formats([])
  with pytest.raises(ValueError, match=r"image \(12, 32\) and points \(24, 32"):
    point_files.write(tmp_path, found, rgb[:12], source="x")


@pytest.mark.parametrize(
  ("kind", "package", "extra"),
  [("glb", "trimesh", "demo"), ("page", "plotly.offline", "demo")],
)
def test_a_missing_package_names_its_extra(monkeypatch, kind, package, extra):
  monkeypatch.setitem(__import__("sys").modules, package, None)
  with pytest.raises(ModuleNotFoundError, match=rf"\[{extra}\].*leave {kind}"):
    point_files.check_formats([kind])


def test_ply_head_counts_its_rows():
  data = point_mesh.ply(
    np.zeros((3, 3), np.float32), np.zeros((3, 3), np.uint8)
  )
  head, body = data.split(b"end_header\n")
  assert b"element vertex 3" in head
  assert len(body) == 3 * 15
  assert len(trimesh.load(io.BytesIO(data), file_type="ply").vertices) == 3


def test_camera_is_json_of_plain_numbers(found):
  text = json.dumps(point_files.camera(found.intrinsics, _SIZE))
  assert json.loads(text)["intrinsics"][0][0] == found.intrinsics[0, 0]


def test_names_of_equal_stems_differ():
  paths = ["a/x.jpg", "b/x.jpg", "X.png", "x-2.jpg", "y.jpg"]
  names = point_run.folder_names([pathlib.Path(path) for path in paths])
  assert list(names.values()) == ["x", "x-2", "X-3", "x-2-2", "y"]


def test_folders_give_their_pictures_once(tmp_path):
  for name in ("b.JPG", "a.png", "c.txt", ".d.jpg", "e.heic"):
    (tmp_path / name).write_text("")
  (tmp_path / "sub").mkdir()
  found = point_run.pictures([tmp_path / "b.JPG", tmp_path])
  assert [path.name for path in found] == ["b.JPG", "a.png", "e.heic"]
  with pytest.raises(
    ValueError, match=r"no pictures right in the folder .*sub"
  ):
    point_run.pictures([tmp_path / "sub"])
  with pytest.raises(ValueError, match="no photos given"):
    point_run.pictures([])
