"""What tools/bench_moge.py measures: pictures, weights, stages."""

import os
import pathlib

import numpy as np

SOLVE = 16  # maps of the stage `solve`


def images(args) -> np.ndarray:
  """u8[B,S,S,3]: photos, or soft noise."""
  import cv2

  from hispatial_jax.pp import given

  if args.photos:
    pictures = [given.read_image(path) for path in args.photos]
  else:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (4, 28, 28, 3)).astype(np.uint8)
  size = (args.size, args.size)
  pictures = [cv2.resize(p, size, None, 0, 0, cv2.INTER_AREA) for p in pictures]
  return np.stack([pictures[i % len(pictures)] for i in range(args.batch)])


def maps(size) -> tuple[np.ndarray, np.ndarray]:
  """Points f32[16,S,S,3] of uneven walls, 0.3 too near, and a mask."""
  from hispatial_jax.core import geometry

  rng = np.random.default_rng(0)
  x = np.linspace(-1, 1, size, dtype=np.float32)
  points = []
  for fov in np.radians(np.linspace(40, 80, SOLVE)):
    slope = rng.uniform(-0.5, 0.5, 2)
    depth = 2 + slope[0] * x + slope[1] * x[:, None] + 0.2 * np.sin(7 * x)
    depth = depth * rng.normal(1, 0.01, depth.shape)
    camera = geometry.intrinsics_from_fov(fov, fov)
    points.append(geometry.unproject(depth.astype(np.float32), camera))
  points = np.stack(points) - np.float32([0, 0, 0.3])
  return points, rng.random(points.shape[:3]) < 0.9


def _face_a_wall(params) -> None:
  """Lets the network say a slanted wall, most pixels of it valid.

  What a network of random numbers says is no scene, and a solver would take
  more or fewer steps with it than with one.
  """
  last = params["points_head/level_4/output/kernel"]
  for name in ("neck/level_4/input", "points_head/level_4/input"):
    params[f"{name}/kernel"] *= 0.1
    params[f"{name}/kernel"][:2, :2] = np.eye(2)
  # x, y and the logarithm of z by the place in the image.
  last *= 0.1
  last[:2] = [[1, 0, 0.5], [0, 1, 0.5]]
  params["mask_head/level_4/output/bias"] += 1


def write_random(args, folder) -> pathlib.Path:
  """Random weights of the variant: model.pt, or .npz if torch is not needed."""
  from hispatial_jax.core import tree
  from hispatial_jax.moge import checkpoint, variants
  from hispatial_jax.weights import lazy

  config = variants.config(args.variant)
  rng = np.random.default_rng(0)

  def draw(name, shape):
    if name.endswith(("scale", "gamma")):
      return np.full(shape, 0.5, np.float32)
    x = rng.standard_normal(shape, np.float32)
    if name.endswith("kernel"):
      return x / np.float32(np.sqrt(np.prod(shape[-4:-1])))
    return x * np.float32(0.02)

  shapes = tree.flatten(variants.param_shapes(config))
  params = {name: draw(name, x.shape) for name, x in shapes.items()}
  _face_a_wall(params)
  params = {name: lazy.of(x) for name, x in params.items()}
  path = folder / ("model.pt" if args.reference else "model.npz")
  kind = checkpoint.format_of(path)
  checkpoint.save(path, checkpoint.Checkpoint(params, config, kind))
  return path


def ours(args, images) -> dict:
  """{stage: function} of hispatial_jax; each waits for its result."""
  import jax

  from hispatial_jax.data import records
  from hispatial_jax.moge import (
    checkpoint,
    frame,
    infer,
    metric,
    model,
    solve,
    variants,
  )

  config, params = checkpoint.load(args.model, args.dtype)
  eyes = infer.MoGe(config, params, dtype=args.dtype)
  net = variants.build(config, args.dtype)
  encoder = model.Encoder(**net.encoder, dtype=args.dtype)
  bucket = eyes.bucket(images.shape[1:3], args.tokens)
  sizes = jax.device_put(frame.frame([images.shape[1:3]] * len(images), bucket))
  canvas = np.zeros((len(images), *bucket[2:], 3), np.uint8)
  canvas[:, : args.size, : args.size] = images
  canvas, params = jax.device_put((canvas, params))

  @jax.jit
  def encode(params, canvas, sizes):
    x = frame.resize_in(canvas, sizes)
    return encoder.apply({"params": params["encoder"]}, x)

  @jax.jit
  def forward(params, canvas, sizes):
    x = frame.resize_in(canvas, sizes)
    raw = net.apply({"params": params}, x, sizes.aspect)
    return metric.maps(raw, sizes, net.remap_output)

  def ready(function, *inputs):
    precision = "highest" if args.dtype == "float32" else "default"
    with jax.default_matmul_precision(precision):
      jax.block_until_ready(function(*inputs))

  points, mask = map(jax.device_put, maps(args.size))
  found = eyes.infer_batch(images[:1], num_tokens=args.tokens)[0]
  record = {
    "id": "bench",
    "image": images[0],
    "depth_m": found.depth,
    "intrinsics": found.intrinsics,
  }
  return {
    "encoder": lambda: ready(encode, params, canvas, sizes),
    "forward": lambda: ready(forward, params, canvas, sizes),
    "solve": lambda: ready(solve.recover, points, mask),
    "infer": lambda: jax.block_until_ready(
      eyes.infer(images, num_tokens=args.tokens)
    ),
    "encode record": lambda: records.encode(record),
  }


def reference(args, images) -> dict:
  """{stage: function} of the reference."""
  import torch

  from hispatial_jax.moge import resize

  eyes = load_reference(args)
  from moge.utils import geometry_torch

  net, half = eyes.model, eyes.dtype == "float16"
  device = net.device.type
  tokens = args.tokens or eyes.tokens()
  grid = resize.token_grid(args.size, args.size, tokens)
  x = eyes.tensor(images)
  points, mask = (torch.from_numpy(a).to(net.device) for a in maps(args.size))

  def run(function, *inputs, **options):
    with torch.inference_mode(), torch.autocast(device, torch.float16, half):
      function(*inputs, **options)
    if device == "cuda":
      torch.cuda.synchronize()

  return {
    "encoder": lambda: run(net.encoder, x, *grid, return_class_token=True),
    "forward": lambda: run(net.forward, x, tokens),
    "solve": lambda: run(geometry_torch.recover_focal_shift, points, mask),
    "infer": lambda: eyes.infer(images, num_tokens=tokens),
  }


def load_reference(args):
  """The reference on all cores, or the GPU with its mixed precision."""
  import torch

  from hispatial_jax.moge import upstream

  torch.set_num_threads(len(os.sched_getaffinity(0)))
  half = args.dtype == "bfloat16" and torch.cuda.is_available()
  return upstream.load(args.model, dtype="float16" if half else "float32")
