"""Random rooms of boxes with exact annotations and depth, for tests of qa."""

import numpy as np

CATS = ("chair", "box", "table", "lamp", "car", "vase")
COLORS = ("red", "blue", "green", "yellow", "white", "black")
FRONTS = ("chair", "car")


def frame(pitch_deg, roll_deg):
  """(down in C, R_wc f64[3,3]) of a camera, made without core/geometry."""
  p, r = np.radians([pitch_deg, roll_deg])
  level_to_pitch = np.array(
    [[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]]
  )
  spin = np.array(
    [[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]]
  )
  down = spin @ level_to_pitch @ np.array([0.0, 1.0, 0.0])
  z = np.array([0.0, 0.0, 1.0]) - down[2] * down
  z /= np.linalg.norm(z)
  return down, np.stack([np.cross(down, z), down, z])


def axes(yaw_deg):
  """Rows right, up, forward of an object, in W."""
  s, c = np.sin(np.radians(yaw_deg)), np.cos(np.radians(yaw_deg))
  return np.array([[c, 0, -s], [0, -1, 0], [s, 0, c]])


def corners(centre, size, yaw_deg):
  bits = (np.arange(8)[:, None] >> np.arange(3) & 1) - 0.5
  return centre + (bits * size) @ axes(yaw_deg)


def _thing(rng, k, r_wc, floor, size_px, focal):
  cat = CATS[rng.integers(len(CATS))]
  color = COLORS[rng.integers(len(COLORS))]
  size = np.exp(rng.uniform(np.log(0.1), np.log(1.6), 3))
  yaw = float(rng.uniform(-180, 180))
  z = rng.uniform(1.2, 7)
  high = floor - size[1] / 2 - rng.choice([0.0, rng.uniform(0, 1.2)])
  centre = np.array([rng.uniform(-0.6, 0.6) * z, high, z])
  points = corners(centre, size, yaw) @ r_wc
  if points[:, 2].min() < 0.2:
    return None
  uv = points[:, :2] / points[:, 2:] * focal + 0.5
  whole = np.concatenate([uv.min(0), uv.max(0)]) * size_px
  box = np.clip(np.round(whole), 0, size_px)
  area = (box[2] - box[0]) * (box[3] - box[1])
  if area < 9:
    return None
  fronted = cat in FRONTS
  inner = points - points.mean(0)
  width = size[0] if fronted else max(size[0], size[2])
  length = size[2] if fronted else min(size[0], size[2])
  return {
    "oid": k,
    "cat": cat,
    "cat_plural": cat + ("es" if cat == "box" else "s"),
    "color": color,
    "name": f"{color} {cat}",
    "box2d": box.tolist(),
    "area": float(area),
    "vis": float(rng.choice([1.0, 1.0, 1.0, 0.85, 0.6, 0.3])),
    "trunc": bool((whole[:2] < 0).any() or (whole[2:] > size_px).any()),
    "c_c": points.mean(0).round(4).tolist(),
    "q_c": [
      (points.mean(0) + f * np.abs(inner).max(0)).round(4).tolist()
      for f in (-0.96, -0.9, 0.0, 0.9, 0.96)
    ],
    "obb": {
      "centre": centre.round(4).tolist(),
      "size": size.round(4).tolist(),
      "yaw_deg": round(yaw, 4) if fronted else None,
    },
    "size_whl": [width, size[1], length],
    "symmetry": "1" if fronted else "2",
    "range": float(np.linalg.norm(points.mean(0))),
  }


def make(seed, size_px=112, number=10, kind="gt"):
  """A record: a floor, far wall and box-shaped bumps, and boxes noted."""
  rng = np.random.default_rng(seed)
  down, r_wc = frame(rng.uniform(0, 35), rng.uniform(-4, 4))
  focal, floor = rng.uniform(0.7, 1.2), rng.uniform(0.9, 1.8)
  things = [_thing(rng, k, r_wc, floor, size_px, focal) for k in range(number)]
  things = [t for t in things if t]
  names = [t["name"] for t in things]
  for thing in things:
    if names.count(thing["name"]) > 1:
      thing["name"] = None
  depth = _depth(size_px, focal, r_wc, floor, things)
  return {
    "id": f"boxes-{seed}",
    "source": "boxes",
    "depth_m": depth,
    "intrinsics": np.array(
      [[focal, 0, 0.5], [0, focal, 0.5], [0, 0, 1]], np.float32
    ),
    "objects": {"gravity": down.tolist(), "kind": kind, "objects": things},
  }


def _depth(size_px, focal, r_wc, floor, things):
  centre = (np.arange(size_px) + 0.5) / size_px
  across, upright = np.meshgrid((centre - 0.5) / focal, (centre - 0.5) / focal)
  ray = np.stack([across, upright, np.ones_like(across)], -1)
  with np.errstate(divide="ignore", invalid="ignore"):
    drop = ray @ r_wc[1]
    depth = np.where(drop > 1e-3, floor / drop, 12.0)
  depth = np.clip(depth, 0.3, 12.0)
  for thing in things:
    x1, y1, x2, y2 = (int(v) for v in thing["box2d"])
    patch = depth[y1:y2, x1:x2]
    np.minimum(patch, thing["c_c"][2], out=patch)
  depth[:3, :5] = 0.0
  depth[3:6, :5] = np.inf
  depth[6:9, :5] = np.nan
  return depth.astype(np.float32)


def thing(oid, name, centre, size=(0.5, 0.5, 0.5), yaw_deg=None, **more):
  """An object seen by a level camera with fx = fy = 1 and 100 pixels."""
  centre, size = np.asarray(centre, float), np.asarray(size, float)
  points = corners(centre, size, yaw_deg or 0.0)
  uv = (points[:, :2] / points[:, 2:] + 0.5) * 100
  low, high = points.min(0), points.max(0)
  shares = (0.02, 0.05, 0.5, 0.95, 0.98)
  return {
    "oid": oid,
    "cat": name.split()[-1],
    "cat_plural": name.split()[-1] + "s",
    "color": None,
    "name": name,
    "box2d": [*uv.min(0).tolist(), *uv.max(0).tolist()],
    "area": 900.0,
    "vis": 1.0,
    "trunc": False,
    "c_c": centre.tolist(),
    "q_c": [(low + f * (high - low)).tolist() for f in shares],
    "obb": {
      "centre": centre.tolist(),
      "size": size.tolist(),
      "yaw_deg": yaw_deg,
    },
    "size_whl": [size[0], size[1], size[2]],
    "symmetry": "none" if yaw_deg is None else "1",
    **more,
  }


def record(*things, kind="gt", name="by hand"):
  """A record of `thing`s under a level camera, 100 pixels wide, no depth."""
  notes = {"gravity": [0.0, 1.0, 0.0], "kind": kind, "objects": list(things)}
  return {"id": name, "objects": notes}
